package notification

import (
	"flag"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = time.Date(2026, 3, 14, 8, 30, 0, 0, time.UTC)

func TestMailOf_Golden(t *testing.T) {
	items := []events.Item{{ProductID: "coffee-beans", Quantity: 2}, {ProductID: "tea-pot", Quantity: 1}}
	for name, event := range map[string]events.Event{
		"confirmation": events.OrderCreated{OrderID: "o-1", CustomerID: "customer_123", Items: items, Total: 4550, Timestamp: at},
		"reserved":     events.InventoryReserved{OrderID: "o-1", CustomerID: "customer_123", Items: items, Timestamp: at},
		"rejected": events.InventoryRejected{OrderID: "o-1", CustomerID: "customer_123", Reason: events.ReasonInsufficientStock,
			ProductID: "tea-pot", Wanted: 1, Available: 0, Timestamp: at},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := MailOf(event)
			if err != nil {
				t.Fatal(err)
			}
			got := "To: " + m.Recipient + "\nMessage-ID: " + m.MessageID + "\nSubject: " + m.Subject + "\n\n" + m.Text
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("mail:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// Each order has two mails, and each has one Message-ID however often it is made.
func TestMailOf_MessageIDTellsKindsApart(t *testing.T) {
	created, _ := MailOf(events.OrderCreated{OrderID: "o-1"})
	again, _ := MailOf(events.OrderCreated{OrderID: "o-1"})
	reserved, _ := MailOf(events.InventoryReserved{OrderID: "o-1"})
	rejected, _ := MailOf(events.InventoryRejected{OrderID: "o-1"})
	if created.MessageID != again.MessageID {
		t.Errorf("two ids for one mail: %s, %s", created.MessageID, again.MessageID)
	}
	if created.MessageID == reserved.MessageID {
		t.Errorf("one id for two kinds: %s", created.MessageID)
	}
	if reserved.MessageID != rejected.MessageID {
		t.Errorf("an order has one outcome, so one id: %s, %s", reserved.MessageID, rejected.MessageID)
	}
}

func TestAddress(t *testing.T) {
	for id, want := range map[string]string{
		"customer_123":           "customer_123@example.com",
		"a.b":                    "a.b@example.com",
		".a..b.":                 "_a._b_@example.com",
		"khách hàng":             "kh_ch_h_ng@example.com",
		"a@evil.test":            "a_evil.test@example.com",
		"a\r\nBcc: b":            "a__Bcc__b@example.com",
		strings.Repeat("x", 300): strings.Repeat("x", 64) + "@example.com",
	} {
		if got := Address(id); got != want {
			t.Errorf("Address(%q) = %s, want %s", id, got, want)
		}
	}
}

// Whatever an id holds, the address is one address and no header has a line break.
func FuzzMailOf(f *testing.F) {
	f.Add("o-1", "customer_123")
	f.Add("o\r\nBcc: x@example.com", "<a@b>, c@d")
	f.Add("", "...")
	f.Fuzz(func(t *testing.T, orderID, customerID string) {
		m, err := MailOf(events.OrderCreated{OrderID: orderID, CustomerID: customerID, Timestamp: at})
		if err != nil {
			t.Fatal(err)
		}
		if customerID != "" {
			if address, err := mail.ParseAddress(m.Recipient); err != nil || address.Address != m.Recipient {
				t.Errorf("recipient %q of customer %q: %v", m.Recipient, customerID, err)
			}
		}
		if strings.ContainsAny(m.Subject+m.MessageID+m.Recipient, "\r\n") {
			t.Errorf("line break in a header of %+v", m)
		}
	})
}
