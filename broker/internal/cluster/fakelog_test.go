package cluster

import (
	"context"
	"errors"

	"millrace/broker/internal/config"
	"millrace/broker/internal/record"
	"millrace/broker/internal/storage"
)

// memoryLog keeps batches as a storage.Log would, without files.
type memoryLog struct {
	batches    []record.Batch
	start      record.Offset
	end        record.Offset
	syncs      int
	failAppend error
	failSync   error
}

func (l *memoryLog) Append(batches []byte, o storage.AppendOptions) (storage.AppendInfo, error) {
	if l.failAppend != nil {
		return storage.AppendInfo{}, l.failAppend
	}
	b := record.Batch(append([]byte(nil), batches...))
	b.SetBaseOffset(l.end)
	first := l.end
	l.end = b.NextOffset()
	l.batches = append(l.batches, b)
	return storage.AppendInfo{First: first, Last: l.end - 1, Records: int(b.Count())}, nil
}

func (l *memoryLog) WaitSynced(ctx context.Context, through record.Offset) error {
	if through > l.end {
		return errors.New("waits for what was not appended")
	}
	l.syncs++
	return l.failSync
}

func (l *memoryLog) Replay(from record.Offset, f func(record.Batch) error) error {
	for _, b := range l.batches {
		if b.NextOffset() <= from {
			continue
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func (l *memoryLog) DeleteBefore(o record.Offset) (record.Offset, error) {
	l.start = o
	for len(l.batches) > 0 && l.batches[0].NextOffset() <= o {
		l.batches = l.batches[1:]
	}
	return o, nil
}

func (l *memoryLog) StartOffset() record.Offset { return l.start }
func (l *memoryLog) EndOffset() record.Offset   { return l.end }

func testConfig(settings ...string) *config.Broker {
	m := map[string]string{}
	for _, s := range settings {
		k, v, err := config.ParseSetting(s)
		if err != nil {
			panic(err)
		}
		m[k] = v
	}
	b, err := config.NewBroker(m)
	if err != nil {
		panic(err)
	}
	return b
}
