package notification

import "time"

// Dealt is a mail that a message had led to, for who builds the state anew.
type Dealt struct {
	Mail
	RecordID string    // of the message
	At       time.Time // of the message: the mail went out after it
}
