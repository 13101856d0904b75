package statelog

import (
	"container/heap"
	"sync"
	"time"
)

// timers knows when each machine wants its next tick. One heap and one goroutine serve
// them all. Most inputs do not touch it: a deadline that moved away stays where it is
// and is found to be early when it comes.
type timers struct {
	mu   sync.Mutex
	heap timerHeap
	wake chan struct{} // the earliest time has moved forward
}

type timerHeap []*timer

// timer is an entry's place in the heap.
type timer struct {
	tick  func()
	at    time.Time
	index int // -1: not in the heap
}

func newTimers() *timers { return &timers{wake: make(chan struct{}, 1)} }

// set moves an entry's next tick; zero: never.
func (t *timers) set(tm *timer, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case at.IsZero():
		if tm.index >= 0 {
			heap.Remove(&t.heap, tm.index)
		}
		return
	case tm.index >= 0:
		tm.at = at
		heap.Fix(&t.heap, tm.index)
	default:
		tm.at = at
		heap.Push(&t.heap, tm)
	}
	if tm.index == 0 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// due takes out the entries whose time has come and returns when the next one will.
func (t *timers) due(now time.Time) (due []*timer, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.heap) > 0 {
		if at := t.heap[0].at; at.After(now) {
			return due, at
		}
		due = append(due, heap.Pop(&t.heap).(*timer))
	}
	return due, time.Time{}
}

// run ticks the machines until stop is closed.
func (t *timers) run(stop <-chan struct{}) {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		due, next := t.due(time.Now())
		for _, tm := range due {
			tm.tick()
		}
		if len(due) > 0 {
			continue
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = time.Until(next)
		}
		clock.Reset(wait)
		select {
		case <-stop:
			return
		case <-t.wake:
		case <-clock.C:
		}
	}
}

func (h *timerHeap) Len() int           { return len(*h) }
func (h *timerHeap) Less(i, j int) bool { return (*h)[i].at.Before((*h)[j].at) }

func (h *timerHeap) Swap(i, j int) {
	s := *h
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	tm := x.(*timer)
	tm.index = len(*h)
	*h = append(*h, tm)
}

func (h *timerHeap) Pop() any {
	old := *h
	tm := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	tm.index = -1
	return tm
}
