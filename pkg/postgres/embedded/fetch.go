package embedded

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchable are the versions that can be fetched, by their major version.
var fetchable = map[string]embeddedpostgres.PostgresVersion{
	"14": embeddedpostgres.V14,
	"15": embeddedpostgres.V15,
	"16": embeddedpostgres.V16,
	"17": embeddedpostgres.V17,
	"18": embeddedpostgres.V18,
}

// fetchDefault is fetched for a new cluster.
const fetchDefault = "17"

// repository overrides where binaries are fetched from, for tests.
var repository = ""

// fetch returns a folder with the binaries of a Postgres server, which it downloads
// once into the cache.
func fetch(ctx context.Context, c Config, major string, user *account) (string, error) {
	if major == "" {
		major = fetchDefault
	}
	version, ok := fetchable[major]
	if !ok {
		return "", fmt.Errorf("there are no binaries of Postgres %s to fetch", major)
	}
	cache, err := cacheDir(c.CacheDir, user)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "postgres-"+string(version)+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	bin := filepath.Join(dir, "bin")
	if hasServer(bin) {
		return bin, nil
	}
	lock, err := awaitLock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if hasServer(bin) { // another program was at it
		return bin, nil
	}
	c.Progress(fmt.Sprintf("no Postgres server found here: fetching version %s (about 20 MB, once) to %s", version, cache))

	// The library fetches and unpacks on its way to start a server. It cannot be asked
	// for the first half alone, so its data folder is made an impossible one, below a
	// file: it stops there, with an error that does not matter. What counts is
	// whether the binaries are in place. (It also cannot be cancelled: the goroutine
	// ends with its download.)
	unpacked, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unpacked)
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(unpacked, "no-folder")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	binaries := filepath.Join(unpacked, "pg")
	config := embeddedpostgres.DefaultConfig().
		Version(version).
		Port(uint32(port)).
		CachePath(filepath.Join(unpacked, "download")).
		BinariesPath(binaries).
		RuntimePath(filepath.Join(unpacked, "run")).
		DataPath(filepath.Join(file, "data")).
		Logger(io.Discard)
	if repository != "" {
		config = config.BinaryRepositoryURL(repository)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- embeddedpostgres.NewDatabase(config).Start() }()
	select {
	case err = <-stopped:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if !hasServer(filepath.Join(binaries, "bin")) {
		return "", err
	}
	if err := os.Rename(binaries, dir); err != nil {
		return "", err
	}
	c.Progress("fetched Postgres " + string(version))
	return bin, nil
}

// cacheDir returns a folder for fetched binaries that the server's user can read.
func cacheDir(configured string, user *account) (string, error) {
	dir := configured
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			base = os.TempDir()
		}
		dir = filepath.Join(base, "millrace")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if user.reaches(dir) {
		return dir, nil
	}
	dir = filepath.Join(sharedDir(), "cache")
	return dir, os.MkdirAll(dir, 0o755)
}
