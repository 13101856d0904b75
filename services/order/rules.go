package order

import "strconv"

// Violation is one rule that a request breaks.
type Violation struct {
	Pointer string // JSON pointer (RFC 6901) to the field
	Rule    string // keyword: the JSON Schema word where there is one
	Detail  string // one sentence with what is allowed
}

// maxViolations bounds the answer to a request that is wrong all over.
const maxViolations = 20

// Check applies every rule to a request. It returns nil or an *InvalidError.
func Check(r Request, c Catalogue) error {
	var v violations
	checkCustomerID(&v, r.CustomerID)
	switch n := len(r.Lines); {
	case n == 0:
		v.add("/items", "minItems", "an order needs at least one item")
	case n > MaxItems:
		v.add("/items", "maxItems", "an order takes at most "+strconv.Itoa(MaxItems)+" items, not "+strconv.Itoa(n))
	default:
		for i, line := range r.Lines {
			checkLine(&v, r.Lines[:i], i, line, c)
		}
	}
	if len(v) == 0 {
		return nil
	}
	return &InvalidError{Violations: v}
}

type violations []Violation

func (v *violations) add(pointer, rule, detail string) {
	if len(*v) < maxViolations {
		*v = append(*v, Violation{Pointer: pointer, Rule: rule, Detail: detail})
	}
}

func checkCustomerID(v *violations, id string) {
	const at = "/customer_id"
	switch {
	case id == "":
		v.add(at, "minLength", "must not be empty")
	case len(id) > MaxCustomerIDLength:
		v.add(at, "maxLength", "must have at most "+strconv.Itoa(MaxCustomerIDLength)+" characters")
	case !wellFormedID(id):
		v.add(at, "pattern", "may have letters a-z A-Z, digits, _ and - only")
	}
}

// checkLine looks at one line; before holds the lines that stand above it.
func checkLine(v *violations, before []Line, i int, line Line, c Catalogue) {
	at := "/items/" + strconv.Itoa(i)
	switch _, known := c[line.ProductID]; {
	case line.ProductID == "":
		v.add(at+"/product_id", "minLength", "must not be empty")
	case !known:
		v.add(at+"/product_id", "unknownProduct", "no such product; GET /products lists them")
	default:
		for j := range before {
			if before[j].ProductID == line.ProductID {
				v.add(at+"/product_id", "uniqueItems", "is already in /items/"+strconv.Itoa(j)+"; put both quantities into one item")
				break
			}
		}
	}
	switch {
	case line.Quantity < 1:
		v.add(at+"/quantity", "minimum", "must be at least 1")
	case line.Quantity > MaxQuantity:
		v.add(at+"/quantity", "maximum", "must be at most "+strconv.Itoa(MaxQuantity))
	}
}

// wellFormedID allows what is safe in a URL, a log line and the local part of a
// mail address, the last because the customer's address is made from the id.
func wellFormedID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return id != ""
}

// WellFormedCustomerID reports whether id keeps the rule for customer ids.
func WellFormedCustomerID(id string) bool {
	return len(id) <= MaxCustomerIDLength && wellFormedID(id)
}
