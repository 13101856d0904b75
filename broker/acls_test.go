package broker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"millrace/broker/brokertest"
)

// TestACLs_AnswersAreKafkas creates, lists and deletes bindings, well and badly, and compares the answers with those of Apache
// Kafka 4.3.1; it is recorded as authorize.txt is.
func TestACLs_AnswersAreKafkas(t *testing.T) {
	t.Parallel()
	a := authorizing(t)
	var out strings.Builder
	say := func(what string, code int16, message *string) {
		line := "ok"
		if code != 0 {
			line = kerr.TypedErrorForCode(code).Message
		}
		if message != nil && *message != "" {
			line += " " + *message
		}
		fmt.Fprintf(&out, "%s: %s\n", what, line)
	}
	ask := func(req kmsg.Request) kmsg.Response {
		t.Helper()
		resp, err := a.plain.Request(t.Context(), req)
		if err != nil {
			return nil
		}
		return resp
	}
	type binding = kmsg.CreateACLsRequestCreation
	good := func(change func(*binding)) binding {
		b := binding{ResourceType: 2, ResourceName: "acl-orders", ResourcePatternType: 3, Principal: "User:alice", Host: "*", Operation: 3, PermissionType: 3}
		change(&b)
		return b
	}
	for _, c := range []struct {
		what string
		b    binding
	}{
		{"create", good(func(*binding) {})},
		{"create again", good(func(*binding) {})},
		{"prefixed", good(func(b *binding) { b.ResourcePatternType, b.ResourceName = 4, "acl-" })},
		{"all names", good(func(b *binding) { b.ResourceName = "*" })},
		{"deny", good(func(b *binding) { b.PermissionType, b.Operation, b.Host = 2, 4, "10.0.0.1" })},
		{"group", good(func(b *binding) { b.ResourceType, b.Operation = 3, 2 })},
		{"cluster", good(func(b *binding) { b.ResourceType, b.ResourceName, b.Operation = 4, "kafka-cluster", 9 })},
		{"transactional id", good(func(b *binding) { b.ResourceType, b.Operation = 5, 15 })},
		{"delegation token", good(func(b *binding) { b.ResourceType, b.Operation = 6, 8 })},
		{"user", good(func(b *binding) { b.ResourceType, b.Operation = 7, 13 })},
		{"an operation of other resources", good(func(b *binding) { b.Operation = 12 })},
		{"another cluster", good(func(b *binding) { b.ResourceType, b.ResourceName = 4, "mine" })},
		{"no name", good(func(b *binding) { b.ResourceName = "" })},
		{"type any", good(func(b *binding) { b.ResourceType = 1 })},
		{"type unknown", good(func(b *binding) { b.ResourceType = 99 })},
		{"pattern any", good(func(b *binding) { b.ResourcePatternType = 1 })},
		{"pattern match", good(func(b *binding) { b.ResourcePatternType = 2 })},
		{"pattern unknown", good(func(b *binding) { b.ResourcePatternType = 9 })},
		{"operation any", good(func(b *binding) { b.Operation = 1 })},
		{"operation unknown", good(func(b *binding) { b.Operation = 99 })},
		{"permission any", good(func(b *binding) { b.PermissionType = 1 })},
		{"permission unknown", good(func(b *binding) { b.PermissionType = 9 })},
		{"no principal", good(func(b *binding) { b.Principal = "" })},
		{"principal without a type", good(func(b *binding) { b.Principal = "alice" })},
		{"principal without a name", good(func(b *binding) { b.Principal = "User:" })},
		{"principal without a type, with a colon", good(func(b *binding) { b.Principal = ":alice" })},
		{"another type of principal", good(func(b *binding) { b.Principal = "Group:staff" })},
		{"no host", good(func(b *binding) { b.Host = "" })},
		{"host is a name", good(func(b *binding) { b.Host = "example.org" })},
	} {
		req := kmsg.NewPtrCreateACLsRequest()
		req.Creations = []binding{c.b}
		resp, ok := ask(req).(*kmsg.CreateACLsResponse)
		if !ok {
			fmt.Fprintf(&out, "%s: closed\n", c.what)
			continue
		}
		for _, r := range resp.Results {
			say(c.what, r.ErrorCode, r.ErrorMessage)
		}
	}
	two := kmsg.NewPtrCreateACLsRequest()
	two.Creations = []binding{good(func(b *binding) { b.ResourceName = "" }), good(func(b *binding) { b.ResourceName = "acl-second" })}
	if resp, ok := ask(two).(*kmsg.CreateACLsResponse); ok {
		for _, r := range resp.Results {
			say("one of two", r.ErrorCode, r.ErrorMessage)
		}
	}

	type filter = kmsg.DeleteACLsRequestFilter
	str := func(s string) *string { return &s }
	choosing := func(change func(*filter)) filter {
		f := filter{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1, Principal: str("User:alice")}
		change(&f)
		return f
	}
	filters := []struct {
		what string
		f    filter
	}{
		{"all of alice", choosing(func(*filter) {})},
		{"by name", choosing(func(f *filter) { f.ResourceType, f.ResourceName = 2, str("acl-orders") })},
		{"by name, literal", choosing(func(f *filter) { f.ResourceType, f.ResourceName, f.ResourcePatternType = 2, str("acl-orders"), 3 })},
		{"by name, match", choosing(func(f *filter) { f.ResourceType, f.ResourceName, f.ResourcePatternType = 2, str("acl-orders"), 2 })},
		{"prefixed", choosing(func(f *filter) { f.ResourcePatternType = 4 })},
		{"by operation", choosing(func(f *filter) { f.Operation = 4 })},
		{"by permission", choosing(func(f *filter) { f.PermissionType = 2 })},
		{"by host", choosing(func(f *filter) { f.Host = str("10.0.0.1") })},
		{"of nobody", choosing(func(f *filter) { f.Principal = str("User:nobody") })},
		{"an empty name", choosing(func(f *filter) { f.ResourceName = str("") })},
		{"type unknown", choosing(func(f *filter) { f.ResourceType = 99 })},
		{"pattern unknown", choosing(func(f *filter) { f.ResourcePatternType = 9 })},
		{"operation unknown", choosing(func(f *filter) { f.Operation = 99 })},
		{"permission unknown", choosing(func(f *filter) { f.PermissionType = 9 })},
		{"a principal without a type", choosing(func(f *filter) { f.Principal = str("alice") })},
	}
	for _, c := range filters {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourceName, req.ResourcePatternType = c.f.ResourceType, c.f.ResourceName, c.f.ResourcePatternType
		req.Principal, req.Host, req.Operation, req.PermissionType = c.f.Principal, c.f.Host, c.f.Operation, c.f.PermissionType
		resp, ok := ask(req).(*kmsg.DescribeACLsResponse)
		if !ok {
			fmt.Fprintf(&out, "list %s: closed\n", c.what)
			continue
		}
		say("list "+c.what, resp.ErrorCode, resp.ErrorMessage)
		var lines []string
		for _, r := range resp.Resources {
			for _, b := range r.ACLs {
				lines = append(lines, fmt.Sprintf("  %s %s %s %s %s %s %s\n", r.ResourceType, r.ResourceName, r.ResourcePatternType, b.Principal, b.Host, b.Operation, b.PermissionType))
			}
		}
		slices.Sort(lines)
		out.WriteString(strings.Join(lines, ""))
	}
	slices.Reverse(filters) // the one that chooses all comes last
	for _, c := range filters {
		req := kmsg.NewPtrDeleteACLsRequest()
		req.Filters = []filter{c.f}
		resp, ok := ask(req).(*kmsg.DeleteACLsResponse)
		if !ok {
			fmt.Fprintf(&out, "delete %s: closed\n", c.what)
			continue
		}
		for _, r := range resp.Results {
			say(fmt.Sprintf("delete %s, %d", c.what, len(r.MatchingACLs)), r.ErrorCode, r.ErrorMessage)
		}
	}
	rest := kmsg.NewPtrDeleteACLsRequest()
	rest.Filters = []filter{choosing(func(f *filter) { f.Principal = nil })}
	ask(rest)
	compareAnswers(t, filepath.Join("testdata", "acls.txt"), out.String())
}

