// Java's own producer and consumers: the idempotent and the transactional producer, the classic and the new
// (KIP-848) group protocol, share groups (KIP-932). Arguments: BROKERS PREFIX INPUT COUNT OUTPUT. Each check has topics
// and groups whose names begin with PREFIX, and says {"check": NAME, "error": TEXT or null}. The check "exchange" copies
// COUNT records from topic INPUT to topic OUTPUT, with each compression in turn. All checks run at the same time.
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.*;

@SuppressWarnings("unchecked")
public class Clients {
  interface Check { void run(String name) throws Exception; }

  static final Duration TICK = Duration.ofMillis(100), PATIENCE = Duration.ofSeconds(90);
  static final Map<String, Check> checks = new LinkedHashMap<>();
  static String servers;
  static Admin admin;

  public static void main(String[] args) throws Exception {
    servers = args[0];
    admin = Admin.create(Map.<String, Object>of("bootstrap.servers", servers));
    checks.put("exchange", name -> exchange(args[2], Integer.parseInt(args[3]), args[4]));
    checks.put("idempotence", Clients::idempotence);
    checks.put("errors", Clients::errors);
    checks.put("transactions", Clients::transactions);
    checks.put("transactions_of_a_group", Clients::transactionsOfAGroup);
    checks.put("classic_group", Clients::classicGroup);
    checks.put("static_members", Clients::staticMembers);
    checks.put("positions", Clients::positions);
    checks.put("next_generation_group", Clients::nextGenerationGroup);
    checks.put("group_migrates", Clients::groupMigrates);
    checks.put("share_group", Clients::shareGroup);
    checks.put("share_acknowledgements", Clients::shareAcknowledgements);

    ExecutorService all = Executors.newCachedThreadPool();
    Map<String, Future<?>> running = new LinkedHashMap<>();
    checks.forEach((name, check) -> running.put(name, all.submit(() -> {
      check.run(args[1] + "-" + name.replace('_', '-'));
      return null;
    })));
    for (Map.Entry<String, Future<?>> e : running.entrySet()) {
      String error = null;
      try {
        e.getValue().get();
      } catch (ExecutionException x) {
        StringWriter text = new StringWriter();
        x.getCause().printStackTrace(new PrintWriter(text));
        error = text.toString();
      }
      System.out.println("{\"check\":" + quote(e.getKey()) + ",\"error\":" + (error == null ? "null" : quote(error)) + "}");
    }
    System.exit(0);
  }

  static String quote(String s) {
    StringBuilder b = new StringBuilder("\"");
    for (char c : s.toCharArray()) {
      b.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
    }
    return b.append('"').toString();
  }

  // --- what the checks are written with ---

  static void same(Object got, Object want, String what) {
    if (!Objects.equals(got, want)) {
      throw new AssertionError(what + ": " + got + ", want " + want);
    }
  }

