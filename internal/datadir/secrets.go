package datadir

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const secretsFile = "secrets.json"

// Secret returns the password of that name, made at random the first time. The
// file is readable by its owner alone.
func (d *Dir) Secret(name string) (string, error) {
	secrets, err := readSecrets(d.path)
	if err != nil {
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

// ReadSecret reads a password without taking the folder. It answers fs.ErrNotExist when
// none of that name was made.
func ReadSecret(folder, name string) (string, error) {
	secrets, err := readSecrets(folder)
	if err != nil {
		return "", err
	}
	if s := secrets[name]; s != "" {
		return s, nil
	}
	return "", fmt.Errorf("password %q in %s: %w", name, filepath.Join(folder, secretsFile), fs.ErrNotExist)
}

func readSecrets(folder string) (map[string]string, error) {
	secrets := map[string]string{}
	path := filepath.Join(folder, secretsFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return secrets, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(b, &secrets); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return secrets, nil
}
