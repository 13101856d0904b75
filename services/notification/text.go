package notification

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"millrace/pkg/events"
)

//go:embed mails/*.txt
var mailFiles embed.FS

// text is a template file: its first line is the subject, the rest after a blank
// line is the body, Vietnamese first and English below.
type text struct{ subject, body *template.Template }

var (
	confirmationText = mustParse("confirmation")
	reservedText     = mustParse("reserved")
	rejectedText     = mustParse("rejected")
)

func mustParse(name string) text {
	content, err := mailFiles.ReadFile("mails/" + name + ".txt")
	if err != nil {
		panic(err)
	}
	subject, body, found := strings.Cut(string(content), "\n\n")
	if !found {
		panic("mails/" + name + ".txt: want a subject, a blank line and the body")
	}
	functions := template.FuncMap{"vi": reasonVI, "en": reasonEN}
	return text{
		subject: template.Must(template.New(name + " subject").Funcs(functions).Parse(subject)),
		body:    template.Must(template.New(name + " body").Funcs(functions).Parse(body)),
	}
}

func newMail(orderID, customerID string, kind Kind, date time.Time, t text, event any) (Mail, error) {
	var subject, body strings.Builder
	if err := t.subject.Execute(&subject, event); err != nil {
		return Mail{}, fmt.Errorf("subject of the mail: %w", err)
	}
	if err := t.body.Execute(&body, event); err != nil {
		return Mail{}, fmt.Errorf("text of the mail: %w", err)
	}
	return Mail{
		OrderID: orderID, Kind: kind, Recipient: Address(customerID),
		MessageID: messageID(orderID, kind),
		Subject:   oneLine(subject.String()), Text: body.String(), Date: date,
	}, nil
}

// messageID keeps to the characters of RFC 5322's dot-atom, whatever the order id is.
func messageID(orderID string, kind Kind) string {
	local, _, _ := strings.Cut(Address(orderID), "@")
	return local + "." + strings.ToLower(string(kind)) + "@" + mailDomain
}

// oneLine makes control characters of a header spaces: a line break in an id must
// not begin a header of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func reasonVI(r events.Reason) string {
	switch r {
	case events.ReasonInsufficientStock:
		return "không đủ hàng trong kho"
	case events.ReasonUnknownProduct:
		return "sản phẩm không có trong kho"
	default:
		return string(r)
	}
}

func reasonEN(r events.Reason) string {
	switch r {
	case events.ReasonInsufficientStock:
		return "not enough in stock"
	case events.ReasonUnknownProduct:
		return "not a product we have in stock"
	default:
		return string(r)
	}
}
