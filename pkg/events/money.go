package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Money is an amount in hundredths of the currency unit. In JSON it is a number
// with exactly two decimals; it is never a float, neither here nor on the way:
//
//	Money(1250)  <->  12.50
type Money int64

// ParseMoney reads a decimal number such as "12", "12.5", "-12.50" or "1.25e1".
// More than two decimals are accepted only when they are zero.
func ParseMoney(s string) (Money, error) {
	fail := func(why string) (Money, error) {
		return 0, fmt.Errorf("%q is no amount of money: %s", shorten(s), why)
	}
	// The grammar is JSON's: it keeps out "+1", "0x1", "1_0", "NaN", ".5" and spaces.
	if !isJSONNumber(s) {
		return fail("want a decimal number like 12.50")
	}
	digits, negative := s, false
	if digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	exponent := 0
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		e, err := strconv.Atoi(digits[i+1:])
		if err != nil || e < -30 || e > 30 {
			return fail("its exponent is out of range")
		}
		digits, exponent = digits[:i], e
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	// Move the decimal point to two places behind: what remains right of it must be zero.
	digits = whole + fraction
	point := len(whole) + exponent + 2
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	if strings.Trim(digits[point:], "0") != "" {
		return fail("it has more than two decimals")
	}
	digits = strings.TrimLeft(digits[:point], "0")
	if digits == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return fail("it is too large")
	}
	if negative {
		n = -n
	}
	return Money(n), nil
}

// Times returns the amount n times, and whether the result can be represented.
func (m Money) Times(n int64) (Money, bool) {
	product := int64(m) * n
	if m != 0 && (product/int64(m) != n || (int64(m) == -1 && n == math.MinInt64)) {
		return 0, false
	}
	return Money(product), true
}

// Plus returns the sum, and whether the result can be represented.
func (m Money) Plus(other Money) (Money, bool) {
	sum := m + other
	if (other > 0 && sum < m) || (other < 0 && sum > m) {
		return 0, false
	}
	return sum, true
}

// String returns the amount with two decimals.
func (m Money) String() string { return string(m.append(make([]byte, 0, 24))) }

// MarshalJSON returns the amount as a number with two decimals.
func (m Money) MarshalJSON() ([]byte, error) { return m.append(make([]byte, 0, 24)), nil }

// UnmarshalJSON accepts a number, or a string that holds one.
func (m *Money) UnmarshalJSON(data []byte) error {
	text := string(data)
	if bytes.HasPrefix(data, []byte{'"'}) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	parsed, err := ParseMoney(text)
	if err != nil {
		// encoding/json fills in the name of the field.
		return &json.UnmarshalTypeError{Value: shorten(string(data)), Type: reflect.TypeFor[Money]()}
	}
	*m = parsed
	return nil
}

func (m Money) append(b []byte) []byte {
	n := uint64(m)
	if m < 0 {
		b = append(b, '-')
		n = -n
	}
	b = strconv.AppendUint(b, n/100, 10)
	return append(b, '.', byte('0'+n/10%10), byte('0'+n%10))
}

func isJSONNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s)) && s[len(s)-1] != ' '
}

func shorten(s string) string {
	const limit = 40
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// FormatUnitPrices returns the value of [HeaderUnitPrices]: "12.50,5.49".
func FormatUnitPrices(prices []Money) string {
	texts := make([]string, len(prices))
	for i, price := range prices {
		texts[i] = price.String()
	}
	return strings.Join(texts, ",")
}

// ParseUnitPrices reads the value of [HeaderUnitPrices] for an order with so many
// items. An error is a *[HeaderError].
func ParseUnitPrices(value string, items int) ([]Money, error) {
	wrong := func(rule string) error {
		return &HeaderError{Header: HeaderUnitPrices, Value: shorten(value), Rule: rule}
	}
	if items < 1 || strings.Count(value, ",") != items-1 {
		return nil, wrong("must hold one price for each of the " + strconv.Itoa(items) + " items")
	}
	prices := make([]Money, 0, items)
	for text := range strings.SplitSeq(value, ",") {
		price, err := ParseMoney(text)
		if err != nil || price < 0 {
			return nil, wrong("must be amounts like 12.50, zero or more")
		}
		prices = append(prices, price)
	}
	return prices, nil
}
