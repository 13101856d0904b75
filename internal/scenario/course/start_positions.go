package course

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
)

var startPositions = scenario.Scenario{
	Name: "start-positions", Needs: scenario.AnyBroker, Course: []string{"D1", "D2", "D3"},
	Play: playStartPositions,
}

const (
	startOld    = 10 // records that are there before anybody reads
	startChosen = 6  // the offset that one consumer chooses
	startNew    = 5  // records that come while the last consumer waits
	startDone   = 4  // records that the group commits before it pauses
)

// probeWait is the pause between two probes.
const probeWait = 200 * time.Millisecond

type startEvidence struct {
	Records       int   `json:"records_before"`
	FromBeginning int   `json:"from_beginning"`
	ChosenFirst   int64 `json:"chosen_first_offset"`
	FromChosen    int   `json:"from_chosen_offset"`
	// A group that has committed goes on there, whatever the reset policy.
	Committed   int64 `json:"committed_offset"`
	ResumedAt   int64 `json:"resumed_at_offset"`
	Resumed     int   `json:"resumed_records"`
	LatestOld   int   `json:"latest_got_old"`
	LatestNew   int   `json:"latest_got_new"`
	NoneRefused bool  `json:"none_refused"`
	NoneGot     int   `json:"none_got"`
}

func (e startEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("beginning", e.FromBeginning == e.Records && e.Records == startOld, a{"n": e.FromBeginning, "of": e.Records}),
		is("chosen", e.ChosenFirst == startChosen && e.FromChosen == e.Records-startChosen, a{"n": e.FromChosen, "offset": e.ChosenFirst}),
		is("committed", e.Committed == startDone && e.ResumedAt == e.Committed && e.Resumed == e.Records-startDone, a{"offset": e.ResumedAt, "committed": e.Committed, "n": e.Resumed}),
		is("latest", e.LatestOld == 0 && e.LatestNew == startNew, a{"old": e.LatestOld, "new": e.LatestNew}),
		is("none", e.NoneRefused && e.NoneGot == 0, a{"n": e.NoneGot}),
	}
}

func playStartPositions(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	b, err := s.Env.Broker(ctx, scenario.AnyBroker)
	if err != nil {
		return nil, err
	}
	topic, err := b.Topic(ctx, "readings", 1)
	if err != nil {
		return nil, err
	}
	producer, err := b.Client(kgo.DefaultProduceTopic(topic))
	if err != nil {
		return nil, err
	}
	var old []*kgo.Record
	for i := range startOld {
		old = append(old, kgo.StringRecord(fmt.Sprintf("old %d", i)))
	}
	if err := produce(ctx, producer, old...); err != nil {
		return nil, err
	}
	s.Event("written", a{"n": startOld, "last": startOld - 1})
	e := startEvidence{Records: startOld}

	s.Explain("beginning", nil)
	all, err := readAll(ctx, b, topic, startOld)
	if err != nil {
		return nil, err
	}
	e.FromBeginning = len(all)
	s.Event("beginning_got", a{"n": len(all), "first": all[0].Offset})

	s.Explain("chosen", a{"offset": startChosen})
	if err := readChosen(ctx, s, b, topic, &e); err != nil {
		return nil, err
	}
	s.Explain("committed", a{"n": startDone})
	if err := readCommitted(ctx, s, b, topic, &e); err != nil {
		return nil, err
	}
	s.Explain("none", nil)
	if err := readNone(ctx, s, b, topic, &e); err != nil {
		return nil, err
	}
	s.Explain("latest", a{"n": startNew})
	return e, readLatest(ctx, s, b, topic, producer, &e)
}

// readChosen starts at an offset, without a group.
func readChosen(ctx context.Context, s *scenario.Stage, b *scenario.Broker, topic string, e *startEvidence) error {
	client, err := b.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(startChosen)}}))
	if err != nil {
		return err
	}
	defer client.Close()
	got, err := take(ctx, client, startOld-startChosen)
	if err != nil {
		return err
	}
	e.ChosenFirst, e.FromChosen = got[0].Offset, len(got)
	s.Event("chosen_got", a{"n": len(got), "first": got[0].Offset})
	return nil
}

// readCommitted reads a few records in a group, commits, leaves, and comes back
// with the reset policy latest.
func readCommitted(ctx context.Context, s *scenario.Stage, b *scenario.Broker, topic string, e *startEvidence) error {
	group := b.Group("remembers")
	first, err := b.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer first.Close()
	var done []*kgo.Record
	for len(done) < startDone {
		fetches := first.PollRecords(ctx, startDone-len(done))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		done = append(done, fetches.Records()...)
	}
	if err := first.CommitRecords(ctx, done...); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	first.Close()
	commits, err := b.Admin().FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	commit, _ := commits.Lookup(topic, 0)
	e.Committed = commit.At
	s.Event("committed_at", a{"n": len(done), "offset": commit.At})

	again, err := b.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		return err
	}
	defer again.Close()
	rest, err := take(ctx, again, startOld-startDone)
	if err != nil {
		return err
	}
	e.ResumedAt, e.Resumed = rest[0].Offset, len(rest)
	s.Event("resumed", a{"n": len(rest), "first": rest[0].Offset})
	return nil
}

// readNone joins with a group that has committed nothing, with the reset policy none.
func readNone(ctx context.Context, s *scenario.Stage, b *scenario.Broker, topic string, e *startEvidence) error {
	client, err := b.Client(kgo.ConsumerGroup(b.Group("strict")), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtCommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	records, err := poll(ctx, client)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.NoneGot, e.NoneRefused = len(records), err != nil
	s.Event("none_got", a{"n": len(records)})
	return nil
}

// readLatest joins with a new group and the reset policy latest, which is Kafka's
// default. Probes tell when it has found its place: they are sent until one comes.
func readLatest(ctx context.Context, s *scenario.Stage, b *scenario.Broker, topic string, producer *kgo.Client, e *startEvidence) error {
	client, err := b.Client(kgo.ConsumerGroup(b.Group("late")), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		return err
	}
	defer client.Close()
	note := func(records []*kgo.Record) (probes int) {
		for _, r := range records {
			switch text := string(r.Value); {
			case strings.HasPrefix(text, "old"):
				e.LatestOld++
			case strings.HasPrefix(text, "new"):
				e.LatestNew++
			default:
				probes++
			}
		}
		return probes
	}
	for probes := 0; probes == 0; {
		if err := produce(ctx, producer, kgo.StringRecord("probe")); err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, probeWait)
		records, err := poll(waiting, client)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		probes = note(records)
	}
	s.Event("latest_waits", a{"old": e.LatestOld})
	for i := range startNew {
		if err := produce(ctx, producer, kgo.StringRecord(fmt.Sprintf("new %d", i))); err != nil {
			return err
		}
	}
	for e.LatestNew < startNew {
		records, err := poll(ctx, client)
		if err != nil {
			return err
		}
		note(records)
	}
	s.Event("latest_got", a{"new": e.LatestNew, "old": e.LatestOld})
	return nil
}
