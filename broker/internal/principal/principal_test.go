package principal

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The names are what Java 17 prints of the same bytes (X500Principal.getName).
func TestName_IsJavas(t *testing.T) {
	t.Parallel()
	for der, want := range map[string]string{
		"304c310b300906035504061302555331133011060355040a130a41636d652c20496e632e3118300a060355040b1303446576300a060355040b13034f7073310e300c06035504031305616c696365":                                                                                                           `CN=alice,OU=Dev+OU=Ops,O=Acme\, Inc.,C=US`,
		"3037311a3018060355040a0c11613d622b633c643e6523663b6722685c693119301706035504031310206c65616420616e6420747261696c20":                                                                                                                                                     `CN=\ lead and trail\ ,O=a\=b\+c\<d\>e\#f\;g\"h\\i`,
		"30818031123010060a0992268993f22c6401011302753131133011060a0992268993f22c6401191603636f6d31173015060a0992268993f22c64011916076578616d706c65310f300d060355040913064d61696e2031310d300b060355040713044265726e310d300b060355040813044265726e310d300b06035504030c045a6fc3ab": "CN=Zoë,ST=Bern,L=Bern,STREET=Main 1,DC=example,DC=com,UID=u1",
		"303c310b3009060355040c13024472310b3009060355040513023432310a300806035504031301783114301206092a864886f70d01090116056140622e63":                                                                                                                                           "1.2.840.113549.1.9.1=#16056140622e63,CN=x,2.5.4.5=#13023432,2.5.4.12=#13024472",
		"3000": "",
	} {
		subject, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Name(subject); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	for _, bad := range []string{"", "30", "3001", "300000", "0400"} {
		subject, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Name(subject); err == nil {
			t.Errorf("%q is read as %q", bad, got)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	const alice = "CN=Alice,OU=ServiceUsers,O=Acme"
	for _, c := range []struct{ rules, want string }{
		{"", alice},
		{"DEFAULT", alice},
		{`RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/`, "Alice"},
		{`RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L`, "alice"},
		{`RULE:^CN=(.*?),OU=(.*?),O=(.*?)$/$1x@$2/U, DEFAULT`, "ALICEX@SERVICEUSERS"},
		{`RULE:^CN=(.*?),OU=Admins.*$/root/,RULE:^.*O=(.*)$/$1/L,DEFAULT`, "acme"},
		{`RULE:^CN=(.*?),OU=Admins.*$/root/ , DEFAULT`, alice},
		{`RULE:CN=Alice/part of the name only/,DEFAULT`, alice},
		{`RULE:^CN=(\w{5}),.*$/a\/b/`, "a/b"},
	} {
		rules, err := ParseRules(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
			continue
		}
		if got, err := rules.Apply(alice); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.rules, got, err, c.want)
		}
	}
	rules, err := ParseRules(`RULE:^CN=(.*?),OU=Admins.*$/$1/`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rules.Apply(alice); err == nil || !strings.Contains(err.Error(), "no rule") {
		t.Errorf("a name that no rule matches is %q, %v", got, err)
	}
	for _, bad := range []string{"default", "RULE:a", "RULE:a/b", "RULE:(/b/", "RULE:(?=a)a/b/", "RULE:a/b/X", "DEFAULT DEFAULT", "RULE:a/b/L RULE:a/b/"} {
		if _, err := ParseRules(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzName(f *testing.F) {
	seed, _ := hex.DecodeString("3037311a3018060355040a0c11613d622b633c643e6523663b6722685c693119301706035504031310206c65616420616e6420747261696c20")
	f.Add(seed, `RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L,DEFAULT`)
	f.Fuzz(func(t *testing.T, subject []byte, text string) {
		name, err := Name(subject)
		if err != nil {
			return
		}
		if rules, err := ParseRules(text); err == nil {
			_, _ = rules.Apply(name)
		}
	})
}
