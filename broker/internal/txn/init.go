package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// onInit gives the id to a producer: whoever had it is fenced off by the epoch. What that one
// has left open is aborted first, for which the producer has to come again (Kafka's
// TransactionCoordinator.prepareInitProducerIdTransit).
func (t *Transaction) onInit(in InitProducer) {
	refuse := func(err *kerr.Error) { t.reply(in.Ref, InitReply{err, noProducer}) }
	if in.Timeout <= 0 || in.Timeout > t.cfg.MaxTimeout {
		refuse(kerr.InvalidTransactionTimeout)
		return
	}
	if t.now.ProducerID == noID && t.writing == nil {
		if t.needID(in) {
			return
		}
		t.now.ProducerID, t.now.Updated = t.fresh, t.clock
		defer func() { // known only once it is on disk
			if t.writing == nil {
				t.now.ProducerID = noID
			}
		}()
	}
	switch {
	case t.busy():
		refuse(kerr.ConcurrentTransactions)
	case !t.owns(in.Expected):
		refuse(kerr.ProducerFenced)
	case t.now.State == Ongoing:
		t.abort(in, func(err *kerr.Error) {
			if err == nil {
				t.event(Event{Kind: Fenced, Reason: "the id was initialized anew"})
				err = kerr.ConcurrentTransactions
			}
			refuse(err)
		})
	case t.now.exhausted() && (in.Expected == nil || in.Expected.Epoch == t.now.Epoch):
		if t.needID(in) {
			return
		}
		m := t.change(Empty)
		m.ProducerID, m.Epoch, m.LastEpoch = t.fresh, 0, noEpoch
		if in.Expected != nil {
			m.LastEpoch = t.now.Epoch
		}
		t.initialize(in, m)
	default:
		m := t.change(Empty)
		switch e := in.Expected; {
		case e == nil:
			m.Epoch, m.LastEpoch = t.now.Epoch+1, noEpoch
		case t.now.Epoch == noEpoch || e.Epoch == t.now.Epoch:
			m.Epoch, m.LastEpoch = t.now.Epoch+1, t.now.Epoch
		case e.Epoch == t.now.LastEpoch:
			// The answer to the last one was lost: it is the same again.
		default:
			refuse(kerr.ProducerFenced)
			return
		}
		t.initialize(in, m)
	}
}

func (t *Transaction) initialize(in InitProducer, m Metadata) {
	m.Timeout, m.Partitions, m.Started, m.Updated = in.Timeout, nil, time.Time{}, t.clock
	isNew := t.now.Epoch == noEpoch
	t.persist(&m, func(err *kerr.Error) {
		if err != nil {
			if isNew {
				t.now.ProducerID = noID
			}
			t.reply(in.Ref, InitReply{err, noProducer})
			return
		}
		t.event(Event{Kind: Initialized})
		t.reply(in.Ref, InitReply{nil, m.Producer()})
	})
}

// owns tells whether a producer that says what it has so far may go on with the id: it has the
// present producer id (its epoch is looked at later), or it ran out of epochs of the one before
// and did not hear of the new one.
func (t *Transaction) owns(e *Producer) bool {
	return e == nil || t.now.Epoch == noEpoch || e.ID == t.now.ProducerID ||
		e.ID == t.now.PrevProducerID && e.Epoch >= lastEpoch
}
