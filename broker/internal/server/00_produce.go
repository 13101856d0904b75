package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/fault"
	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/storage"
	"millrace/broker/internal/txn"
	"millrace/broker/internal/wire"
)

// Produce (API key 0), versions 0–13; 0–2 are offered and not served, as in Kafka 4 (KIP-896).
//
//	v3 batches of format 2, transactional id (KIP-98)   v5 log start offset   v7 zstd (KIP-110)
//	v8 record errors and message (KIP-467)   v9 flexible (KIP-482)   v10 leader told (KIP-951)
//	v12 transactions of version 2 (KIP-890)   v13 topic ids
//
// acks=1 and acks=all wait for the same on one node: that the records are on disk.
// The records of all partitions are appended first, then the disk is waited for once.
//
// The first records of a transaction in a partition are taken when its coordinator knows of them: with
// transactions of version 2 the partition is added on the way, before that it is asked (KIP-890).
func init() { register(0, 0, 13, (*Server).produce) }

// replicaPatience is how long a client waits that gives no time. Kafka waits for replicas only, of which one node has none to wait for:
// there, such a request is answered when it is appended.
const replicaPatience = 30 * time.Second

// adminClientID may write to internal topics, by Kafka's own tools.
const adminClientID = "__admin_client"

// produceResponse is complete when what it reports as written is on disk.
type produceResponse struct {
	kmsg.ProduceResponse
	pending  []pendingProduce
	deadline time.Time
	metrics  *Metrics
	attrs    []string // for faults; nil while there can be none
}

// pendingProduce is one partition's append, waiting for the disk.
type pendingProduce struct {
	partition *replica.Partition
	through   record.Offset
	topic, at int // where in the response
}

// withoutStart are the refusals of the log that Kafka answers without the log's start (ReplicaManager.appendToLocalLog).
var withoutStart = []int16{
	kerr.CorruptMessage.Code, kerr.UnknownTopicOrPartition.Code, kerr.NotLeaderForPartition.Code, kerr.MessageTooLarge.Code,
	kerr.RecordListTooLarge.Code, kerr.KafkaStorageError.Code, kerr.UnknownTopicID.Code,
}

func (s *Server) produce(r *Request, req *wire.ProduceRequest) kmsg.Response {
	if r.Version < 3 {
		return &hangUp{reason: fmt.Sprintf("Produce version %d is offered and not served, versions 3 to 13 are", r.Version)}
	}
	req.Topics = slices.DeleteFunc(req.Topics, func(t wire.ProduceTopic) bool { return t.First == t.End })
	patience := time.Duration(req.TimeoutMillis) * time.Millisecond
	if patience <= 0 {
		patience = replicaPatience
	}
	resp := &produceResponse{
		deadline: time.Now().Add(patience),
		pending:  make([]pendingProduce, 0, len(req.Partitions)),
		metrics:  s.metrics,
	}
	if s.faults != nil {
		resp.attrs = attrsOf(r, producedTopics(r.Version, req, s.cluster.Image())...)
		if err := s.faults.Hit(r.ctx, fault.ProduceBeforeAppend, resp.attrs...); err != nil {
			return &hangUp{reason: err.Error()}
		}
	}
	resp.Version = r.Version
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	parts := make([]kmsg.ProduceResponseTopicPartition, len(req.Partitions))
	targets := s.produceTargets(r, req)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := &resp.Topics[i]
		out.Topic, out.TopicID = t.Name, t.ID
		out.Partitions = parts[t.First:t.End:t.End]
		for j := range out.Partitions {
			in, part, target := &req.Partitions[t.First+j], &out.Partitions[j], &targets[t.First+j]
			part.Default()
			part.Partition = in.Partition
			part.BaseOffset, part.LogStartOffset = -1, -1
			var info storage.AppendInfo
			err := target.err
			if err == nil {
				if info, err = target.partition.Append(in.Records, storage.AppendOptions{Guard: target.guard}); err != nil {
					s.refuseProduce(part, target.partition, err)
					if !slices.Contains(withoutStart, part.ErrorCode) {
						part.LogStartOffset = int64(target.partition.StartOffset())
					}
					continue
				}
			}
			if err != nil {
				s.refuseProduce(part, target.partition, err)
				continue
			}
			part.BaseOffset = int64(info.First)
			part.LogAppendTime = info.LogAppendTime
			part.LogStartOffset = int64(info.Start)
			s.metrics.recordsIn.Add(float64(info.Records))
			s.metrics.recordBytesIn.Add(float64(len(in.Records)))
			if req.Acks != 0 {
				resp.pending = append(resp.pending, pendingProduce{target.partition, info.Last + 1, i, j})
			}
		}
	}
	if req.Acks != 0 {
		return resp
	}
	// Nobody hears of an error here but by the closed connection (KafkaApis.sendResponseCallback).
	for i := range parts {
		if code := parts[i].ErrorCode; code != 0 {
			return &hangUp{reason: fmt.Sprintf("Produce with acks=0 failed: %v", kerr.ErrorForCode(code))}
		}
	}
	return nil
}

