package messaging

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"millrace/pkg/events"
)

// The conversation of RFC 7677, section 3.
func TestSCRAM_RFC7677(t *testing.T) {
	s := &scram{hash: sha256.New, nonce: "rOprNGfwEbeRWgbNEkqO"}
	if err := s.Begin("user", "pencil", ""); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ challenge, want string }{
		{"", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"},
		{
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ""},
	} {
		if got, err := s.Step(step.challenge); err != nil || got != step.want {
			t.Fatalf("got %q, %v, want %q", got, err, step.want)
		}
	}
	if !s.Done() {
		t.Error("not done")
	}
	if _, err := s.Step("more"); err == nil {
		t.Error("goes on after the end")
	}
}

func TestSCRAM_RefusesABadServer(t *testing.T) {
	const good = "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	for _, c := range []struct{ first, final, want string }{
		{"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "", "nonce"},
		{"r=nonce,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "", "nonce"},
		{"r=nonceX,s=%,i=4096", "", "salt"},
		{"r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999", "", "iterations"},
		{"r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0", "", "iterations"},
		{good, "v=AAAA", "does not know the password"},
		{good, "", "does not know the password"},
		{good, "e=invalid-proof", "invalid-proof"},
	} {
		s := newSCRAM("SCRAM-SHA-512")
		s.nonce = "nonce"
		_ = s.Begin("a,b=c", "p", "")
		if first, err := s.Step(""); err != nil || !strings.Contains(first, "n=a=2Cb=3Dc,") {
			t.Fatal(first, err)
		}
		_, err := s.Step(c.first)
		if err == nil {
			_, err = s.Step(c.final)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestSCRAM_WithABroker(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "user", "pencil"),
		kfake.Superuser("SCRAM-SHA-512", "user2", "pencil2"), kfake.Superuser("PLAIN", "user3", "pencil3"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	for mechanism, credentials := range map[string][2]string{
		"SCRAM-SHA-256": {"user", "pencil"}, "SCRAM-SHA-512": {"user2", "pencil2"}, "PLAIN": {"user3", "pencil3"},
	} {
		c := DefaultConfig()
		c.Brokers = cluster.ListenAddrs()
		c.SASL = SASLConfig{Mechanism: mechanism, Username: credentials[0], Password: credentials[1]}
		if err := EnsureTopics(t.Context(), c, nil, events.Topics()...); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}
