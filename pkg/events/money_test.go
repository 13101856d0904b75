package events_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"millrace/pkg/events"
)

func TestParseMoney(t *testing.T) {
	for text, want := range map[string]events.Money{
		"0": 0, "0.00": 0, "-0": 0, "12": 1200, "12.5": 1250, "12.50": 1250, "12.5000": 1250, "-0.01": -1,
		"1.25e1": 1250, "125e-1": 1250, "1E2": 10000, "0.1": 10, "0.07": 7, "1e-2": 1, "0e-30": 0,
		"92233720368547758.07": math.MaxInt64,
	} {
		if got, err := events.ParseMoney(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " 1", "1 ", "+1", ".5", "1.", "01", "0x10", "1_0", "NaN", "Infinity", "1.005", "1e-3",
		"92233720368547758.08", "1e31", "1e99999999999", "--1", "1,5", "true"} {
		if got, err := events.ParseMoney(text); err == nil {
			t.Errorf("%q was accepted as %d", text, got)
		}
	}
}

func TestMoney_JSON(t *testing.T) {
	for money, want := range map[events.Money]string{
		0: "0.00", 7: "0.07", 1250: "12.50", -1: "-0.01", -1250: "-12.50",
		math.MaxInt64: "92233720368547758.07", math.MinInt64: "-92233720368547758.08",
	} {
		if got, err := json.Marshal(money); err != nil || string(got) != want || money.String() != want {
			t.Errorf("%d: got %s, %v, want %s", money, got, err, want)
		}
	}
	// 0.1+0.2 and friends: what a float would get wrong.
	var sum events.Money
	if err := json.Unmarshal([]byte(`"70368744177664.07"`), &sum); err != nil || sum != 7036874417766407 {
		t.Errorf("got %d, %v", sum, err)
	}
}

func TestMoney_Arithmetic(t *testing.T) {
	if got, ok := events.Money(1250).Times(3); !ok || got != 3750 {
		t.Errorf("got %d, %v", got, ok)
	}
	if got, ok := events.Money(1250).Plus(-50); !ok || got != 1200 {
		t.Errorf("got %d, %v", got, ok)
	}
	for name, ok := range map[string]bool{
		"times":         second(events.Money(math.MaxInt64).Times(2)),
		"times minimum": second(events.Money(-1).Times(math.MinInt64)),
		"minimum times": second(events.Money(math.MinInt64).Times(-1)),
		"plus":          second(events.Money(math.MaxInt64).Plus(1)),
		"minus":         second(events.Money(math.MinInt64).Plus(-1)),
	} {
		if ok {
			t.Error(name, "does not notice the overflow")
		}
	}
}

func second(_ events.Money, ok bool) bool { return ok }

func TestUnitPrices_RoundTripAndRefusals(t *testing.T) {
	want := []events.Money{1250, 0, 7}
	text := events.FormatUnitPrices(want)
	if got, err := events.ParseUnitPrices(text, 3); err != nil || text != "12.50,0.00,0.07" || !slices.Equal(got, want) {
		t.Errorf("%q came back as %v, %v", text, got, err)
	}
	for text, items := range map[string]int{"": 1, "12.50": 2, "12.50,1.00": 1, "-1.00": 1, "12.505": 1, "1,,2": 3, "much": 1, "1.00": 0} {
		var header *events.HeaderError
		if _, err := events.ParseUnitPrices(text, items); !errors.As(err, &header) || header.Header != events.HeaderUnitPrices {
			t.Errorf("%q for %d items: %v", text, items, err)
		}
	}
}
