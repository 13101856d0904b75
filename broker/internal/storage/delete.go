package storage

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"millrace/broker/internal/vfs"
)

// deletedName is the name of a log's folder that is being removed: topic-partition.uniqueid-delete,
// the topic shortened where that would be too long for a file system (Kafka's UnifiedLog.logDeleteDirName).
func deletedName(p Partition) string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	tail := fmt.Sprintf("-%d.%s%s", p.Index, hex.EncodeToString(id[:]), deletedFolderTail)
	return p.Topic[:min(len(p.Topic), maxFolderName-len(tail))] + tail
}

// sweepDeleted removes the folders that a crash kept from being removed.
func (d *Dir) sweepDeleted() {
	entries, err := d.fs.ReadDir(d.path)
	if err != nil {
		d.warn("could not look for deleted folders", "folder", d.path, "error", err)
		return
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasSuffix(e.Name(), deletedFolderTail) && strings.Contains(e.Name(), ".") {
			d.removeDeleted(filepath.Join(d.path, e.Name()))
		}
	}
}

func (d *Dir) removeDeleted(path string) {
	if err := vfs.RemoveAll(d.fs, path); err != nil {
		d.warn("could not remove a deleted log, the next start tries again", "folder", path, "error", err)
	}
}
