"""confluent-kafka, which is librdkafka: what C, C++, Rust, .NET and PHP programs use too."""

import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING, Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType,
)

import lines

brokers = sys.argv[1]
PATIENCE = 30


def producer(**more):
    return Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5, **more})


def consumer(group, **more):
    return Consumer({
        "bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 10000, "heartbeat.interval.ms": 500, **more,
    })


def admin():
    return AdminClient({"bootstrap.servers": brokers})


def written(p, topic, values, **more):
    """Writes values and returns where they went."""
    places, errors = [], []

    def told(err, message):
        errors.append(err) if err else places.append((message.partition(), message.offset()))

    for v in values:
        p.produce(topic, v, on_delivery=told, **more)
    p.flush(PATIENCE)
    if errors:
        raise KafkaException(errors[0])
    lines.same(len(places), len(values), "acknowledged records")
    return places


def read(c, n):
    """Polls until there are n records."""
    out, until = [], time.monotonic() + PATIENCE
    while len(out) < n:
        if time.monotonic() > until:
            raise AssertionError(f"{len(out)} of {n} records: {out!r}")
        m = c.poll(0.2)
        if m is None:
            continue
        if m.error():
            if m.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise KafkaException(m.error())
        out.append(m.value())
    return out


def made(topic, partitions=1, **config):
    a = admin()  # held until it has answered
    a.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(PATIENCE)


def produce(topic, codec):
    p = producer(**{"compression.type": codec})
    failed = []
    for key, value, headers in lines.records():
        p.produce(topic, value, key, headers=headers, on_delivery=lambda err, _: failed.append(err) if err else None)
        p.poll(0)
    p.flush(PATIENCE)
    if failed or len(p):
        raise SystemExit(f"not acknowledged: {failed}, {len(p)} in the queue")


def consume(topic, group):
    ended = lines.stdin_ended()
    c = consumer(group, **{"partition.assignment.strategy": "range"})
    c.subscribe([topic])
    while not ended.is_set():
        m = c.poll(0.1)
        if m is None or m.error():
            continue
        lines.show(m.topic(), m.partition(), m.offset(), m.key(), m.value(), m.headers())
        c.commit(m, asynchronous=False)
    c.close()


def transactions(name):
    made(name)
    p = producer(**{"transactional.id": name})
    p.init_transactions(PATIENCE)
    for value, end in ((b"first", p.commit_transaction), (b"aborted", p.abort_transaction), (b"second", p.commit_transaction)):
        p.begin_transaction()
        p.produce(name, value)
        p.flush(PATIENCE)
        end(PATIENCE)
    c = consumer(name, **{"isolation.level": "read_committed"})
    c.subscribe([name])
    lines.same(read(c, 2), [b"first", b"second"], "committed records")
    # What is read is committed with what comes of it.
    p.begin_transaction()
    p.produce(name, b"third")
    p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), PATIENCE)
    p.commit_transaction(PATIENCE)
    (at,) = c.committed([TopicPartition(name, 0)], PATIENCE)
    lines.same(at.offset > 0, True, "offset committed with the transaction")
    c.close()
    # A second producer of the same id fences the first.
    q = producer(**{"transactional.id": name})
    q.init_transactions(PATIENCE)
    p.begin_transaction()
    try:
        p.produce(name, b"zombie")
        p.commit_transaction(PATIENCE)
    except KafkaException as e:
        lines.same(e.args[0].fatal(), True, "fenced")
    else:
        raise AssertionError("the fenced producer committed")


