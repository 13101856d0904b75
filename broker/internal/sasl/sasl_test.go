package sasl

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"crypto/pbkdf2"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	users := Passwords{"alice": "secret", "empty": ""}
	for token, want := range map[string]error{
		"\x00alice\x00secret":      nil,
		"alice\x00alice\x00secret": nil,
		"bob\x00alice\x00secret":   ErrMalformed,
		"\x00alice\x00Secret":      ErrRefused,
		"\x00mallory\x00secret":    ErrRefused,
		"\x00empty\x00":            ErrMalformed,
		"\x00\x00secret":           ErrMalformed,
		"alice\x00secret":          ErrMalformed,
		"\x00alice\x00secret\x00":  ErrMalformed,
		"":                         ErrMalformed,
	} {
		e := NewPlain(users.Verify)
		_, err := e.Step([]byte(token))
		if !errors.Is(err, want) || e.Done() != (want == nil) || want == nil && e.User() != "alice" {
			t.Errorf("%q: %v, done %v as %q; want %v", token, err, e.Done(), e.User(), want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "alice")) {
			t.Errorf("the error tells of the token: %v", err)
		}
	}
}

func TestTold(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"alice\x00secret":          "Invalid SASL/PLAIN response: expected 3 tokens, got 2",
		"\x00\x00\x00\x00\x00\x00": "Invalid SASL/PLAIN response: expected 3 tokens, got 4",
		"\x00\x00secret":           "Authentication failed: username not specified",
		"\x00alice\x00":            "Authentication failed: password not specified",
		"\x00alice\x00wrong":       "Authentication failed: Invalid username or password",
		"bob\x00alice\x00secret":   "Authentication failed: Client requested an authorization id that is different from username",
		"\x00mallory\x00whatever":  "Authentication failed: Invalid username or password",
	} {
		_, err := NewPlain(Passwords{"alice": "secret"}.Verify).Step([]byte(token))
		if err == nil || Told(err, Plain, false) != want {
			t.Errorf("%q: %v; want %s", token, err, want)
		}
	}
	const failed = " due to invalid credentials with SASL mechanism SCRAM-SHA-256"
	_, err := NewScram(ScramSHA256, nil, nil).Step([]byte("x"))
	if told := Told(err, ScramSHA256, false); told != "Authentication failed during authentication"+failed {
		t.Error(told)
	}
	if told := Told(err, ScramSHA256, true); told != "Authentication failed during re-authentication"+failed {
		t.Error(told)
	}
}

// The example of RFC 7677, section 3.
func TestScram_RFC7677(t *testing.T) {
	t.Parallel()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	h := hashOf(ScramSHA256)
	salted, err := pbkdf2.Key(h, "pencil", salt, 4096, h().Size())
	if err != nil {
		t.Fatal(err)
	}
	users := func(user string) (Credential, bool) {
		return CredentialOf(ScramSHA256, salt, salted, 4096), user == "user"
	}
	e := newScram(ScramSHA256, users, nil, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
	for _, step := range [][2]string{
		{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"},
		{"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	} {
		got, err := e.Step([]byte(step[0]))
		if err != nil || string(got) != step[1] {
			t.Fatalf("%s: got %s, %v; want %s", step[0], got, err, step[1])
		}
	}
	if !e.Done() || e.User() != "user" {
		t.Errorf("done %v as %q", e.Done(), e.User())
	}
	if _, err := e.Step(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("a third token: %v", err)
	}
}

func TestScram_Refuses(t *testing.T) {
	t.Parallel()
	known, err := NewCredential(ScramSHA512, "secret", MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	users := func(user string) (Credential, bool) { return known, user == "alice" }
	proof := base64.StdEncoding.EncodeToString(make([]byte, 64))
	for _, tokens := range [][]string{
		{""}, {"n"}, {"n,,"}, {"n,,n=alice"}, {"p=tls-unique,,n=alice,r=x"}, {"n,,n=,r=x"}, {"n,,n=alice,r="},
		{"n,,n=al=ice,r=x"}, {"n,a=bob,n=alice,r=x"}, {"n,,n=alice,r=x,tokenauth=true"},
		{"n,,n=alice,r=x", ""}, {"n,,n=alice,r=x", "c=biws,r=xy"}, {"n,,n=alice,r=x", "c=biws,r=x,p=" + proof}, {"n,,n=alice,r=x", "c=eSws,r=xyz,p=" + proof},
		{"n,,n=alice,r=x", "c=biws,r=xyz,p=" + proof}, {"n,,n=alice,r=x", "c=biws,r=xyz,p=AAAA"}, {"n,,n=alice,r=x", "c=biws,r=xyz,p=!"},
		{"n,,n=mallory,r=x", "c=biws,r=xyz,p=" + proof},
	} {
		e := newScram(ScramSHA512, users, []byte("s"), "yz")
		var err error
		for _, token := range tokens {
			_, err = e.Step([]byte(token))
		}
		if !errors.Is(err, ErrMalformed) || e.Done() {
			t.Errorf("%q: %v, done %v", tokens, err, e.Done())
		}
	}
	// Nobody can tell a user that exists from one that does not by what is answered.
	for range 2 {
		a, _ := newScram(ScramSHA512, users, []byte("s"), "yz").Step([]byte("n,,n=mallory,r=x"))
		b, _ := newScram(ScramSHA512, users, []byte("s"), "yz").Step([]byte("n,,n=mallory,r=x"))
		if string(a) != string(b) || !strings.HasSuffix(string(a), ",i=4096") {
			t.Errorf("an unknown user gets %s and then %s", a, b)
		}
		_, after, _ := strings.Cut(string(a), ",s=")
		salt, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(after, ",i=4096"))
		for _, s := range [][]byte{salt, known.Salt} {
			if err != nil || len(s) < 20 || len(s) > 26 || strings.Trim(string(s), "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
				t.Errorf("salt %q, %v: not like those of Kafka's tools", s, err)
			}
		}
	}
	if NewScram("GSSAPI", users, nil) != nil {
		t.Error("an exchange for an unknown mechanism")
	}
}

func FuzzStep(f *testing.F) {
	f.Add([]byte("n,,n=alice,r=x"), []byte("c=biws,r=xyz,p=AAAA"))
	f.Add([]byte("\x00alice\x00secret"), []byte(""))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		users := func(string) (Credential, bool) {
			return Credential{Salt: []byte("salt"), StoredKey: make([]byte, 32), Iterations: 4096}, true
		}
		for _, e := range []Exchange{newScram(ScramSHA256, users, nil, "yz"), NewPlain(Passwords{"alice": "other"}.Verify)} {
			for _, token := range [][]byte{first, second} {
				if _, err := e.Step(token); err == nil && e.Done() {
					t.Errorf("logged in with %q, %q", first, second)
				}
			}
		}
	})
}
