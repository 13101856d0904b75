package broker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
	"millrace/broker/internal/record"
	"millrace/broker/internal/server"
)

var updateAuthorize = flag.Bool("update-authorize", false, "write testdata/authorize.txt anew, as the broker of MILLRACE_PEER_ACL answers")

// asking is one request, and what a client has to be granted, one after the other, until it is done.
type asking struct {
	what    string
	version int16
	req     kmsg.Request
	grants  []string // OPERATION TYPE NAME
}

// unasked are the keys that nobody needs to be allowed, and why.
var unasked = map[int16]string{
	17: "the log-in", 18: "before the log-in", 36: "the log-in",
	38: "one's own tokens", 39: "one's own tokens", 40: "one's own tokens", 41: "one's own tokens",
}

// known is what the requests name.
type known struct {
	orders, doomed [16]byte
	batch, inTxn   []byte
}

// TestAuthorize_EveryKey sends requests of each key as somebody who may do nothing, and again after each grant. The answers are
// compared with those of Apache Kafka 4.3.1, from which testdata/authorize.txt was recorded:
//
//	MILLRACE_PEER_ACL=PLAINTEXT-ADDRESS,SASL_PLAINTEXT-ADDRESS go test -parallel 1 -run Authorize_EveryKey -update-authorize .
//
// That Kafka has super.users=User:ANONYMOUS, and alice with the password alice-secret by PLAIN.
func TestAuthorize_EveryKey(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	a := authorizing(t)
	k := a.setUp()
	seen := map[int16]bool{}
	for _, c := range askings(k) {
		key := c.req.Key()
		seen[key] = true
		name := kmsg.NameForKey(key)
		if c.what != "" {
			name += ", " + c.what
		}
		fmt.Fprintf(&out, "%s (v%d)\n  nothing: %s\n", name, c.version, a.ask(c))
		for _, grant := range c.grants {
			a.grant(grant)
			fmt.Fprintf(&out, "  %s: %s\n", grant, a.ask(c))
		}
		a.revoke()
	}
	for _, r := range server.Registered() {
		if !seen[r.Key] && unasked[r.Key] == "" {
			t.Errorf("key %d, %s, has no case here", r.Key, kmsg.NameForKey(r.Key))
		}
	}
	compareAnswers(t, filepath.Join("testdata", "authorize.txt"), out.String())
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// authorized is a broker with an authorizer, its administrator, and alice.
type authorized struct {
	t     *testing.T
	plain *kgo.Client // of the administrator
	admin *kadm.Client
	alice *raw
	bound []kadm.ACLBuilder
}

// withAuthorizer are the settings of a broker with an authorizer, and with a listener for each protocol.
func withAuthorizer(addresses map[string]string) []brokertest.Option {
	options := []brokertest.Option{
		brokertest.WithSetting("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"), brokertest.WithSetting("super.users", "User:ANONYMOUS;User:admin"),
		brokertest.WithSetting("listener.name.sasl_plaintext.plain.sasl.jaas.config", plainUsers),
	}
	for protocol, address := range addresses {
		options = append(options, brokertest.WithListen(protocol+"://"+address))
	}
	return options
}

func authorizing(t *testing.T) *authorized {
	t.Helper()
	var addresses map[string]string
	if peer := os.Getenv("MILLRACE_PEER_ACL"); peer != "" {
		plain, sasl, _ := strings.Cut(peer, ",")
		addresses = map[string]string{"PLAINTEXT": plain, "SASL_PLAINTEXT": sasl}
	} else {
		addresses = map[string]string{"PLAINTEXT": brokertest.FreeAddr(t), "SASL_PLAINTEXT": brokertest.FreeAddr(t)}
		brokertest.Start(t, withAuthorizer(addresses)...)
	}
	a := &authorized{t: t, plain: client(t, addresses["PLAINTEXT"]), alice: dialRaw(t, addresses["SASL_PLAINTEXT"])}
	a.admin = kadm.NewClient(a.plain)
	if err := a.alice.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	a.alice.ask(handshake("PLAIN"), 1)
	if resp, ok := a.alice.ask(token("\x00alice\x00alice-secret"), 2).(*kmsg.SASLAuthenticateResponse); !ok || resp.ErrorCode != 0 {
		t.Fatalf("alice cannot log in: %+v", resp)
	}
	return a
}

// setUp makes the topics and the groups that requests name.
func (a *authorized) setUp() (k known) {
	a.t.Helper()
	ctx := a.t.Context()
	_, _ = a.admin.DeleteTopics(ctx, "orders", "doomed", "auto") // of a run before
	_, _ = a.admin.DeleteGroups(ctx, "sharing", "group")
	for _, topic := range []string{"orders", "doomed"} {
		for {
			_, err := a.admin.CreateTopic(ctx, 1, 1, nil, topic)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				a.t.Fatal(err)
			}
		}
	}
	a.await("the topics", func() bool {
		topics, err := a.admin.ListTopics(ctx, "orders", "doomed")
		ends, endsErr := a.admin.ListEndOffsets(ctx, "orders", "doomed")
		if err != nil || endsErr != nil || topics.Error() != nil || ends.Error() != nil {
			return false
		}
		k.orders, k.doomed = topics["orders"].ID, topics["doomed"].ID
		return true
	})
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 0, -1)
	a.await("the group", func() bool { return a.admin.CommitAllOffsets(ctx, "group", offsets) == nil })
	a.await("the coordinator", func() bool { return a.admin.FindTxnCoordinators(ctx, "txn").Error() == nil })
	k.batch = batchOf(a.t, &record.Builder{})
	k.inTxn = batchOf(a.t, &record.Builder{Idempotent: true, ProducerID: 999_999, Transactional: true})
	return k
}

