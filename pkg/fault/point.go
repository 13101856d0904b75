package fault

import "slices"

// Point names a place in the code where a fault can be put: AREA.MOMENT.
type Point string

// The order service's HTTP side: POST /orders and its transaction.
const (
	OrderBeforeCommit Point = "order.before-commit"
	OrderAfterCommit  Point = "order.after-commit"
)

// The relay from an outbox to the broker.
const (
	RelayBeforePublish Point = "relay.before-publish"
	RelayAfterPublish  Point = "relay.after-publish"
	RelayAfterMark     Point = "relay.after-mark"
)

// A consumer, round the handler of a message.
const (
	ConsumeBeforeEffect Point = "consume.before-effect"
	ConsumeAfterEffect  Point = "consume.after-effect"
	ConsumeAfterAck     Point = "consume.after-ack"
)

// The transaction in which a service stores the effect of a message.
const (
	EffectBeforeCommit Point = "effect.before-commit"
	EffectAfterCommit  Point = "effect.after-commit"
)

// The notification service, round the conversation with the mail server.
const (
	MailBeforeSend Point = "mail.before-send"
	MailAfterSend  Point = "mail.after-send"
)

// A consumer that gives a message up, or puts it off.
const (
	DeadLetterBeforePublish Point = "deadletter.before-publish"
	DeadLetterAfterPublish  Point = "deadletter.after-publish"
	RetryBeforePublish      Point = "retry.before-publish"
	RetryAfterPublish       Point = "retry.after-publish"
)

// The command that sends dead letters anew.
const (
	RedriveAfterIntent Point = "redrive.after-intent"
	RedriveAfterSend   Point = "redrive.after-send"
	RedriveAfterMark   Point = "redrive.after-mark"
)

// The command that rebuilds a service's state from the log.
const (
	ReplayBeforeRestore Point = "replay.before-restore"
	ReplayAfterRestore  Point = "replay.after-restore"
	ReplayAfterReset    Point = "replay.after-reset"
)

// The mail catcher, as a mail server that misbehaves.
const (
	SMTPConnect    Point = "smtp.connect"
	SMTPBeforeTake Point = "smtp.before-take"
	SMTPAfterTake  Point = "smtp.after-take"
)

// Keys of the attributes that a rule can match.
const (
	OrderID   = "order_id"   // also the key of the record that is about the order
	ProductID = "product_id" // one for each product of the order
	Group     = "group"      // the consumer group
	Topic     = "topic"      // the topic that is read or written
)

// Info says what a point is, which kinds of fault make sense there and what a rule
// can match.
type Info struct {
	Point   Point
	Summary string // where it is, in one clause
	Kinds   []Kind
	Match   []string // keys of attributes
}

var (
	returning = []Kind{Error, Permanent, Delay, Hang, Crash, Panic} // an error can be returned
	passing   = []Kind{Delay, Hang, Crash, Panic}                   // nothing is left to fail
	repeating = append(slices.Clip(returning), Duplicate)
	serving   = []Kind{Error, Permanent, Delay, Hang}

	ofMessage = []string{Group, Topic, OrderID}
	ofEffect  = []string{Group, OrderID, ProductID}
)

var catalogue = []Info{
	{OrderBeforeCommit, "POST /orders: the order is made, nothing is stored", returning, []string{OrderID, ProductID}},
	{OrderAfterCommit, "POST /orders: the order is committed, the answer not sent; an error closes the connection instead", returning, []string{OrderID, ProductID}},
	{RelayBeforePublish, "relay: rows of the outbox are read, not sent", returning, []string{Topic}},
	{RelayAfterPublish, "relay: the broker has acknowledged, the rows are not marked", repeating, []string{Topic}},
	{RelayAfterMark, "relay: the rows are marked as sent", returning, []string{Topic}},
	{ConsumeBeforeEffect, "consumer: the message is read, the handler not called", returning, ofMessage},
	{ConsumeAfterEffect, "consumer: the handler is done, the message not acknowledged", repeating, ofMessage},
	{ConsumeAfterAck, "consumer: the message is acknowledged", passing, ofMessage},
	{EffectBeforeCommit, "store: the effect of a message is made, not committed", returning, ofEffect},
	{EffectAfterCommit, "store: the effect is committed, the handler has not heard of it", returning, ofEffect},
	{MailBeforeSend, "notification: the mail is made, not sent", returning, []string{OrderID}},
	{MailAfterSend, "notification: the mail server has taken the mail, nothing is committed", returning, []string{OrderID}},
	{DeadLetterBeforePublish, "consumer: the message is given up, not in the dead letter topic", returning, ofMessage},
	{DeadLetterAfterPublish, "consumer: the message is in the dead letter topic, not acknowledged", returning, ofMessage},
	{RetryBeforePublish, "consumer: the message is put off, not in the retry topic", returning, ofMessage},
	{RetryAfterPublish, "consumer: the message is in the retry topic, not acknowledged", returning, ofMessage},
	{RedriveAfterIntent, "redrive: the audit log says what will be sent, nothing is sent", returning, []string{Group, Topic}},
	{RedriveAfterSend, "redrive: the message is sent, not marked", returning, []string{Group, Topic}},
	{RedriveAfterMark, "redrive: the message is marked as redriven", returning, []string{Group, Topic}},
	{ReplayBeforeRestore, "replay: the group is idle, nothing is changed", returning, []string{Group}},
	{ReplayAfterRestore, "replay: the state is emptied, the offsets stand where they were", returning, []string{Group}},
	{ReplayAfterReset, "replay: the offsets are set back", returning, []string{Group}},
	{SMTPConnect, "mail catcher: a client has connected; an error closes the connection, a permanent one says 554", serving, nil},
	{SMTPBeforeTake, "mail catcher: the mail has come, it is not kept; an error says 451, a permanent one 554", serving, []string{OrderID}},
	{SMTPAfterTake, "mail catcher: the mail is kept; an error closes the connection instead of the answer", []Kind{Error, Delay, Hang}, []string{OrderID}},
}

// Lookup returns what there is to know of a point.
func Lookup(p Point) (Info, bool) {
	i := slices.IndexFunc(catalogue, func(i Info) bool { return i.Point == p })
	if i < 0 {
		return Info{}, false
	}
	return catalogue[i], true
}

// Catalogue returns all points of all programs but the broker's, which stands alone.
func Catalogue() []Info { return slices.Clone(catalogue) }

// ConsumerPoints are the points of every program that reads messages by package messaging.
func ConsumerPoints() []Point {
	return []Point{
		ConsumeBeforeEffect, ConsumeAfterEffect, ConsumeAfterAck,
		DeadLetterBeforePublish, DeadLetterAfterPublish, RetryBeforePublish, RetryAfterPublish,
	}
}

// RelayPoints are the points of every program that has an outbox.
func RelayPoints() []Point { return []Point{RelayBeforePublish, RelayAfterPublish, RelayAfterMark} }

// SMTPPoints are the points of the mail catcher.
func SMTPPoints() []Point { return []Point{SMTPConnect, SMTPBeforeTake, SMTPAfterTake} }
