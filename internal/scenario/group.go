package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// lookEvery is the pause between two looks at a group.
const lookEvery = 100 * time.Millisecond

// GroupWatch follows a consumer group as its coordinator sees it, shows the lanes,
// and lets the scenario wait for what it expects. Stop it.
type GroupWatch struct {
	stage        *Stage
	admin        *kadm.Client
	group, topic string

	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex // guards what follows
	view View
	seen bool
	err  error // of the latest look
	news chan struct{}
}

// WatchGroup starts to follow a group's members that read a topic.
func (s *Stage) WatchGroup(ctx context.Context, admin *kadm.Client, group, topic string) *GroupWatch {
	ctx, stop := context.WithCancel(ctx)
	w := &GroupWatch{stage: s, admin: admin, group: group, topic: topic, stop: stop, done: make(chan struct{}), news: make(chan struct{})}
	s.watches.add(w)
	go w.run(ctx)
	return w
}

// Stop ends it and leaves its last lanes on the screen. It may be called twice.
func (w *GroupWatch) Stop() {
	w.stop()
	<-w.done
	w.stage.watches.remove(w)
}

func (w *GroupWatch) run(ctx context.Context) {
	defer close(w.done)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *GroupWatch) look(ctx context.Context) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := Look(ctx, w.admin, w.group, w.topic)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no answer about group %s: %w", w.group, err)
	}
	w.mu.Lock()
	changed := err == nil && (!w.seen || !v.sameHolders(w.view))
	if w.err = err; err == nil {
		w.view, w.seen = v, true
	}
	close(w.news)
	w.news = make(chan struct{})
	w.mu.Unlock()
	if err != nil {
		return
	}
	if changed && !w.stage.screen.out.Animation {
		w.stage.line(w.group, v)
	}
	w.stage.watches.draw(w.stage)
}

// Look asks once for the state of a group.
func Look(ctx context.Context, admin *kadm.Client, group, topic string) (View, error) {
	lags, err := admin.Lag(ctx, group)
	if err != nil {
		return View{}, err
	}
	described := lags[group]
	if err := described.Error(); err != nil {
		return View{}, err
	}
	v := View{State: described.State, Lags: map[int32]int64{}, Commits: map[int32]int64{}}
	for partition, lag := range described.Lag[topic] {
		v.Lags[partition], v.Commits[partition] = max(0, lag.Lag), lag.Commit.At
	}
	if err := addUnread(ctx, admin, topic, &v); err != nil {
		return View{}, err
	}
	var readers []kadm.DescribedGroupMember
	clients := map[string]int{}
	for _, m := range described.Members {
		if join, ok := m.Join.AsConsumer(); ok && slices.Contains(join.Topics, topic) {
			readers = append(readers, m)
			clients[m.ClientID]++
		}
	}
	for _, m := range readers {
		h := Holder{Member: m.ClientID}
		if clients[m.ClientID] > 1 {
			h.Member += "-" + m.MemberID[max(0, len(m.MemberID)-4):]
		}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				if t.Topic == topic {
					h.Partitions = append(h.Partitions, t.Partitions...)
				}
			}
		}
		slices.Sort(h.Partitions)
		v.Holders = append(v.Holders, h)
	}
	slices.SortFunc(v.Holders, func(a, b Holder) int { return strings.Compare(a.Member, b.Member) })
	return v, nil
}

// addUnread adds partitions of which the group has neither a member nor a committed
// offset: it is behind by all that is there.
func addUnread(ctx context.Context, admin *kadm.Client, topic string, v *View) error {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil || len(ends[topic]) == len(v.Lags) {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return err
	}
	for partition, end := range ends[topic] {
		if _, known := v.Lags[partition]; !known {
			v.Lags[partition], v.Commits[partition] = end.Offset-starts[topic][partition].Offset, -1
		}
	}
	return nil
}

// Await waits until the group is as it is wanted.
func (w *GroupWatch) Await(ctx context.Context, what string, wanted func(View) bool) (View, error) {
	for {
		w.mu.Lock()
		v, seen, err, news := w.view, w.seen, w.err, w.news
		w.mu.Unlock()
		if seen && err == nil && wanted(v) {
			return v, nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("it is %s", v.line())
			}
			return v, fmt.Errorf("waited for group %s to be %s: %w", w.group, what, err)
		case <-news:
		}
	}
}

// AwaitShape waits until the group is stable and its members hold so many
// partitions, as 1, 1, 1, 0.
func (w *GroupWatch) AwaitShape(ctx context.Context, shape ...int) (View, error) {
	return w.Await(ctx, fmt.Sprintf("stable with %v partitions", shape), func(v View) bool {
		return v.Stable() && slices.Equal(v.Shape(), shape)
	})
}

// watchList are the groups whose lanes are on the screen, one below the other.
type watchList struct {
	mu   sync.Mutex
	list []*GroupWatch
}

func (l *watchList) add(w *GroupWatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, w)
}

// remove takes a group from the screen; with the last one its lanes stay as they are.
func (l *watchList) remove(w *GroupWatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.list, w); i >= 0 {
		if l.list = slices.Delete(l.list, i, i+1); len(l.list) == 0 {
			w.stage.screen.keepBlock()
		}
	}
}

func (l *watchList) draw(s *Stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, w := range l.list {
		w.mu.Lock()
		v, seen := w.view, w.seen
		w.mu.Unlock()
		if seen {
			lines = append(lines, s.lanes(w.group, w.topic, v)...)
		}
	}
	if len(lines) > 0 {
		s.screen.setBlock(append([]string{""}, lines...))
	}
}
