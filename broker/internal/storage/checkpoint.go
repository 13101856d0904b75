package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// A checkpoint file is text: a version, the number of entries, and the entries one a line.
//
//	0
//	2
//	orders 0 1500
//	orders 1 1480
const checkpointVersion = "0"

// readCheckpoint returns the fields of each entry; nothing when there is no file.
func readCheckpoint(fsys vfs.FS, path string, fields int) ([][]string, error) {
	data, err := vfs.ReadFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	bad := func(line int, why string) error {
		return &CorruptionError{File: path, Position: int64(line), Err: fmt.Errorf("line %d: %s", line, why)}
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < 2 || lines[0] != checkpointVersion {
		return nil, bad(1, "not a checkpoint of version 0")
	}
	count, err := strconv.Atoi(lines[1])
	if err != nil || count != len(lines)-2 {
		return nil, bad(2, "number of entries is wrong")
	}
	entries := make([][]string, count)
	for i := range entries {
		entries[i] = strings.Fields(lines[i+2])
		if len(entries[i]) != fields {
			return nil, bad(i+3, "number of fields is wrong")
		}
	}
	return entries, nil
}

// encodeCheckpoint is the text of a checkpoint with these lines.
func encodeCheckpoint(lines []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%d\n", checkpointVersion, len(lines))
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return b.Bytes()
}

// readOffsets reads a checkpoint of one offset for each log. A damaged one is reported and
// counts as empty: the logs themselves hold what it says.
func (d *Dir) readOffsets(name string) (map[Partition]record.Offset, error) {
	path := filepath.Join(d.path, name)
	entries, err := readCheckpoint(d.fs, path, 3)
	if errors.Is(err, ErrCorrupted) {
		d.warn("ignored a damaged checkpoint", "file", path, "error", err)
		entries, err = nil, nil
	}
	offsets := make(map[Partition]record.Offset, len(entries))
	for _, e := range entries {
		index, indexErr := strconv.ParseInt(e[1], 10, 32)
		offset, offsetErr := strconv.ParseInt(e[2], 10, 64)
		if indexErr != nil || offsetErr != nil || offset < 0 {
			d.warn("ignored a damaged checkpoint entry", "file", path, "entry", strings.Join(e, " "))
			continue
		}
		offsets[Partition{e[0], int32(index)}] = record.Offset(offset)
	}
	if entries != nil {
		d.saved[name] = string(encodeOffsets(offsets))
	}
	return offsets, err
}

// encodeOffsets is the text of such a checkpoint, in order of names.
func encodeOffsets(offsets map[Partition]record.Offset) []byte {
	keys := slices.SortedFunc(maps.Keys(offsets), Partition.compare)
	lines := make([]string, len(keys))
	for i, p := range keys {
		lines[i] = fmt.Sprintf("%s %d %d", p.Topic, p.Index, offsets[p])
	}
	return encodeCheckpoint(lines)
}
