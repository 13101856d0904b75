package notification

import (
	"context"
	"errors"
	"strings"
	"time"

	"millrace/pkg/events"
)

// Kind says what a mail is about.
type Kind string

// The kinds of mail. An order gets at most one of each.
const (
	Confirmation Kind = "CONFIRMATION"
	Outcome      Kind = "OUTCOME"
)

// Kinds lists every kind.
var Kinds = []Kind{Confirmation, Outcome}

var (
	// ErrNoMail is returned for an event about which customers get no mail.
	ErrNoMail = errors.New("no mail goes out about this event")

	// ErrRefused is returned when the mail server refuses a mail for good: the
	// same mail would be refused again.
	ErrRefused = errors.New("mail refused for good")
)

// Mail is a mail as it will be sent.
type Mail struct {
	OrderID   string
	Kind      Kind
	Recipient string
	// MessageID is the same each time the mail is made, so that a mail server or a
	// reader can tell a second copy from a second mail (RFC 5322, section 3.6.4).
	MessageID string
	Subject   string
	Text      string
	// Date is the time of the event.
	Date time.Time
}

// Sender hands a mail over. It returns nil once the mail server has accepted it,
// and an error that is ErrRefused if trying again is no use. Package smtpmail has it.
type Sender interface {
	Send(ctx context.Context, m Mail) error
}

// mailDomain is reserved for examples (RFC 2606): no mail can leave the shop.
const mailDomain = "example.com"

// Address is where a customer's mail goes. Events carry no address, so it follows
// from the id: customer_123 is customer_123@example.com. A character that may not
// stand in an address unquoted (RFC 5322, atext) becomes '_', and so does a dot that
// has no neighbour.
func Address(customerID string) string {
	local := strings.Map(func(r rune) rune {
		if isAtext(r) || r == '.' {
			return r
		}
		return '_'
	}, customerID)
	local = strings.ReplaceAll(local, "..", "._")
	if strings.HasPrefix(local, ".") {
		local = "_" + local[1:]
	}
	if strings.HasSuffix(local, ".") {
		local = local[:len(local)-1] + "_"
	}
	if len(local) > 64 { // RFC 5321, section 4.5.3.1.1
		local = local[:64]
		if local[63] == '.' {
			local = local[:63] + "_"
		}
	}
	return local + "@" + mailDomain
}

func isAtext(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// MailOf makes the mail about an event, or returns ErrNoMail.
func MailOf(e events.Event) (Mail, error) {
	switch e := e.(type) {
	case events.OrderCreated:
		return newMail(e.OrderID, e.CustomerID, Confirmation, e.Timestamp, confirmationText, e)
	case events.InventoryReserved:
		return newMail(e.OrderID, e.CustomerID, Outcome, e.Timestamp, reservedText, e)
	case events.InventoryRejected:
		return newMail(e.OrderID, e.CustomerID, Outcome, e.Timestamp, rejectedText, e)
	default:
		return Mail{}, ErrNoMail
	}
}