func batchOf(t *testing.T, b *record.Builder) []byte {
	t.Helper()
	b.Add(time.Now().UnixMilli(), nil, []byte("v"))
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func (a *authorized) await(what string, ready func() bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.t.Fatalf("%s: not within a minute", what)
		}
	}
}

// retried are answers of a broker that has only just begun, or that is not done with what was before.
var retried = []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.ConcurrentTransactions}

func (a *authorized) ask(c asking) (answer string) {
	a.t.Helper()
	a.await(c.what, func() bool {
		resp := a.alice.ask(c.req, c.version)
		if resp == nil {
			a.t.Fatalf("%T: the connection was closed", c.req)
		}
		answer = summary(resp)
		return !slices.ContainsFunc(retried, func(err *kerr.Error) bool { return strings.Contains(answer, err.Message) })
	})
	return answer
}

var aclTypes = map[string]func(*kadm.ACLBuilder, string){
	"topic": func(b *kadm.ACLBuilder, n string) { b.Topics(n) }, "group": func(b *kadm.ACLBuilder, n string) { b.Groups(n) },
	"cluster": func(b *kadm.ACLBuilder, _ string) { b.Clusters() }, "transactional-id": func(b *kadm.ACLBuilder, n string) { b.TransactionalIDs(n) },
}

// grant lets alice do an operation, and waits until the broker knows.
func (a *authorized) grant(what string) {
	a.t.Helper()
	words := strings.Fields(what)
	op, err := kmsg.ParseACLOperation(strings.ReplaceAll(words[0], "-", "_"))
	if err != nil {
		a.t.Fatal(err)
	}
	b := kadm.NewACLs().Allow("User:alice").AllowHosts("*").Operations(op).ResourcePatternType(kmsg.ACLResourcePatternTypeLiteral)
	aclTypes[words[1]](b, at(words, 2))
	created, err := a.admin.CreateACLs(a.t.Context(), b)
	if err != nil || created[0].Err != nil {
		a.t.Fatalf("grant %s: %v, %+v", what, err, created)
	}
	a.awaitBindings(len(a.bound) + 1)
	a.bound = append(a.bound, *b)
}

// revoke takes back all that alice was granted.
func (a *authorized) revoke() {
	a.t.Helper()
	for i := range a.bound {
		if _, err := a.admin.DeleteACLs(a.t.Context(), &a.bound[i]); err != nil {
			a.t.Fatal(err)
		}
	}
	a.bound = nil
	a.awaitBindings(0)
}

func (a *authorized) awaitBindings(n int) {
	a.t.Helper()
	all := kadm.NewACLs().AnyResource().Allow().AllowHosts().Deny().DenyHosts().Operations(kmsg.ACLOperationAny).ResourcePatternType(kmsg.ACLResourcePatternTypeAny)
	a.await("bindings", func() bool {
		described, err := a.admin.DescribeACLs(a.t.Context(), all)
		if err != nil {
			a.t.Fatal(err)
		}
		have := 0
		seen := map[kadm.DescribedACL]bool{}
		for _, d := range described {
			for _, acl := range d.Described {
				if !seen[acl] {
					seen[acl] = true
					have++
				}
			}
		}
		return have == n
	})
}

// summary tells of an answer which things it names, their errors, and what may be done with them.
func summary(resp kmsg.Response) string {
	var parts []string
	summarize(reflect.ValueOf(resp).Elem(), &parts)
	slices.Sort(parts)
	if len(parts) == 0 {
		return "ok"
	}
	return strings.Join(parts, " ")
}

var naming = []string{"Topic", "Name", "Group", "GroupID", "Key", "TransactionalID", "ResourceName", "User"}

func summarize(v reflect.Value, parts *[]string) {
	label, said := "", ""
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		switch {
		case slices.Contains(naming, name) && f.Kind() == reflect.String:
			label += f.String()
		case name == "ErrorCode" || name == "ConfigErrorCode" || name == "AcknowledgeErrorCode":
			if code := int16(f.Int()); code != 0 {
				said += ":" + kerr.TypedErrorForCode(code).Message
			}
		case strings.HasSuffix(name, "AuthorizedOperations") && f.Int() != -1<<31:
			said += fmt.Sprintf(" may %013b", f.Int())
		}
	}
	if label != "" || said != "" {
		*parts = append(*parts, label+said)
	}
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case slices.Contains([]string{"Configs", "Brokers", "Nodes", "UnknownTags"}, v.Type().Field(i).Name):
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				summarize(f.Index(j), parts)
			}
		case f.Kind() == reflect.Struct:
			summarize(f, parts)
		}
	}
}
