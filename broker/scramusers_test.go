package broker_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"millrace/broker"
)

func TestParseScramUser_Refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "is written", "SCRAM-SHA-256": "is written", "SCRAM-SHA-256=[name=a": "is written", "SCRAM-SHA-256=[name=a,topsecret]": "is written",
		"SCRAM-SHA-256=[name=a,passwort=topsecret]":                              "is written",
		"SCRAM-SHA-256=[name=a,password=topsecret,password=topsecret]":           "is written",
		"SCRAM-SHA-1=[name=a,password=topsecret]":                                "Unknown SCRAM mechanism",
		"SCRAM-SHA-256=[password=topsecret]":                                     "Username must not be empty",
		"SCRAM-SHA-256=[name=a]":                                                 "either a password",
		"SCRAM-SHA-256=[name=a,password=topsecret,salt=eHg=]":                    "either a password",
		"SCRAM-SHA-256=[name=a,saltedpassword=topsecret!,salt=eHg=]":             "not base64",
		"SCRAM-SHA-256=[name=a,password=topsecret,iterations=4095]":              "Too few iterations",
		"SCRAM-SHA-256=[name=a,password=topsecret,iterations=16385]":             "Too many iterations",
		"SCRAM-SHA-256=[name=a,password=topsecret,iterations=99999999999999999]": "not a number",
	} {
		_, err := broker.ParseScramUser(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v; want it to say %s, and no password", text, err, want)
		}
	}
}

// The first user is made at the start, logs in, and keeps a password that is changed later.
func TestScramUsers_AreMadeOnce(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Listen[0].Name = "SASL_PLAINTEXT"
	var said bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
	user, err := broker.ParseScramUser("SCRAM-SHA-512=[name=admin,password=first-secret,iterations=8192]")
	if err != nil {
		t.Fatal(err)
	}
	cfg.ScramUsers = []broker.ScramUser{user}
	for _, password := range []string{"first-secret", "second-secret"} {
		b, err := broker.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		admin := kadm.NewClient(client(t, b.Addr(), kgo.SASL(scram.Auth{User: "admin", Pass: password}.AsSha512Mechanism())))
		if _, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: "admin", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "second-secret"}}); err != nil {
			t.Errorf("with %s: %v", password, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if made := strings.Count(said.String(), "SCRAM user is made"); made != 1 || strings.Contains(said.String(), "first-secret") {
		t.Errorf("the log says %d times that a user is made, want once, without a password:\n%s", made, &said)
	}
}