// refusal is an error that has its Kafka code already.
type refusal struct {
	code *kerr.Error
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code *kerr.Error, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// produceTarget is where one partition's records go, or why they are refused.
type produceTarget struct {
	partition *replica.Partition // known with an error too, if it exists
	err       error

	transactional bool
	producer      txn.Producer
	sequence      int32
	guard         storage.Guard
}

// produceTargets checks all partitions of a request before anything is appended.
func (s *Server) produceTargets(r *Request, req *wire.ProduceRequest) []produceTarget {
	targets := make([]produceTarget, len(req.Partitions))
	image := s.cluster.Image()
	var first *produceTarget // of a transaction
	mixed := false
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := t.First; j < t.End; j++ {
			target := &targets[j]
			target.partition, target.err = s.produceTarget(r, req, image, t, &req.Partitions[j])
			if batch, _, err := record.Next(req.Partitions[j].Records); err == nil && batch.Transactional() {
				target.transactional = batch.ProducerID() >= 0 // without, the log refuses it
				target.producer = txn.Producer{ID: batch.ProducerID(), Epoch: batch.ProducerEpoch()}
				target.sequence = batch.BaseSequence()
				if first == nil {
					first = target
				}
				mixed = mixed || target.producer != first.producer
			}
		}
	}
	switch {
	case first == nil:
	case req.TransactionID == nil, s.onTxn(r, acl.Write, *req.TransactionID) != nil:
		refuseAll(targets, kerr.TransactionalIDAuthorizationFailed)
	case mixed:
		refuseAll(targets, kerr.InvalidProducerIDMapping)
	default:
		s.admitTransaction(r, *req.TransactionID, targets)
	}
	return targets
}

func refuseAll(targets []produceTarget, err *kerr.Error) {
	for i := range targets {
		targets[i].err = refuse(err, "%s", err.Description)
	}
}

// produceTarget finds one partition and applies the rules that need no log.
func (s *Server) produceTarget(r *Request, req *wire.ProduceRequest, image *cluster.Image, t *wire.ProduceTopic, in *wire.ProducePartition) (*replica.Partition, error) {
	name := t.Name
	if r.Version >= 13 {
		topic := image.TopicByID(t.ID)
		if topic == nil {
			return nil, refuse(kerr.UnknownTopicID, "no topic has this id")
		}
		name = topic.Name
	}
	if err := s.onTopic(r, acl.Write, name); err != nil {
		return nil, refuse(err, "%s", *deniedText(err))
	}
	if req.Acks < -1 || req.Acks > 1 {
		return nil, refuse(kerr.InvalidRequiredAcks, "acks is %d, allowed are -1, 0 and 1", req.Acks)
	}
	if cluster.IsInternal(name) && r.ClientID != adminClientID {
		return nil, refuse(kerr.InvalidTopicException, "Cannot append to internal topic %s", name)
	}
	p, err := s.replicas.Get(name, in.Partition)
	if err != nil {
		return nil, err
	}
	topic := p.Topic()
	if r.Version >= 13 && topic.ID != t.ID {
		return nil, refuse(kerr.UnknownTopicID, "no topic has this id")
	}
	if isr := len(topic.Partitions[in.Partition].ISR); req.Acks == -1 && isr < int(topic.Config.MinInsyncReplicas) {
		return nil, refuse(kerr.NotEnoughReplicas, "The size of the current ISR is %d, min.insync.replicas is %d", isr, topic.Config.MinInsyncReplicas)
	}
	in.Records, err = checkProduced(r.Version, in.Records)
	return p, err
}

