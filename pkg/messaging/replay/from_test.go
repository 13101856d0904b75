package replay

import (
	"strings"
	"testing"
)

func TestParseFrom(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"beginning":                 "beginning",
		"120":                       "120",
		"0":                         "0",
		"0:120,1:98":                "0:120,1:98",
		"orders/0:5,inventory/1:6":  "orders/0:5,inventory/1:6",
		"2026-11-27T08:15:00Z":      "2026-11-27T08:15:00Z",
		"2026-11-27T15:15:00+07:00": "2026-11-27T08:15:00Z",
	} {
		from, err := ParseFrom(text)
		if err != nil || from.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, from, err, want)
		}
		if again, err := ParseFrom(from.String()); err != nil || again.String() != want {
			t.Errorf("%q does not come back: %q, %v", text, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                          "none of the forms",
		"yesterday":                 "none of the forms",
		"2026-11-27":                "none of the forms",
		"0001-01-01T00:00:00Z":      "outside of the years",
		"-1":                        "is negative",
		"0:-1":                      "none of the forms",
		"0:1,":                      "none of the forms",
		"/0:1":                      "none of the forms",
		"9999999999:1":              "none of the forms",
		"99999999999999999999":      "none of the forms",
		"0:1,0:2":                   "names a partition twice",
		strings.Repeat("0:1,", 2e3): "more than 1000",
	} {
		if _, err := ParseFrom(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "allowed: beginning") || len(err.Error()) > 400 {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
