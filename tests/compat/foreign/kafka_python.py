"""kafka-python, a client in Python alone."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

import lines

brokers = sys.argv[1]
PATIENCE_MS = 30_000


def producer(**more):
    return KafkaProducer(bootstrap_servers=brokers, acks="all", **more)


def consumer(*topics, group=None, **more):
    return KafkaConsumer(
        *topics, bootstrap_servers=brokers, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=10_000, heartbeat_interval_ms=500, partition_assignment_strategy=[RangePartitionAssignor], **more)


def admin():
    return KafkaAdminClient(bootstrap_servers=brokers)


def read(c, n):
    out, until = [], time.monotonic() + PATIENCE_MS / 1000
    while len(out) < n:
        if time.monotonic() > until:
            raise AssertionError(f"{len(out)} of {n} records: {out!r}")
        for batch in c.poll(200).values():
            out.extend(r.value for r in batch)
    return out


def written(p, topic, values, **more):
    return [f.get(PATIENCE_MS / 1000).offset for f in [p.send(topic, v, **more) for v in values]]


def made(topic, partitions=1, **config):
    admin().create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])


def produce(topic, codec):
    p = producer(compression_type=None if codec == "none" else codec)
    sent = [p.send(topic, value, key, headers) for key, value, headers in lines.records()]
    p.flush(PATIENCE_MS / 1000)
    for f in sent:
        f.get(PATIENCE_MS / 1000)
    p.close()


def consume(topic, group):
    ended = lines.stdin_ended()
    c = consumer(topic, group=group)
    while not ended.is_set():
        for batch in c.poll(100).values():
            for r in batch:
                lines.show(r.topic, r.partition, r.offset, r.key, r.value, r.headers)
            c.commit()
    c.close()


def idempotence(name):
    made(name)
    lines.same(written(producer(enable_idempotence=True), name, [b"%d" % i for i in range(50)]), list(range(50)), "offsets")


def transactions(name):
    made(name)
    p = producer(transactional_id=name)
    p.init_transactions()
    for value, end in ((b"first", p.commit_transaction), (b"aborted", p.abort_transaction), (b"second", p.commit_transaction)):
        p.begin_transaction()
        written(p, name, [value])
        end()
    c = consumer(name, group=name, isolation_level="read_committed")
    lines.same(read(c, 2), [b"first", b"second"], "committed records")
    p.begin_transaction()
    at = {TopicPartition(name, 0): OffsetAndMetadata(3, "", -1)}
    p.send_offsets_to_transaction(at, name)
    p.commit_transaction()
    # The commit is answered when it is decided; the group is told after that.
    until = time.monotonic() + PATIENCE_MS / 1000
    while (committed := c.committed(TopicPartition(name, 0))) != 3 and time.monotonic() < until:
        pass
    lines.same(committed, 3, "offset committed with the transaction")
    c.close()
    p.close()


def topics_and_settings(name):
    a = admin()
    made(name, 2, **{"retention.ms": "1000000"})
    try:
        made(name)
    except TopicAlreadyExistsError:
        pass
    else:
        raise AssertionError("a topic was made twice")
    lines.same(name in a.list_topics(), True, "listed")
    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs={"max.message.bytes": "2000"})
    a.alter_configs([resource])
    a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    a.create_partitions({name: NewPartitions(5)})
    (described,) = a.describe_topics([name])
    lines.same(len(described["partitions"]), 5, "partitions")
    lines.same(len(a.describe_cluster()["brokers"]) > 0, True, "brokers")
    a.delete_topics([name])


def offsets(name):
    made(name)
    p, t = producer(), TopicPartition(name, 0)
    for i in range(5):
        written(p, name, [b"%d" % i], timestamp_ms=1_000_000 + 1000 * i)
    c = consumer()
    c.assign([t])
    lines.same((c.beginning_offsets([t])[t], c.end_offsets([t])[t], c.offsets_for_times({t: 1_002_500})[t].offset), (0, 5, 3), "offsets")
    lines.same(read(c, 5), [b"%d" % i for i in range(5)], "records")
    c.seek(t, 3)
    lines.same(read(c, 2), [b"3", b"4"], "records after a seek")
    admin().delete_records({t: 2})
    lines.same(c.beginning_offsets([t])[t], 2, "first offset")
    c.close()


def groups(name):
    a = admin()
    made(name)
    written(producer(), name, [b"a", b"b", b"c"])
    c = consumer(name, group=name)
    read(c, 3)
    c.commit()
    described = a.describe_consumer_groups([name])
    lines.same(name in str(described), True, "described")
    c.close()
    lines.same(name in str(a.list_consumer_groups()), True, "listed")
    lines.same(a.list_consumer_group_offsets(name)[TopicPartition(name, 0)].offset, 3, "committed")
    a.delete_consumer_groups([name])
    lines.same(name in str(a.list_consumer_groups()), False, "listed after it was deleted")


lines.main(produce, consume, [idempotence, transactions, topics_and_settings, offsets, groups])