// checkProduced applies the rules that belong to the request, not to the log
// (ProduceRequest.validateRecords): exactly one whole batch, of format 2. It returns that batch; part of another
// behind it is nothing.
func checkProduced(version int16, records []byte) ([]byte, error) {
	first, size, err := wholeBatch(records)
	switch {
	case err != nil:
		return nil, err
	case !first:
		return nil, refuse(kerr.InvalidRecord, "Produce requests with version %d must have at least one record batch per partition", version)
	case records[16] < record.Magic:
		return nil, refuse(kerr.InvalidRecord, "Produce requests with version %d are only allowed to contain record batches with magic version 2", version)
	}
	batch, _, err := record.Next(records[:size])
	if err != nil {
		return nil, err
	}
	if version < 7 && batch.Compression() == record.Zstd {
		return nil, refuse(kerr.UnsupportedCompressionType, "Produce requests with version %d are not allowed to use ZStandard compression", version)
	}
	another, _, err := wholeBatch(records[size:])
	if err == nil && another {
		err = refuse(kerr.InvalidRecord, "Produce requests with version %d are only allowed to contain exactly one record batch per partition", version)
	}
	return batch, err
}

// oldestBatch is the length field of the smallest batch of any format.
const oldestBatch = 14

// wholeBatch tells whether records begin with a whole batch of any format, and its size (ByteBufferLogInputStream).
func wholeBatch(records []byte) (whole bool, size int, err error) {
	if len(records) < record.PrefixSize {
		return false, 0, nil
	}
	length := int32(binary.BigEndian.Uint32(records[8:]))
	if length < oldestBatch {
		return false, 0, refuse(kerr.CorruptMessage, "a batch has a length of %d", length)
	}
	if len(records) < record.PrefixSize+5 {
		return false, 0, nil
	}
	if magic := int8(records[16]); magic < 0 || magic > record.Magic {
		return false, 0, refuse(kerr.CorruptMessage, "a batch has magic %d", magic)
	}
	size = record.PrefixSize + int(length)
	return size <= len(records), size, nil
}

// refuseProduce writes why a partition's records were not taken.
func (s *Server) refuseProduce(part *kmsg.ProduceResponseTopicPartition, p *replica.Partition, err error) {
	var known *refusal
	if errors.As(err, &known) {
		part.ErrorCode = known.code.Code
	} else {
		name := ""
		if p != nil {
			name = p.Name.Topic
		}
		part.ErrorCode = s.codeOf(err, "produce", name, part.Partition)
	}
	if part.ErrorCode != kerr.UnknownServerError.Code {
		part.ErrorMessage = kmsg.StringPtr(err.Error())
	}
	var rejected *record.RejectedError
	if errors.As(err, &rejected) {
		for _, i := range rejected.Records {
			e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
			e.RelativeOffset, e.ErrorMessage = i, &rejected.Text
			part.ErrorRecords = append(part.ErrorRecords, e)
		}
	}
	s.metrics.failed(0, part.ErrorCode)
}

// finish waits for the disk. It returns an error when the answer is to be lost on purpose.
func (p *produceResponse) finish(s *Server) error {
	ctx, cancel := context.WithDeadline(s.closing, p.deadline)
	defer cancel()
	for _, w := range p.pending {
		err := w.partition.WaitCommitted(ctx, w.through)
		if err == nil {
			continue
		}
		part := &p.Topics[w.topic].Partitions[w.at]
		part.ErrorCode = s.codeOf(err, "wait for the disk", w.partition.Name.Topic, part.Partition)
		part.ErrorMessage = kmsg.StringPtr(err.Error())
		part.BaseOffset, part.LogAppendTime, part.LogStartOffset = -1, -1, -1
		p.metrics.failed(0, part.ErrorCode)
	}
	p.pending = nil
	return s.faults.Hit(s.draining, fault.ProduceAfterAppend, p.attrs...)
}