  // until calls again and again until it is true.
  static void until(String what, Supplier<Boolean> ready, Supplier<Object> state) {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (!ready.get()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("never: " + what + ": " + state.get());
      }
    }
  }

  static <E extends Throwable> E fails(Class<E> want, Attempt attempt) {
    try {
      attempt.run();
    } catch (Throwable e) {
      Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
      if (cause.getClass() == want) {
        return want.cast(cause);
      }
      throw new AssertionError("failed with " + cause + ", want " + want.getSimpleName(), cause);
    }
    throw new AssertionError("did not fail, want " + want.getSimpleName());
  }

  interface Attempt { void run() throws Exception; }

  static void topic(String name, int partitions) throws Exception {
    admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all().get();
    until("topic " + name, () -> {
      try {
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().stream().filter(p -> p.leader() != null).count() == partitions;
      } catch (ExecutionException | InterruptedException e) {
        return false;
      }
    }, () -> "no leader");
  }

  static Map<String, Object> properties(Object... pairs) {
    Map<String, Object> p = new HashMap<>();
    p.put("bootstrap.servers", servers);
    for (int i = 0; i < pairs.length; i += 2) {
      p.put((String) pairs[i], pairs[i + 1]);
    }
    return p;
  }

  static KafkaProducer<String, String> producer(Object... pairs) {
    return new KafkaProducer<>(properties(pairs), new StringSerializer(), new StringSerializer());
  }

  static KafkaConsumer<String, String> consumer(Object... pairs) {
    Map<String, Object> p = properties("auto.offset.reset", "earliest", "enable.auto.commit", false);
    p.putAll(properties(pairs));
    return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
  }

  static KafkaShareConsumer<String, String> shareConsumer(Object... pairs) {
    return new KafkaShareConsumer<>(properties(pairs), new StringDeserializer(), new StringDeserializer());
  }

  static List<String> numbered(String prefix, int n) {
    List<String> values = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      values.add(prefix + i);
    }
    return values;
  }

  // write sends values, keyed in turn by partition number, and returns when all are acknowledged.
  static void write(KafkaProducer<String, String> p, String topic, int partitions, List<String> values) throws Exception {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (int i = 0; i < values.size(); i++) {
      sent.add(p.send(new ProducerRecord<>(topic, i % partitions, "k" + i % partitions, values.get(i))));
    }
    for (Future<RecordMetadata> f : sent) {
      f.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    }
  }

  // read polls until there are n records.
  static List<String> read(Consumer<String, String> c, int n) {
    List<String> values = new ArrayList<>();
    until(n + " records", () -> {
      c.poll(TICK).forEach(r -> values.add(r.value()));
      return values.size() >= n;
    }, () -> values);
    return values;
  }

  static List<String> sorted(Collection<String> values) {
    List<String> s = new ArrayList<>(values);
    Collections.sort(s);
    return s;
  }

  // settled polls all members until each partition is somebody's.
  static void settled(String topic, int partitions, List<KafkaConsumer<String, String>> members, Map<String, Integer> seen) {
    until("every member has some of " + topic, () -> {
      Set<TopicPartition> all = new HashSet<>();
      boolean each = true;
      for (KafkaConsumer<String, String> m : members) {
        m.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum));
        all.addAll(m.assignment());
        each &= !m.assignment().isEmpty();
      }
      return each && all.size() == partitions;
    }, () -> members.stream().map(Consumer::assignment).toList());
  }

  static void once(Map<String, Integer> seen, Collection<String> values) {
    same(sorted(seen.keySet()), sorted(values), "records");
    same(new HashSet<>(seen.values()), Set.of(1), "times that each came");
  }

  // --- checks ---

  static void exchange(String input, int count, String output) throws Exception {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(properties("auto.offset.reset", "earliest", "group.id", output),
        new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      c.subscribe(List.of(input));
      until(count + " records", () -> {
        c.poll(TICK).forEach(records::add);
        return records.size() >= count;
      }, records::size);
    }
    same(records.size(), count, "records");
    List<String> codecs = List.of("none", "gzip", "snappy", "lz4", "zstd");
    for (int i = 0; i < codecs.size(); i++) {
      try (KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(properties("compression.type", codecs.get(i)), new ByteArraySerializer(), new ByteArraySerializer())) {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int j = i; j < count; j += codecs.size()) {
          ConsumerRecord<byte[], byte[]> r = records.get(j);
          sent.add(p.send(new ProducerRecord<>(output, r.partition(), r.key(), r.value(), r.headers())));
        }
        for (Future<RecordMetadata> f : sent) {
          f.get();
        }
      }
    }
  }

  // Many small batches in flight: none is lost, none comes twice, and each partition keeps its order.
  static void idempotence(String name) throws Exception {
    topic(name, 3);
    List<String> values = numbered("v", 3000);
    try (KafkaProducer<String, String> p = producer("batch.size", 200, "max.in.flight.requests.per.connection", 5, "linger.ms", 0)) {
      write(p, name, 3, values);
    }
    Map<Integer, Integer> last = new HashMap<>();
    try (KafkaConsumer<String, String> c = consumer()) {
      c.assign(List.of(new TopicPartition(name, 0), new TopicPartition(name, 1), new TopicPartition(name, 2)));
      List<ConsumerRecord<String, String>> got = new ArrayList<>();
      until("all records", () -> {
        c.poll(TICK).forEach(got::add);
        return got.size() >= values.size();
      }, got::size);
      for (ConsumerRecord<String, String> r : got) {
        int n = Integer.parseInt(r.value().substring(1));
        same(n, last.getOrDefault(r.partition(), r.partition() - 3) + 3, "the next number of partition " + r.partition());
        last.put(r.partition(), n);
      }
      same(c.endOffsets(c.assignment()).values().stream().mapToLong(Long::longValue).sum(), 3000L, "records in all");
    }
  }

  static void errors(String name) throws Exception {
    topic(name, 1);
    admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, name),
        List.of(new AlterConfigOp(new ConfigEntry("max.message.bytes", "1000"), AlterConfigOp.OpType.SET)))).all().get();
    TopicPartition p0 = new TopicPartition(name, 0);
    try (KafkaProducer<String, String> p = producer("max.block.ms", 3000, "delivery.timeout.ms", 60000)) {
      until("a record that is too large", () -> {
        try {
          p.send(new ProducerRecord<>(name, "x".repeat(2000))).get();
          return false;
        } catch (ExecutionException e) {
          same(e.getCause().getClass(), RecordTooLargeException.class, "error");
          return true;
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
      }, () -> "taken");
      fails(InvalidTopicException.class, () -> p.send(new ProducerRecord<>("not/a topic", "x")).get());
      fails(org.apache.kafka.common.errors.TimeoutException.class, () -> p.send(new ProducerRecord<>(name, 7, "k", "x")).get());
      p.send(new ProducerRecord<>(name, "goes on")).get();
    }
    try (KafkaConsumer<String, String> c = consumer("auto.offset.reset", "none", "group.id", name)) {
      c.assign(List.of(p0));
      fails(NoOffsetForPartitionException.class, () -> read(c, 1));
      c.seek(p0, 99);
      fails(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> read(c, 1));
    }
    try (KafkaConsumer<String, String> c = consumer("group.id", name, "session.timeout.ms", 20, "heartbeat.interval.ms", 10)) {
      c.subscribe(List.of(name));
      fails(InvalidSessionTimeoutException.class, () -> read(c, 1));
    }
    try (KafkaConsumer<String, String> c = consumer("group.id", name, "group.protocol", "consumer", "group.remote.assignor", "nobody")) {
      c.subscribe(List.of(name));
      fails(UnsupportedAssignorException.class, () -> read(c, 1));
    }
    KafkaException tooLong = fails(KafkaException.class, () -> {
      try (KafkaProducer<String, String> p = producer("transactional.id", name, "transaction.timeout.ms", 2000000000)) {
        p.initTransactions();
      }
    });
    same(tooLong.getMessage().contains(Errors.INVALID_TRANSACTION_TIMEOUT.message()), true, tooLong.getMessage());
  }

  static void transactions(String name) throws Exception {
    topic(name, 2);
    try (KafkaProducer<String, String> p = producer("transactional.id", name)) {
      p.initTransactions();
      p.beginTransaction();
      write(p, name, 2, numbered("a", 10));
      p.commitTransaction();
      p.beginTransaction();
      write(p, name, 2, numbered("b", 10));
      p.abortTransaction();
      p.beginTransaction();
      write(p, name, 2, numbered("c", 10));
      p.commitTransaction();
      p.beginTransaction();
      write(p, name, 2, numbered("open", 2));
      try (KafkaConsumer<String, String> c = consumer("isolation.level", "read_committed"); KafkaConsumer<String, String> all = consumer()) {
        List<TopicPartition> partitions = List.of(new TopicPartition(name, 0), new TopicPartition(name, 1));
        c.assign(partitions);
        all.assign(partitions);
        List<String> want = numbered("a", 10);
        want.addAll(numbered("c", 10));
        same(sorted(read(c, 20)), sorted(want), "committed records");
        want.addAll(numbered("b", 10));
        want.addAll(numbered("open", 2));
        same(sorted(read(all, 32)), sorted(want), "all records");
        // Five of each, three markers, and the open one, at which the last stable offset stays.
        same(c.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum(), 36L, "last stable offsets");
        same(all.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum(), 38L, "high watermarks");
      }
      // Another with the same id takes over: the first one's transaction is aborted, and it is fenced.
      try (KafkaProducer<String, String> second = producer("transactional.id", name)) {
        second.initTransactions();
        fails(ProducerFencedException.class, p::commitTransaction);
        second.beginTransaction();
        write(second, name, 2, numbered("d", 2));
        second.commitTransaction();
      }
    } catch (KafkaException e) { // closing who was fenced may say so
      if (!(e instanceof ProducerFencedException)) {
        throw e;
      }
    }
  }

  // consume-transform-produce: offsets and records together or not at all.
  static void transactionsOfAGroup(String name) throws Exception {
    for (String protocol : List.of("classic", "consumer")) {
      String in = name + "-" + protocol + "-in", out = name + "-" + protocol + "-out", group = name + "-" + protocol;
      topic(in, 2);
      topic(out, 1);
      try (KafkaProducer<String, String> p = producer()) {
        write(p, in, 2, numbered("v", 40));
      }
      List<String> want = numbered("v", 40).stream().map(String::toUpperCase).toList();
      int round = 0, done = 0;
      try (KafkaProducer<String, String> p = producer("transactional.id", group)) {
        p.initTransactions();
        while (done < 40) { // every second round is aborted, and read again by a new member
          try (KafkaConsumer<String, String> c = consumer("group.id", group, "group.protocol", protocol, "max.poll.records", 20, "isolation.level", "read_committed")) {
            c.subscribe(List.of(in));
            ConsumerRecords<String, String>[] got = new ConsumerRecords[1];
            until("records of round " + round, () -> !(got[0] = c.poll(TICK)).isEmpty(), c::assignment);
            p.beginTransaction();
            got[0].forEach(r -> p.send(new ProducerRecord<>(out, r.value().toUpperCase(Locale.ROOT))));
            p.sendOffsetsToTransaction(got[0].nextOffsets(), c.groupMetadata());
            if (round++ % 2 == 0) {
              p.abortTransaction();
            } else {
              p.commitTransaction();
              done += got[0].count();
            }
          }
        }
      }
      try (KafkaConsumer<String, String> c = consumer("isolation.level", "read_committed")) {
        c.assign(List.of(new TopicPartition(out, 0)));
        same(sorted(read(c, 40)), sorted(want), "records of " + protocol);
      }
      long committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values().stream().mapToLong(OffsetAndMetadata::offset).sum();
      same(committed, 40L, "committed offsets of " + protocol);
    }
  }

  // Members come and go under each of Java's assignors; every record comes once.
  static void classicGroup(String name) throws Exception {
    topic(name, 4);
    Map<String, Integer> seen = new HashMap<>();
    Object[] settings = {"group.id", name, "heartbeat.interval.ms", 300, "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()};
    try (KafkaConsumer<String, String> one = consumer(settings); KafkaProducer<String, String> p = producer()) {
      one.subscribe(List.of(name));
      settled(name, 4, List.of(one), seen);
      try (KafkaConsumer<String, String> two = consumer(settings)) {
        two.subscribe(List.of(name));
        settled(name, 4, List.of(one, two), seen);
        same(one.assignment().size(), 2, "partitions of the first");
        write(p, name, 4, numbered("v", 40));
        until("forty records", () -> {
          one.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum));
          two.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum));
          return seen.size() == 40;
        }, seen::size);
        two.commitSync();
        one.commitSync();
        same(one.groupMetadata().generationId(), two.groupMetadata().generationId(), "generation");
      }
      settled(name, 4, List.of(one), seen);
      write(p, name, 4, numbered("w", 40));
      until("forty more", () -> {
        one.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum));
        return seen.size() == 80;
      }, seen::size);
      one.commitSync();
      List<String> want = numbered("v", 40);
      want.addAll(numbered("w", 40));
      once(seen, want);
    }
    ConsumerGroupDescription d = admin.describeConsumerGroups(List.of(name)).all().get().get(name);
    same(d.members().size(), 0, "members left");
  }

  // A static member that comes back within its session gets what it had, and nobody is asked to join again.
  static void staticMembers(String name) throws Exception {
    topic(name, 2);
    Object[] a = {"group.id", name, "group.instance.id", "a", "heartbeat.interval.ms", 300}, b = {"group.id", name, "group.instance.id", "b", "heartbeat.interval.ms", 300};
    try (KafkaConsumer<String, String> two = consumer(b)) {
      two.subscribe(List.of(name));
      Set<TopicPartition> had;
      int generation;
      try (KafkaConsumer<String, String> one = consumer(a)) {
        one.subscribe(List.of(name));
        settled(name, 2, List.of(one, two), new HashMap<>());
        had = one.assignment();
        generation = one.groupMetadata().generationId();
      }
      try (KafkaConsumer<String, String> again = consumer(a)) {
        again.subscribe(List.of(name));
        settled(name, 2, List.of(again, two), new HashMap<>());
        same(again.assignment(), had, "partitions");
        same(again.groupMetadata().generationId(), generation, "generation");
        admin.removeMembersFromConsumerGroup(name, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("a")))).all().get();
        fails(CommitFailedException.class, () -> again.commitSync(Map.of(had.iterator().next(), new OffsetAndMetadata(0))));
        again.unsubscribe();
      }
      until("the other has both", () -> {
        two.poll(TICK);
        return two.assignment().size() == 2;
      }, two::assignment);
    }
  }

  // Where a consumer stands, and how it moves.
  static void positions(String name) throws Exception {
    topic(name, 2);
    TopicPartition p0 = new TopicPartition(name, 0), p1 = new TopicPartition(name, 1);
    try (KafkaProducer<String, String> p = producer()) {
      for (int i = 0; i < 10; i++) {
        p.send(new ProducerRecord<>(name, 0, 1000L + 10 * i, "k", "v" + i)).get();
      }
      p.send(new ProducerRecord<>(name, 1, 5000L, "k", "other")).get();
    }
    try (KafkaConsumer<String, String> c = consumer("group.id", name, "max.poll.records", 3)) {
      c.assign(List.of(p0, p1));
      same(c.offsetsForTimes(Map.of(p0, 1035L)).get(p0), new OffsetAndTimestamp(4, 1040, Optional.of(0)), "offset by time");
      same(c.offsetsForTimes(Map.of(p0, 9999L)).get(p0), null, "offset by a time of the future");
      same(c.beginningOffsets(List.of(p0)).get(p0) + c.endOffsets(List.of(p0)).get(p0), 10L, "first and last offset");
      c.pause(List.of(p1));
      c.seek(p0, 8);
      same(read(c, 2), List.of("v8", "v9"), "from offset 8");
      same(c.position(p0), 10L, "position");
      same(c.currentLag(p0), OptionalLong.of(0), "lag");
      c.resume(List.of(p1));
      same(read(c, 1), List.of("other"), "the partition that was paused");
      c.commitSync(Map.of(p0, new OffsetAndMetadata(6, Optional.of(0), "note")));
      same(c.committed(Set.of(p0)).get(p0), new OffsetAndMetadata(6, Optional.of(0), "note"), "committed");
      c.seekToBeginning(List.of(p0));
      same(read(c, 3), numbered("v", 3), "from the beginning");
      admin.deleteRecords(Map.of(p0, RecordsToDelete.beforeOffset(7))).all().get();
      c.seek(p0, 2);
      same(read(c, 3).get(0), "v7", "the first after records were deleted");
    }
  }

  // KIP-848: the broker assigns, by pattern too; members hand over without a stop.
  static void nextGenerationGroup(String name) throws Exception {
    topic(name + "-1", 2);
    Object[] settings = {"group.id", name, "group.protocol", "consumer", "group.remote.assignor", "uniform"};
    SubscriptionPattern pattern = new SubscriptionPattern(name + "-[0-9]");
    Map<String, Integer> seen = new HashMap<>();
    try (KafkaConsumer<String, String> one = consumer(settings); KafkaProducer<String, String> p = producer()) {
      one.subscribe(pattern);
      settled(name, 2, List.of(one), seen);
      write(p, name + "-1", 2, numbered("v", 20));
      try (KafkaConsumer<String, String> two = consumer(settings)) {
        two.subscribe(pattern);
        List<KafkaConsumer<String, String>> both = List.of(one, two);
        settled(name, 2, both, seen);
        topic(name + "-2", 2); // found by the pattern
        settled(name, 4, both, seen);
        write(p, name + "-2", 2, numbered("w", 20));
        until("forty records", () -> {
          both.forEach(c -> c.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum)));
          return seen.size() == 40;
        }, seen::size);
        both.forEach(KafkaConsumer::commitSync);
        ConsumerGroupDescription d = admin.describeConsumerGroups(List.of(name)).all().get().get(name);
        same(d.type() + " " + d.groupState() + " " + d.partitionAssignor() + " " + d.members().size(), "Consumer Stable uniform 2", "group");
      }
      settled(name, 4, List.of(one), seen);
      one.commitSync();
    }
    same(admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get().values().stream().mapToLong(OffsetAndMetadata::offset).sum(), 40L, "committed offsets");
  }

  // A classic group becomes a new one while it runs, and a classic one again.
  static void groupMigrates(String name) throws Exception {
    topic(name, 2);
    Object[] classic = {"group.id", name, "heartbeat.interval.ms", 300}, next = {"group.id", name, "group.protocol", "consumer"};
    Map<String, Integer> seen = new HashMap<>();
    try (KafkaProducer<String, String> p = producer(); KafkaConsumer<String, String> old = consumer(classic)) {
      old.subscribe(List.of(name));
      settled(name, 2, List.of(old), seen);
      write(p, name, 2, numbered("v", 10));
      until("ten records", () -> {
        old.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum));
        return seen.size() == 10;
      }, seen::size);
      old.commitSync();
      try (KafkaConsumer<String, String> young = consumer(next)) {
        young.subscribe(List.of(name));
        settled(name, 2, List.of(old, young), seen);
        same(admin.describeConsumerGroups(List.of(name)).all().get().get(name).type(), org.apache.kafka.common.GroupType.CONSUMER, "type");
        write(p, name, 2, numbered("w", 10));
        until("ten more", () -> {
          List.of(old, young).forEach(c -> c.poll(TICK).forEach(r -> seen.merge(r.value(), 1, Integer::sum)));
          return seen.size() == 20;
        }, seen::size);
        old.commitSync();
        young.commitSync();
      }
      settled(name, 2, List.of(old), seen);
      List<String> want = numbered("v", 10);
      want.addAll(numbered("w", 10));
      once(seen, want);
    }
  }

  // reset sets where a share group begins, or with DELETE the default again.
  static void reset(String share, String offset, AlterConfigOp.OpType op) throws Exception {
    ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, share);
    admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", offset), op)))).all().get();
    until("the group's setting", () -> {
      try {
        return offset.equals(admin.describeConfigs(List.of(group)).all().get().get(group).get("share.auto.offset.reset").value());
      } catch (ExecutionException | InterruptedException e) {
        return false;
      }
    }, () -> "not " + offset);
  }

  // Two consumers get the records of one partition, each record once.
  static void shareGroup(String name) throws Exception {
    topic(name, 1);
    reset(name, "earliest", AlterConfigOp.OpType.SET);
    Map<String, Integer> seen = new HashMap<>();
    int[] each = new int[2];
    List<String> values = new ArrayList<>();
    try (KafkaProducer<String, String> p = producer();
        KafkaShareConsumer<String, String> one = shareConsumer("group.id", name, "max.poll.records", 10);
        KafkaShareConsumer<String, String> two = shareConsumer("group.id", name, "max.poll.records", 10, "share.acquire.mode", "record_limit")) {
      one.subscribe(List.of(name));
      two.subscribe(List.of(name));
      until("both have some of all records", () -> {
        if (seen.size() == values.size()) {
          List<String> more = numbered("v" + values.size() + "-", 50);
          values.addAll(more);
          try {
            write(p, name, 1, more);
          } catch (Exception e) {
            throw new IllegalStateException(e);
          }
        }
        one.poll(TICK).forEach(r -> { seen.merge(r.value(), 1, Integer::sum); each[0]++; });
        two.poll(TICK).forEach(r -> { seen.merge(r.value(), 1, Integer::sum); each[1]++; });
        return seen.size() == values.size() && values.size() >= 200 && each[0] > 0 && each[1] > 0;
      }, () -> Arrays.toString(each));
      one.commitSync();
      two.commitSync();
      same(one.acquisitionLockTimeoutMs(), Optional.of(30000), "acquisition lock");
    }
    once(seen, values);
    until("nothing is left", () -> {
      try {
        SharePartitionOffsetInfo i = admin.listShareGroupOffsets(Map.of(name, new ListShareGroupOffsetsSpec())).partitionsToOffsetInfo(name).get().get(new TopicPartition(name, 0));
        return i != null && i.lag().equals(Optional.of(0L));
      } catch (ExecutionException | InterruptedException e) {
        return false;
      }
    }, () -> Arrays.toString(each));
    admin.deleteShareGroups(List.of(name)).all().get();
    reset(name, "latest", AlterConfigOp.OpType.DELETE);
  }

  // Accepted, rejected and released records; a released one comes again and counts how often.
  static void shareAcknowledgements(String name) throws Exception {
    topic(name, 1);
    reset(name, "earliest", AlterConfigOp.OpType.SET);
    try (KafkaProducer<String, String> p = producer()) {
      write(p, name, 1, List.of("accept", "reject", "release", "renew"));
    }
    Map<String, List<Short>> deliveries = new TreeMap<>();
    List<String> errors = new ArrayList<>();
    try (KafkaShareConsumer<String, String> c = shareConsumer("group.id", name, "share.acknowledgement.mode", "explicit")) {
      c.setAcknowledgementCommitCallback((offsets, e) -> {
        if (e != null) {
          errors.add(e.toString());
        }
      });
      c.subscribe(List.of(name));
      until("each is delivered, the released one three times, the renewed one twice", () -> {
        for (ConsumerRecord<String, String> r : c.poll(TICK)) {
          List<Short> of = deliveries.computeIfAbsent(r.value(), v -> new ArrayList<>());
          of.add(r.deliveryCount().get());
          AcknowledgeType type = switch (r.value()) {
            case "reject" -> AcknowledgeType.REJECT;
            case "release" -> of.size() < 3 ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT;
            case "renew" -> of.size() < 2 ? AcknowledgeType.RENEW : AcknowledgeType.ACCEPT;
            default -> AcknowledgeType.ACCEPT;
          };
          c.acknowledge(r, type);
        }
        for (Map.Entry<TopicIdPartition, Optional<KafkaException>> e : c.commitSync().entrySet()) {
          e.getValue().ifPresent(x -> errors.add(x.toString()));
        }
        return deliveries.size() == 4 && deliveries.get("release").size() == 3 && deliveries.get("renew").size() == 2;
      }, () -> deliveries + " " + errors);
      same(deliveries.get("accept"), List.of((short) 1), "deliveries of what was accepted");
      same(deliveries.get("reject"), List.of((short) 1), "deliveries of what was rejected");
      same(deliveries.get("release"), List.of((short) 1, (short) 2, (short) 3), "deliveries of what was released");
      same(deliveries.get("renew"), List.of((short) 1, (short) 1), "deliveries of what was renewed");
      same(errors, List.of(), "errors");
    }
    admin.deleteShareGroups(List.of(name)).all().get();
    reset(name, "latest", AlterConfigOp.OpType.DELETE);
  }
}