// compareAnswers holds a transcript against the one that was recorded from Kafka.
func compareAnswers(t *testing.T, golden, text string) {
	t.Helper()
	if *updateAuthorize {
		if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted, heading := strings.Split(text, "\n"), strings.Split(string(want), "\n"), ""
	for i := range max(len(got), len(wanted)) {
		g, w := at(got, i), at(wanted, i)
		if !strings.HasPrefix(g, " ") {
			heading = g
		}
		if g != w {
			t.Errorf("%s\n got %s\nwant %s", heading, g, w)
		}
	}
}

// What was granted holds for real clients, at once and after a restart.
func TestACLs_HoldForClients(t *testing.T) {
	t.Parallel()
	addresses := map[string]string{"PLAINTEXT": brokertest.FreeAddr(t), "SASL_PLAINTEXT": brokertest.FreeAddr(t)}
	options := append(withAuthorizer(addresses), brokertest.WithDir(t.TempDir()))
	b := brokertest.Start(t, options...)
	ctx := t.Context()
	admin := kadm.NewClient(client(t, addresses["PLAINTEXT"]))
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	alice := client(t, addresses["SASL_PLAINTEXT"], kgo.SASL(plain.Auth{User: "alice", Pass: "alice-secret"}.AsMechanism()), kgo.DefaultProduceTopic("orders"), kgo.RecordRetries(2))
	if err := alice.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err == nil {
		t.Fatal("alice may write")
	}
	grant := func(op kmsg.ACLOperation, allow bool) {
		t.Helper()
		b := kadm.NewACLs().Topics("ord").ResourcePatternType(kmsg.ACLResourcePatternTypePrefixed).Operations(op)
		if allow {
			b.Allow("User:alice").AllowHosts("*")
		} else {
			b.Deny("User:alice").DenyHosts("*")
		}
		if created, err := admin.CreateACLs(ctx, b); err != nil || created[0].Err != nil {
			t.Fatalf("%v, %+v", err, created)
		}
	}
	grant(kmsg.ACLOperationWrite, true)
	if err := alice.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatalf("alice may not write: %v", err)
	}
	b.Restart()
	if err := alice.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	grant(kmsg.ACLOperationWrite, false)
	if err := alice.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err == nil {
		t.Fatal("alice may write though it is denied")
	}
}

