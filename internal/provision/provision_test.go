package provision

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSecrets_KeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Secrets(dir, []string{"order", "inventory"}); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, file := range []string{"postgres/password", "order/pgpass", "inventory/pgpass"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		before[file] = string(content)
	}
	if before["order/pgpass"] == before["inventory/pgpass"] {
		t.Error("two roles have one password")
	}
	if err := Secrets(dir, []string{"order", "inventory", "notification"}); err != nil {
		t.Fatal(err)
	}
	for file, want := range before {
		if content, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(content) != want {
			t.Errorf("%s changed: %v", file, err)
		}
	}
	for _, role := range []string{"order", "inventory", "notification"} {
		if password, err := rolePassword(filepath.Join(dir, role, pgpassFile), role); err != nil || len(password) < 20 {
			t.Errorf("password of %s: %q, %v", role, password, err)
		}
	}
}

func TestRolePassword_RefusesAnotherRolesFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Secrets(dir, []string{"order"}); err != nil {
		t.Fatal(err)
	}
	if _, err := rolePassword(filepath.Join(dir, "order", pgpassFile), "inventory"); err == nil {
		t.Error("took the password file of another role")
	}
}
