package cluster

import "context"

// producerIDBlock is how many producer ids one command covers. What is left of a block
// at a crash is lost, never used twice.
const producerIDBlock = 1000

// NextProducerID returns a producer id that was never given out before, also not
// before a crash.
func (c *Controller) NextProducerID(ctx context.Context) (int64, error) {
	c.pidMu.Lock()
	defer c.pidMu.Unlock()
	if c.nextPID == c.lastPID {
		c.mu.Lock()
		defer c.mu.Unlock()
		first := c.Image().nextPID
		if err := c.commit(ctx, []Command{{ProducerIDs: &ProducerIDs{Next: first + producerIDBlock}}}); err != nil {
			return 0, err
		}
		c.nextPID, c.lastPID = first, first+producerIDBlock
	}
	c.nextPID++
	return c.nextPID - 1, nil
}