// What was allowed when a share session was opened may be denied while it lasts.
func TestACLs_AreAskedOnEachShareFetch(t *testing.T) {
	t.Parallel()
	a := authorizing(t)
	k := a.setUp()
	group, member := "sharing-for-long", "mYW5vdGhlci1tZW1iZXItNQ"
	fetch := func(epoch int32, name bool) *kmsg.ShareFetchResponse {
		t.Helper()
		req := kmsg.NewPtrShareFetchRequest()
		req.GroupID, req.MemberID, req.ShareSessionEpoch, req.MaxBytes, req.MaxRecords, req.BatchSize = &group, &member, epoch, 1<<20, 10, 10
		if name {
			req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: k.orders, Partitions: []kmsg.ShareFetchRequestTopicPartition{{}}}}
		}
		resp := a.alice.ask(req, 1).(*kmsg.ShareFetchResponse)
		if resp.ErrorCode != 0 {
			t.Fatalf("%v", kerr.ErrorForCode(resp.ErrorCode))
		}
		return resp
	}
	a.grant("read group " + group)
	a.grant("read topic orders")
	epoch := int32(0)
	a.await("alice has the partition", func() bool {
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = group, member, epoch, []string{"orders"}
		resp := a.alice.ask(req, 1).(*kmsg.ShareGroupHeartbeatResponse)
		epoch = resp.MemberEpoch
		return resp.ErrorCode == 0 && resp.Assignment != nil && len(resp.Assignment.TopicPartitions) == 1
	})
	for _, topic := range fetch(0, true).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				t.Fatalf("while it is allowed: %v", kerr.ErrorForCode(p.ErrorCode))
			}
		}
	}
	a.revoke()
	a.grant("read group " + group)
	resp := fetch(1, false)
	if len(resp.Topics) != 1 || resp.Topics[0].Partitions[0].ErrorCode != kerr.TopicAuthorizationFailed.Code {
		t.Errorf("when it is not any more: %+v", resp.Topics)
	}
}

// A pattern stands for topics that the member may know of, and for no others.
func TestACLs_LimitPatterns(t *testing.T) {
	t.Parallel()
	a := authorizing(t)
	k := a.setUp()
	group, member, pattern := "by-pattern", "mYW5vdGhlci1tZW1iZXItNg", "orders|doomed"
	a.grant("read group " + group)
	a.grant("describe topic orders")
	epoch := int32(0)
	var assigned []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic
	a.await("alice has a topic", func() bool {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch, req.SubscribedTopicRegex, req.RebalanceTimeoutMillis = group, member, epoch, &pattern, 10_000
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		resp := a.alice.ask(req, 1).(*kmsg.ConsumerGroupHeartbeatResponse)
		if resp.ErrorCode != 0 {
			t.Fatalf("%v", kerr.ErrorForCode(resp.ErrorCode))
		}
		epoch = resp.MemberEpoch
		if resp.Assignment != nil {
			assigned = resp.Assignment.Topics
		}
		return len(assigned) > 0
	})
	if len(assigned) != 1 || assigned[0].TopicID != k.orders {
		t.Errorf("assigned %v, of which orders is %v", assigned, k.orders)
	}
}
