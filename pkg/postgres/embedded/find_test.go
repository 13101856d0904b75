package embedded

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersionInPath(t *testing.T) {
	for path, want := range map[string]int{
		"/usr/lib/postgresql/15/bin": 15, "/opt/homebrew/opt/postgresql@17/bin": 17, "/usr/pgsql-16/bin": 16, "/none/bin": 0, "": 0, "9": 9,
	} {
		if got := versionInPath(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestFind_PathThenUsualFoldersThenClearError(t *testing.T) {
	fake := func(version string) string {
		dir := t.TempDir()
		for _, name := range []string{"postgres", "initdb"} {
			script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + ".3'\n"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	before := usual
	defer func() { usual = before }()
	onPath, installed := fake("16"), fake("17")
	usual = []string{installed}
	t.Setenv("PATH", onPath)
	if got, err := Find(); err != nil || got != onPath {
		t.Errorf("got %s, %v, want %s", got, err, onPath)
	}
	if got, err := find(t.Context(), "17"); err != nil || got != installed {
		t.Errorf("version 17: got %s, %v", got, err)
	}
	if _, err := find(t.Context(), "12"); err == nil || !strings.Contains(err.Error(), "made by Postgres 12") {
		t.Errorf("version 12: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	usual = nil
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "install the package postgresql") {
		t.Errorf("nothing there: %v", err)
	}
}

// repositoryOf serves a Maven repository with one version, as the binaries have it: a
// jar that holds an archive.
func repositoryOf(t *testing.T, sum func([]byte) string) *httptest.Server {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("needs xz to make an archive") // the fetching itself needs none
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range []string{"bin/postgres", "bin/initdb", "bin/pg_ctl"} {
		body := "#!/bin/sh\nexit 1\n"
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	xz := exec.Command("xz", "-c")
	xz.Stdin = &archive
	packed, err := xz.Output()
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	f, err := z.Create("postgres-linux-x86_64.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(packed); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			_, _ = w.Write([]byte(sum(jar.Bytes())))
			return
		}
		_, _ = w.Write(jar.Bytes())
	}))
	t.Cleanup(func() {
		s.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return s
}

func TestFetch_OnceWithAProgressLine(t *testing.T) {
	defer func() { repository = "" }()
	checksum := func(b []byte) string {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])
	}
	server := repositoryOf(t, checksum)
	repository = server.URL
	var progress []string
	config := Config{CacheDir: dataDir(t), Progress: func(line string) { progress = append(progress, line) }}
	user, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	bin, err := fetch(t.Context(), config, "", user)
	if err != nil || !hasServer(bin) {
		t.Fatal(bin, err)
	}
	if len(progress) != 2 || !strings.Contains(progress[0], "fetching version 17") {
		t.Errorf("progress %q", progress)
	}
	server.Close()
	if again, err := fetch(t.Context(), config, "", user); err != nil || again != bin || len(progress) != 2 {
		t.Errorf("the second time: %s, %v", again, err)
	}
	if _, err := fetch(t.Context(), config, "16", user); err == nil {
		t.Error("an absent repository is no error")
	}
	if _, err := fetch(t.Context(), config, "8", user); err == nil {
		t.Error("version 8 can be fetched")
	}
	config.CacheDir = dataDir(t)
	repository = repositoryOf(t, func([]byte) string { return "wrong" }).URL
	if _, err := fetch(t.Context(), config, "", user); err == nil || !strings.Contains(err.Error(), "checksums") {
		t.Errorf("a wrong checksum: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(config.CacheDir, "unpack-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
