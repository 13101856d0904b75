package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"millrace/pkg/problem"
	"millrace/services/order"
)

// readRequest reads the body of POST /orders. What it returns has the right
// shape; the rules of an order are the domain's to check.
func readRequest(w http.ResponseWriter, r *http.Request) (order.Request, error) {
	body, err := problem.Body(w, r)
	if err != nil {
		return order.Request{}, err
	}
	var request order.Request
	body.Object(func(name string) bool {
		switch name {
		case "customer_id":
			request.CustomerID = body.String()
		case "items":
			// One more than allowed is kept, so that the rule sees that there are too many.
			body.Array(order.MaxItems+1, func(int) {
				var line order.Line
				body.Object(func(name string) bool {
					switch name {
					case "product_id":
						line.ProductID = body.String()
					case "quantity":
						line.Quantity = body.Int()
					default:
						return false
					}
					return true
				}, "product_id", "quantity")
				request.Lines = append(request.Lines, line)
			})
		default:
			return false
		}
		return true
	}, "customer_id", "items")
	return request, body.Err()
}

const (
	idempotencyHeader = "Idempotency-Key"
	maxKeyLength      = 128
)

// idempotencyKey reads the header of draft-ietf-httpapi-idempotency-key-header:
// a structured field string ("…", RFC 8941). Most clients send it bare: taken too.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values(idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	fail := func(rule, detail string) (string, error) {
		return "", &problem.ParameterError{Parameter: idempotencyHeader, Rule: rule, Detail: detail}
	}
	if len(values) > 1 {
		return fail("single", "may be given once")
	}
	key := values[0]
	if strings.HasPrefix(key, `"`) {
		inner, ok := unquote(key)
		if !ok {
			return fail("pattern", `must be a string in double quotes (RFC 8941), or bare`)
		}
		key = inner
	}
	switch {
	case key == "":
		return fail("minLength", "must not be empty")
	case len(key) > maxKeyLength:
		return fail("maxLength", "must have at most "+strconv.Itoa(maxKeyLength)+" characters")
	case strings.ContainsFunc(key, func(c rune) bool { return c < 0x21 || c > 0x7e }):
		return fail("pattern", "may have visible ASCII characters only")
	}
	return key, nil
}

// unquote reads a structured field string: in quotes, with \" and \\ as escapes.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", false
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		text = append(text, s[i])
	}
	return string(text), true
}

const (
	defaultLimit = 20
	maxLimit     = 200
)

// readFilter reads the query of GET /orders.
func readFilter(query url.Values) (order.Filter, error) {
	f := order.Filter{Limit: defaultLimit}
	for name, values := range query {
		fail := func(rule, detail string) (order.Filter, error) {
			return order.Filter{}, &problem.ParameterError{Parameter: name, Rule: rule, Detail: detail}
		}
		if len(values) > 1 {
			return fail("single", "may be given once")
		}
		value := values[0]
		switch name {
		case "limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > maxLimit {
				return fail("range", "must be a whole number from 1 to "+strconv.Itoa(maxLimit))
			}
			f.Limit = n
		case "cursor":
			if len(value) != 36 || uuid.Validate(value) != nil { // an order id in its usual form
				return fail("cursor", "must be the next_cursor of another page")
			}
			f.Before = value
		case "status":
			f.Status = order.Status(value)
			if !f.Status.Valid() {
				return fail("enum", "must be one of "+statusNames())
			}
		case "customer_id":
			if !order.WellFormedCustomerID(value) {
				return fail("pattern", "must have 1 to "+strconv.Itoa(order.MaxCustomerIDLength)+" letters, digits, _ or -")
			}
			f.CustomerID = value
		default:
			allowed := []string{"limit", "cursor", "status", "customer_id"}
			slices.Sort(allowed)
			return fail("unknown", "is not a parameter of this path; there are "+strings.Join(allowed, ", "))
		}
	}
	return f, nil
}

func statusNames() string {
	names := make([]string, len(order.Statuses))
	for i, s := range order.Statuses {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
