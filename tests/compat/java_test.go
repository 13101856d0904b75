package compat

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Java's own producer and consumers do what foreign/Clients.java says. What franz-go wrote they read, and the other way round.
func TestForeign_JavaClients(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	input, output, prefix := newTopic(t, seeds, 3, nil), newTopic(t, seeds, 3, nil), uniqueName(t, "check")
	t.Cleanup(func() { forgetTopics(t, newAdmin(t, seeds), prefix) })
	var want []record
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		records := samples("franz-"+codec, 20)
		produceFranz(t, seeds, input, codec, records)
		want = append(want, records...)
	}
	args := javaArgs(t, "Clients.java", strings.Join(seeds, ","), prefix, input, strconv.Itoa(len(want)), output)
	passes(t, exec.CommandContext(within(t, 4*patience), "java", args...), []string{"exchange", "idempotence", "errors", "transactions", "transactions_of_a_group",
		"classic_group", "static_members", "positions", "next_generation_group", "group_migrates", "share_group", "share_acknowledgements"})

	var got []record
	codecs := map[uint8]bool{}
	for _, r := range readFranz(t, seeds, output, len(want)) {
		got = append(got, fromFranz(r))
		codecs[r.Attrs.CompressionType()] = true
	}
	sameRecords(t, want, got)
	if len(codecs) != 5 {
		t.Errorf("compressions in the log: %v, want all five", codecs)
	}
}
