package record

import (
	"encoding/hex"
	"errors"
	"testing"
)

func TestMarker_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []Marker{{Commit: true, CoordinatorEpoch: 7}, {CoordinatorEpoch: 1<<31 - 1}} {
		b := EndTxn(42, 3, 1_700_000_000_000, want)
		if _, err := Check(b, Limits{AllowControl: true}); err != nil {
			t.Fatal(err)
		}
		if !b.Control() || !b.Transactional() || b.ProducerID() != 42 || b.ProducerEpoch() != 3 || b.BaseSequence() != -1 {
			t.Errorf("header: attributes %b, producer %d epoch %d sequence %d", b.Attributes(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
		}
		got, ok, err := b.Marker()
		if got != want || !ok || err != nil {
			t.Errorf("%+v, %t, %v; want %+v", got, ok, err, want)
		}
	}
}

// The bytes of key and value are those that Kafka writes.
func TestMarker_Bytes(t *testing.T) {
	t.Parallel()
	for r, err := range EndTxn(1, 0, 5, Marker{Commit: true, CoordinatorEpoch: 0x01020304}).Records(100) {
		if err != nil {
			t.Fatal(err)
		}
		if k, v := hex.EncodeToString(r.Key), hex.EncodeToString(r.Value); k != "00000001" || v != "000001020304" {
			t.Errorf("key %s, value %s", k, v)
		}
	}
}

func TestMarker_Damaged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key, value []byte
		err        error
	}{
		"another kind of control record": {[]byte{0, 0, 0, 2}, []byte{0, 0, 0, 0, 0, 0}, nil},
		"short key":                      {[]byte{0, 0}, nil, ErrInvalid},
		"null key":                       {nil, nil, ErrInvalid},
		"short value":                    {[]byte{0, 0, 0, 1}, []byte{0}, ErrInvalid},
	} {
		b := Builder{Control: true, Transactional: true, Idempotent: true, ProducerID: 1, BaseSequence: -1}
		b.Add(0, test.key, test.value)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := batch.Marker(); ok || !errors.Is(err, test.err) {
			t.Errorf("%s: ok %t, %v", name, ok, err)
		}
	}
}
