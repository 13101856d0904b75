package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quotaRequest builds the requests about quotas; nil for any other command. Words of an
// entity or a filter begin with "@": @user=alice, @user=<default>, in a filter also @user=<any>.
func quotaRequest(d *datadriven.TestData, items []adminItem) kmsg.Request {
	switch d.Cmd {
	case "alter-client-quotas":
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.ValidateOnly = d.HasArg("validate-only")
		for _, i := range items {
			e := kmsg.NewAlterClientQuotasRequestEntry()
			for _, k := range i.keys {
				if of, ok := strings.CutPrefix(k, "@"); ok {
					part := kmsg.AlterClientQuotasRequestEntryEntity{Type: of}
					if name := i.args[k]; name != "<default>" {
						part.Name = kmsg.StringPtr(unquoteAdmin(name))
					}
					e.Entity = append(e.Entity, part)
					continue
				}
				op := kmsg.AlterClientQuotasRequestEntryOp{Key: k, Remove: i.args[k] == "<null>"}
				if !op.Remove {
					value, err := strconv.ParseFloat(i.args[k], 64)
					if err != nil {
						panic(err)
					}
					op.Value = value
				}
				e.Ops = append(e.Ops, op)
			}
			req.Entries = append(req.Entries, e)
		}
		return req
	case "describe-client-quotas":
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Strict = d.HasArg("strict")
		for _, i := range items {
			for _, k := range i.keys {
				c := kmsg.NewDescribeClientQuotasRequestComponent()
				c.EntityType = strings.TrimPrefix(k, "@")
				switch value := i.args[k]; value {
				case "<default>":
					c.MatchType = 1
				case "<any>":
					c.MatchType = 2
				default:
					kind, name, typed := strings.Cut(value, "/") // 1/name: a match that does not fit its type
					if n, err := strconv.Atoi(kind); typed && err == nil {
						c.MatchType, value = kmsg.QuotasMatchType(n), name
					}
					c.Match = nullable(unquoteAdmin(value))
				}
				req.Components = append(req.Components, c)
			}
		}
		return req
	}
	return nil
}

// printQuotas shows the answers to them.
func printQuotas(out *strings.Builder, resp kmsg.Response) {
	var lines []string
	switch r := resp.(type) {
	case *kmsg.AlterClientQuotasResponse:
		for _, e := range r.Entries {
			var parts []string
			for _, p := range e.Entity {
				parts = append(parts, p.Type+"="+shownName(p.Name))
			}
			slices.Sort(parts)
			lines = append(lines, fmt.Sprintf("%s: %s%s\n", strings.Join(parts, " "), codeName(e.ErrorCode), shownMessage(e.ErrorMessage)))
		}
	case *kmsg.DescribeClientQuotasResponse:
		fmt.Fprintf(out, "%s%s entries=%v\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage), r.Entries != nil)
		for _, e := range r.Entries {
			var parts, values []string
			for _, p := range e.Entity {
				parts = append(parts, p.Type+"="+shownName(p.Name))
			}
			for _, v := range e.Values {
				values = append(values, fmt.Sprintf("%s=%v", v.Key, v.Value))
			}
			slices.Sort(values)
			lines = append(lines, fmt.Sprintf("%s: %s\n", strings.Join(parts, " "), strings.Join(values, " ")))
		}
	default:
		fmt.Fprintf(out, "%T\n", resp)
	}
	slices.Sort(lines)
	out.WriteString(strings.Join(lines, ""))
}