def next_generation_group(name):
    made(name, 4)
    written(producer(), name, [b"%d" % i for i in range(20)])
    c = Consumer({
        "bootstrap.servers": brokers, "group.id": name, "group.protocol": "consumer", "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    c.subscribe([name])
    lines.same(sorted(read(c, 20), key=int), [b"%d" % i for i in range(20)], "records")
    c.commit(asynchronous=False)
    c.close()


def cooperative_group(name):
    made(name, 4)
    members = [consumer(name, **{"partition.assignment.strategy": "cooperative-sticky"}) for _ in range(2)]
    for m in members:
        m.subscribe([name])
    until = time.monotonic() + PATIENCE
    while [len(m.assignment()) for m in members] != [2, 2]:
        if time.monotonic() > until:
            raise AssertionError(f"shares {[len(m.assignment()) for m in members]}")
        for m in members:
            m.poll(0.1)
    for m in members:
        m.close()


def topics_and_settings(name):
    a = admin()
    made(name, 2, **{"retention.ms": "1000000"})
    resource = ConfigResource(ResourceType.TOPIC, name)
    lines.same(a.describe_configs([resource])[resource].result(PATIENCE)["retention.ms"].value, "1000000", "retention.ms")
    change = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
        ConfigEntry("max.message.bytes", "2000", incremental_operation=AlterConfigOpType.SET),
    ])
    a.incremental_alter_configs([change])[change].result(PATIENCE)
    now = a.describe_configs([resource])[resource].result(PATIENCE)
    lines.same((now["retention.ms"].is_default, now["max.message.bytes"].value), (True, "2000"), "settings")
    try:
        written(producer(), name, [b"x" * 5000])
    except KafkaException as e:
        lines.same(e.args[0].code(), KafkaError.MSG_SIZE_TOO_LARGE, "error")
    else:
        raise AssertionError("a record of 5000 bytes was taken, max.message.bytes is 2000")
    a.create_partitions([NewPartitions(name, 5)])[name].result(PATIENCE)
    until = time.monotonic() + PATIENCE
    while len(a.list_topics(name, PATIENCE).topics[name].partitions) != 5:
        if time.monotonic() > until:
            raise AssertionError("not 5 partitions")
    try:
        made(name)
    except KafkaException as e:
        lines.same(e.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "error")
    cluster = a.describe_cluster(request_timeout=PATIENCE).result()
    lines.same(len(cluster.nodes) > 0 and cluster.controller is not None, True, "nodes and controller")
    a.delete_topics([name])[name].result(PATIENCE)


def offsets(name):
    a = admin()
    made(name)
    p, t = producer(), TopicPartition(name, 0)
    for i in range(5):
        written(p, name, [b"%d" % i], timestamp=1_000_000 + 1000 * i)

    def listed(spec):
        return a.list_offsets({t: spec})[t].result(PATIENCE).offset

    lines.same([listed(OffsetSpec.earliest()), listed(OffsetSpec.latest()), listed(OffsetSpec.max_timestamp()), listed(OffsetSpec.for_timestamp(1_002_500))],
               [0, 5, 4, 3], "offsets")
    c = consumer(name)
    lines.same([(x.offset) for x in c.offsets_for_times([TopicPartition(name, 0, 1_001_000)], PATIENCE)], [1], "offset of a time")
    c.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
    lines.same(read(c, 5), [b"%d" % i for i in range(5)], "records")
    c.seek(TopicPartition(name, 0, 3))
    lines.same(read(c, 2), [b"3", b"4"], "records after a seek")
    c.pause([TopicPartition(name, 0)])
    written(p, name, [b"5"])
    lines.same(c.poll(0.3), None, "record while paused")
    c.resume([TopicPartition(name, 0)])
    lines.same(read(c, 1), [b"5"], "records after the pause")
    lines.same(a.delete_records([TopicPartition(name, 0, 2)])[t].result(PATIENCE).low_watermark, 2, "low watermark")
    lines.same(c.get_watermark_offsets(t, PATIENCE), (2, 6), "watermarks")
    c.close()


def groups(name):
    a = admin()
    made(name)
    written(producer(), name, [b"a", b"b", b"c"])
    c = consumer(name)
    c.subscribe([name])
    read(c, 3)
    c.commit(asynchronous=False)
    described = a.describe_consumer_groups([name])[name].result(PATIENCE)
    lines.same((described.state, len(described.members)), (ConsumerGroupState.STABLE, 1), "group")
    c.close()
    ids = [g.group_id for g in a.list_consumer_groups().result(PATIENCE).valid]
    lines.same(name in ids, True, "listed")
    (got,) = a.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])[name].result(PATIENCE).topic_partitions
    lines.same((got.topic, got.partition, got.offset), (name, 0, 3), "committed")
    a.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, [TopicPartition(name, 0, 1)])])[name].result(PATIENCE)
    c = consumer(name)
    c.subscribe([name])
    lines.same(read(c, 2), [b"b", b"c"], "records after the offset was set back")
    c.close()
    a.delete_consumer_groups([name])[name].result(PATIENCE)
    described = a.describe_consumer_groups([name])[name]
    try:
        lines.same(described.result(PATIENCE).state, ConsumerGroupState.DEAD, "state of a deleted group")
    except KafkaException as e:
        lines.same(e.args[0].code(), KafkaError.GROUP_ID_NOT_FOUND, "error of a deleted group")


lines.main(produce, consume, [transactions, next_generation_group, cooperative_group, topics_and_settings, offsets, groups])
