package shop

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Down stops the shop in order and returns when no process of it is left. When
// hurry is closed, what still runs gets a short time only. It may be called twice.
func (s *Shop) Down(ctx context.Context, hurry <-chan struct{}) {
	s.mu.Lock()
	closed := s.closed
	s.closed, s.up = true, false
	s.mu.Unlock()
	if closed {
		return
	}
	if s.control != nil {
		s.control.close()
	}
	if len(s.parts()) > 0 {
		s.log.Progress("Stopping: the services finish what they have in hand")
	}
	s.stop(ctx, hurry, s.instances()...)
	s.stop(ctx, hurry, s.mail, s.collector)
	s.stop(ctx, hurry, s.broker)
	s.stop(ctx, hurry, s.postgres)
	s.sup.Close()
	s.log.EndProgress()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	logs := slices.Collect(maps.Values(s.logs))
	s.mu.Unlock()
	for _, file := range logs {
		if file != nil {
			file.close()
		}
	}
	for _, p := range s.parts() {
		for _, port := range p.ports {
			if port != nil {
				port.release()
			}
		}
	}
	if err := s.dir.RemoveShop(); err != nil {
		s.log.Say("shop.json: %v", err)
	}
	if err := s.dir.Close(); err != nil {
		s.log.Say("data folder: %v", err)
	}
}

// stop ends parts side by side, each killed when its time is over.
func (s *Shop) stop(ctx context.Context, hurry <-chan struct{}, parts ...*part) {
	var wg sync.WaitGroup
	for _, p := range parts {
		if p == nil || p.life() == nil {
			continue
		}
		wg.Go(func() {
			deadline, cancel := context.WithTimeout(ctx, p.drain)
			defer cancel()
			done := make(chan struct{})
			defer close(done)
			go func() {
				select {
				case <-hurry: // nil never comes
					select {
					case <-time.After(hurriedTimeout):
						cancel()
					case <-done:
					}
				case <-done:
				}
			}()
			began := time.Now()
			life := p.life()
			life.Stop(deadline)
			if exit := life.LastExit(); exit != nil && exit.Code == -1 && time.Since(began) > hurriedTimeout/2 {
				s.log.Say("%s did not stop in time and was killed", p.name)
			}
		})
	}
	wg.Wait()
}
