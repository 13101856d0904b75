package datadir

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const secretsFile = "secrets.json"

// Secret returns the password of that name, made at random the first time. The
// file is readable by its owner alone.
func (d *Dir) Secret(name string) (string, error) {
	secrets := map[string]string{}
	b, err := os.ReadFile(d.Path(secretsFile))
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &secrets); err != nil {
			return "", fmt.Errorf("read %s: %w", d.Path(secretsFile), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if s := secrets[name]; s != "" {
		return s, nil
	}
	secrets[name] = rand.Text()
	if err := d.writeJSON(secretsFile, 0o600, secrets); err != nil {
		return "", err
	}
	return secrets[name], nil
}
