package storage

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"millrace/broker/internal/vfs"
)

// identity is the content of meta.properties, version 1.
type identity struct {
	clusterID   string
	nodeID      int32
	directoryID string
}

// loadIdentity reads meta.properties, or writes it in a new folder.
func loadIdentity(fsys vfs.FS, dir string, nodeID int32, clusterID string) (identity, error) {
	path := filepath.Join(dir, metaFile)
	data, err := vfs.ReadFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		id := identity{clusterID: clusterID, nodeID: nodeID, directoryID: newUUID()}
		if id.nodeID == 0 {
			id.nodeID = 1
		}
		if id.clusterID == "" {
			id.clusterID = newUUID()
		}
		if err := writeFile(fsys, path, id.encode()); err != nil {
			return id, err
		}
		_ = fsys.SyncDir(filepath.Dir(filepath.Clean(dir))) // as far as that folder lets us
		return id, nil
	}
	if err != nil {
		return identity{}, err
	}
	id, err := parseIdentity(data)
	switch {
	case err != nil:
		return id, &CorruptionError{File: path, Err: err}
	case clusterID != "" && clusterID != id.clusterID:
		return id, fmt.Errorf("%s belongs to cluster %s, not to %s", dir, id.clusterID, clusterID)
	case nodeID != 0 && nodeID != id.nodeID:
		return id, fmt.Errorf("%s belongs to broker %d, not to %d", dir, id.nodeID, nodeID)
	}
	return id, nil
}

func (id identity) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", id.clusterID, id.nodeID, id.directoryID)
	return b.Bytes()
}

func parseIdentity(data []byte) (identity, error) {
	p := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return identity{}, fmt.Errorf("line %q is not key=value", line)
		}
		p[key] = value
	}
	node, err := strconv.ParseInt(p["node.id"], 10, 32)
	switch {
	case p["version"] != "1":
		return identity{}, fmt.Errorf("version %q, want 1", p["version"])
	case p["cluster.id"] == "":
		return identity{}, errors.New("no cluster.id")
	case err != nil:
		return identity{}, fmt.Errorf("node.id %q is not a number", p["node.id"])
	}
	return identity{clusterID: p["cluster.id"], nodeID: int32(node), directoryID: p["directory.id"]}, nil
}

// newUUID is a random uuid in the 22 characters that Kafka uses. Kafka avoids a leading dash, which
// tools would take for a flag.
func newUUID() string {
	var id [16]byte
	for {
		_, _ = rand.Read(id[:]) // never fails
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if s := encodeUUID(id); s[0] != '-' {
			return s
		}
	}
}

func encodeUUID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// encodePartitionMetadata is the content of partition.metadata, version 0.
func encodePartitionMetadata(id TopicID) []byte {
	return []byte("version: 0\ntopic_id: " + encodeUUID(id))
}

func parsePartitionMetadata(data []byte) (TopicID, error) {
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "version":
			if value != "0" {
				return TopicID{}, fmt.Errorf("version %q, want 0", value)
			}
		case "topic_id":
			raw, err := base64.RawURLEncoding.DecodeString(value)
			if err != nil || len(raw) != 16 {
				return TopicID{}, fmt.Errorf("topic_id %q is not a uuid", value)
			}
			return TopicID(raw), nil
		}
	}
	return TopicID{}, errors.New("no topic_id")
}
