package storage

import (
	"fmt"
	"os"
	"path/filepath"

	"millrace/broker/internal/vfs"
)

// Names of the files in a data folder and in a log's folder, all Kafka's.
const (
	metaFile           = "meta.properties"
	lockFile           = ".lock"
	cleanShutdownFile  = ".kafka_cleanshutdown"
	recoveryPointFile  = "recovery-point-offset-checkpoint"
	highWatermarkFile  = "replication-offset-checkpoint"
	logStartFile       = "log-start-offset-checkpoint"
	cleanerFile        = "cleaner-offset-checkpoint"
	epochFile          = "leader-epoch-checkpoint"
	partitionFile      = "partition.metadata"
	logSuffix          = ".log"
	offsetIndexSuffix  = ".index"
	timeIndexSuffix    = ".timeindex"
	txnIndexSuffix     = ".txnindex"
	snapshotSuffix     = ".snapshot"
	deletedSuffix      = ".deleted"
	tempSuffix         = ".tmp"
	cleanedSuffix      = ".cleaned"
	swapSuffix         = ".swap"
	deletedFolderTail  = "-delete"
	maxFolderName      = 255
	offsetDigitsInName = 20
)

// segmentSuffixes are the files of one segment; the log itself comes first.
var segmentSuffixes = []string{logSuffix, offsetIndexSuffix, timeIndexSuffix, txnIndexSuffix}

const createFlags = os.O_RDWR | os.O_CREATE | os.O_TRUNC

// writeFile writes a whole file so that after a crash there is the old content or the new.
func writeFile(fsys vfs.FS, path string, data []byte) error {
	temp := path + tempSuffix
	f, err := fsys.Open(temp, createFlags)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// offsetName is the name of a segment's file: its first offset in 20 digits.
func offsetName(offset int64, suffix string) string {
	return fmt.Sprintf("%0*d%s", offsetDigitsInName, offset, suffix)
}
