// Every call of Kafka's AdminClient, each with its answer from one node. Arguments: BROKERS PREFIX TARGET,
// where TARGET is "millrace" or "kafka"; names of topics, groups, users and transactions begin with PREFIX.
// It writes a JSON line for each row, {"check": NAME, "error": TEXT or null}. The calls come from the
// interface by reflection: one without a row is a row that fails, and so is a row without a call. Before each row
// it reads a line from standard input, so who runs it can look at the broker meanwhile.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

@SuppressWarnings({"deprecation", "removal"}) // calls that go with Kafka 5 are calls still
public class AdminCalls {
  interface Check { void run() throws Exception; }
  interface Ready { boolean is() throws Exception; }

  static final long PATIENCE = 30; // seconds
  static final Map<String, Check> rows = new LinkedHashMap<>();
  static Admin admin;
  static String servers, topic, group, share, transaction, user;
  static boolean kafka;
  static int node;

  public static void main(String[] args) throws Exception {
    servers = args[0];
    topic = args[1] + "-topic";
    group = args[1] + "-group";
    share = args[1] + "-share";
    transaction = args[1] + "-transaction";
    user = args[1] + "-user";
    kafka = args[2].equals("kafka");
    admin = Admin.create(Map.<String, Object>of("bootstrap.servers", servers, "enable.metrics.push", true));
    cluster();
    topics();
    settings();
    groups();
    transactions();
    shareGroups();
    users();
    end();

    Set<String> calls = new TreeSet<>();
    for (Method m : Admin.class.getMethods()) {
      if (!Modifier.isStatic(m.getModifiers())) {
        calls.add(m.getName());
      }
    }
    BufferedReader steps = new BufferedReader(new InputStreamReader(System.in));
    for (Map.Entry<String, Check> row : rows.entrySet()) {
      steps.readLine();
      String error = calls.remove(row.getKey()) ? null : "Admin has no such call";
      try {
        row.getValue().run();
      } catch (Throwable e) {
        error = e instanceof ExecutionException ? e.getCause().toString() : e.toString();
      }
      say(row.getKey(), error);
    }
    for (String name : calls) {
      say(name, "a call without a row");
    }
    System.exit(0); // producers that were left in a transaction on purpose do not hold it up
  }

  static void say(String name, String error) {
    System.out.println("{\"check\":" + quote(name) + ",\"error\":" + (error == null ? "null" : quote(error)) + "}");
  }

  static String quote(String s) {
    StringBuilder b = new StringBuilder("\"");
    for (char c : s.toCharArray()) {
      b.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
    }
    return b.append('"').toString();
  }

  static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(PATIENCE, TimeUnit.SECONDS); }

  static void is(boolean ok, Object state) {
    if (!ok) {
      throw new AssertionError("got " + state);
    }
  }

  // fails wants exactly this error: a subclass would be another code of the protocol.
  static void fails(Class<? extends Throwable> want, KafkaFuture<?> f) throws Exception {
    Object got;
    try {
      got = get(f);
    } catch (ExecutionException e) {
      if (e.getCause().getClass() != want) {
        throw new AssertionError("failed with " + e.getCause() + ", want " + want.getSimpleName());
      }
      return;
    }
    throw new AssertionError("answered " + got + ", want " + want.getSimpleName());
  }

  // eventually: Apache Kafka answers a change before each of its parts has seen it.
  static void eventually(Ready ready, String what) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE);
    while (!ready.is()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("never: " + what);
      }
      Thread.sleep(20);
    }
  }

  static TopicPartition at(int partition) { return new TopicPartition(topic, partition); }

  static KafkaProducer<String, String> producer(Map<String, Object> more) {
    Map<String, Object> p = new HashMap<>(more);
    p.put("bootstrap.servers", servers);
    return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
  }

  // inTransaction leaves one record of an open transaction in partition 1.
  static KafkaProducer<String, String> inTransaction(String id) throws Exception {
    KafkaProducer<String, String> p = producer(Map.of("transactional.id", id));
    p.initTransactions();
    p.beginTransaction();
    p.send(new ProducerRecord<>(topic, 1, "k", "open")).get(PATIENCE, TimeUnit.SECONDS);
    return p;
  }

  static void cluster() {
    rows.put("describeCluster", () -> {
      DescribeClusterResult r = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
      is(get(r.nodes()).size() == 1, get(r.nodes()));
      node = get(r.nodes()).iterator().next().id();
      is(get(r.controller()).id() == node, get(r.controller()));
      is(!get(r.clusterId()).isEmpty(), get(r.clusterId()));
      is(get(r.authorizedOperations()).contains(AclOperation.ALTER), get(r.authorizedOperations()));
    });
    rows.put("describeMetadataQuorum", () -> {
      QuorumInfo q = get(admin.describeMetadataQuorum().quorumInfo());
      is(q.voters().size() == 1 && q.voters().get(0).replicaId() == q.leaderId(), q);
    });
    rows.put("describeFeatures", () -> {
      FeatureMetadata f = get(admin.describeFeatures().featureMetadata());
      is(f.finalizedFeatures().containsKey("metadata.version") && f.supportedFeatures().containsKey("share.version"), f);
    });
    rows.put("updateFeatures", () -> {
      UpdateFeaturesOptions only = new UpdateFeaturesOptions().validateOnly(true);
      short level = get(admin.describeFeatures().featureMetadata()).finalizedFeatures().get("share.version").maxVersionLevel();
      get(admin.updateFeatures(Map.of("share.version", new FeatureUpdate(level, FeatureUpdate.UpgradeType.UPGRADE)), only).all());
      fails(InvalidUpdateVersionException.class,
          admin.updateFeatures(Map.of("share.version", new FeatureUpdate((short) 99, FeatureUpdate.UpgradeType.UPGRADE)), only).all());
    });
    rows.put("unregisterBroker", () -> fails(BrokerIdNotRegisteredException.class, admin.unregisterBroker(4711).all()));
    // A voter that nobody is: neither call may change the quorum.
    rows.put("removeRaftVoter", () -> fails(UnsupportedVersionException.class, admin.removeRaftVoter(4711, Uuid.randomUuid()).all()));
    rows.put("addRaftVoter", () -> fails(UnsupportedVersionException.class,
        admin.addRaftVoter(4711, Uuid.randomUuid(), Set.of(new RaftVoterEndpoint("CONTROLLER", "127.0.0.1", 1))).all()));
    rows.put("metrics", () -> is(!admin.metrics().isEmpty(), admin.metrics()));
  }

  static void topics() {
    rows.put("createTopics", () -> {
      CreateTopicsResult r = admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "86400000"))));
      is(get(r.numPartitions(topic)) == 2, get(r.numPartitions(topic)));
      is(get(r.config(topic)).get("retention.ms").value().equals("86400000"), get(r.config(topic)));
      fails(TopicExistsException.class, admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all());
      fails(InvalidReplicationFactorException.class, admin.createTopics(List.of(new NewTopic(topic + "-3", 1, (short) 3))).all());
    });
    rows.put("listTopics", () -> {
      eventually(() -> get(admin.listTopics().names()).contains(topic), "listed");
      is(get(admin.listTopics(new ListTopicsOptions().listInternal(false)).listings()).stream().noneMatch(TopicListing::isInternal), "internal topics");
    });
    rows.put("describeTopics", () -> {
      TopicDescription d = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
      is(d.partitions().size() == 2 && d.partitions().get(0).leader().id() == node, d);
      Map<Uuid, TopicDescription> byId = get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(d.topicId()))).allTopicIds());
      is(byId.get(d.topicId()).name().equals(topic), byId);
      fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(topic + "-none")).allTopicNames());
    });
    rows.put("createPartitions", () -> {
      get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
      eventually(() -> get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size() == 3, "3 partitions");
      fails(InvalidPartitionsException.class, admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all());
    });
    rows.put("listOffsets", () -> {
      try (KafkaProducer<String, String> p = producer(Map.of())) {
        for (int i = 0; i < 10; i++) {
          p.send(new ProducerRecord<>(topic, 0, 1000L + i, "k", "v" + i)).get(PATIENCE, TimeUnit.SECONDS);
        }
      }
      Map<OffsetSpec, Long> want = new LinkedHashMap<>();
      want.put(OffsetSpec.earliest(), 0L);
      want.put(OffsetSpec.latest(), 10L);
      want.put(OffsetSpec.maxTimestamp(), 9L);
      want.put(OffsetSpec.forTimestamp(1004), 4L);
      want.put(OffsetSpec.forTimestamp(5000), -1L);
      want.put(OffsetSpec.earliestLocal(), 0L);
      want.put(OffsetSpec.latestTiered(), -1L);
      for (Map.Entry<OffsetSpec, Long> e : want.entrySet()) {
        long got = get(admin.listOffsets(Map.of(at(0), e.getKey())).all()).get(at(0)).offset();
        is(got == e.getValue(), got + " for " + e.getKey().getClass().getSimpleName());
      }
    });
    rows.put("describeProducers", () -> {
      List<ProducerState> states = get(admin.describeProducers(List.of(at(0))).all()).get(at(0)).activeProducers();
      is(states.size() == 1 && states.get(0).lastSequence() == 9, states);
    });
    rows.put("deleteRecords", () -> {
      long low = get(admin.deleteRecords(Map.of(at(0), RecordsToDelete.beforeOffset(4))).lowWatermarks().get(at(0))).lowWatermark();
      is(low == 4, low);
      fails(OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(at(0), RecordsToDelete.beforeOffset(11))).all());
    });
    rows.put("describeLogDirs", () -> {
      Map<String, LogDirDescription> dirs = get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
      is(dirs.size() == 1, dirs);
      ReplicaInfo r = dirs.values().iterator().next().replicaInfos().get(at(0));
      is(r != null && r.size() > 0 && r.offsetLag() == 0 && !r.isFuture(), r);
    });
    rows.put("describeReplicaLogDirs", () -> {
      TopicPartitionReplica replica = new TopicPartitionReplica(topic, 0, node);
      DescribeReplicaLogDirsResult.ReplicaLogDirInfo i = get(admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica);
      is(i.getCurrentReplicaLogDir() != null && i.getFutureReplicaLogDir() == null, i);
    });
    rows.put("alterReplicaLogDirs", () -> fails(LogDirNotFoundException.class,
        admin.alterReplicaLogDirs(Map.of(new TopicPartitionReplica(topic, 0, node), "/no/such/folder")).all()));
    rows.put("electLeaders", () -> {
      Map<TopicPartition, Optional<Throwable>> m = get(admin.electLeaders(ElectionType.PREFERRED, Set.of(at(0))).partitions());
      is(m.get(at(0)).map(e -> e.getClass() == ElectionNotNeededException.class).orElse(false), m);
    });
    rows.put("alterPartitionReassignments", () -> {
      fails(InvalidReplicaAssignmentException.class, admin.alterPartitionReassignments(
          Map.of(at(0), Optional.of(new NewPartitionReassignment(List.of(4711))))).all());
      fails(NoReassignmentInProgressException.class, admin.alterPartitionReassignments(Map.of(at(0), Optional.empty())).all());
    });
    rows.put("listPartitionReassignments", () -> {
      Map<?, ?> m = get(admin.listPartitionReassignments().reassignments());
      is(m.isEmpty(), m);
    });
  }

  static void settings() {
    ConfigResource t = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    ConfigResource metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, topic);
    rows.put("describeConfigs", () -> {
      ConfigEntry e = get(admin.describeConfigs(List.of(t), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all())
          .get(t).get("retention.ms");
      is(e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG && e.type() == ConfigEntry.ConfigType.LONG
          && e.documentation() != null && !e.synonyms().isEmpty(), e);
    });
    rows.put("incrementalAlterConfigs", () -> {
      AlterConfigOp op = new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND);
      get(admin.incrementalAlterConfigs(Map.of(t, List.of(op))).all());
      eventually(() -> get(admin.describeConfigs(List.of(t)).all()).get(t).get("cleanup.policy").value().equals("delete,compact"), "appended");
      AlterConfigOp bad = new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), AlterConfigOp.OpType.SET);
      fails(InvalidConfigurationException.class, admin.incrementalAlterConfigs(Map.of(t, List.of(bad))).all());
    });
    rows.put("listConfigResources", () -> eventually(() -> get(admin.listConfigResources(
        Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions()).all()).contains(t), "listed"));
    rows.put("listClientMetricsResources", () -> {
      AlterConfigOp set = new AlterConfigOp(new ConfigEntry("interval.ms", "60000"), AlterConfigOp.OpType.SET);
      get(admin.incrementalAlterConfigs(Map.of(metrics, List.of(set))).all());
      eventually(() -> get(admin.listClientMetricsResources().all()).stream().anyMatch(l -> l.name().equals(topic)), "listed");
      AlterConfigOp back = new AlterConfigOp(new ConfigEntry("interval.ms", null), AlterConfigOp.OpType.DELETE);
      get(admin.incrementalAlterConfigs(Map.of(metrics, List.of(back))).all());
    });
  }

  static void groups() {
    OffsetAndMetadata three = new OffsetAndMetadata(3, "note");
    rows.put("alterConsumerGroupOffsets", () -> get(admin.alterConsumerGroupOffsets(group, Map.of(at(0), three, at(1), three)).all()));
    rows.put("listConsumerGroupOffsets", () -> {
      Map<TopicPartition, OffsetAndMetadata> m = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
      is(m.size() == 2 && m.get(at(0)).equals(three), m);
    });
    rows.put("deleteConsumerGroupOffsets", () -> {
      get(admin.deleteConsumerGroupOffsets(group, Set.of(at(1))).all());
      Map<TopicPartition, OffsetAndMetadata> m = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
      is(m.keySet().equals(Set.of(at(0))), m);
    });
    rows.put("describeConsumerGroups", () -> {
      ConsumerGroupDescription d = get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
      is(d.groupState() == GroupState.EMPTY && d.members().isEmpty(), d);
      fails(GroupIdNotFoundException.class, admin.describeConsumerGroups(List.of(group + "-none")).all());
    });
    rows.put("describeClassicGroups", () -> {
      ClassicGroupDescription d = get(admin.describeClassicGroups(List.of(group)).all()).get(group);
      is(d.state() == ClassicGroupState.EMPTY, d);
      fails(GroupIdNotFoundException.class, admin.describeClassicGroups(List.of(group + "-none")).all());
    });
    rows.put("listConsumerGroups", () -> is(get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "not listed"));
    rows.put("listGroups", () -> is(get(admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "not listed"));
    rows.put("removeMembersFromConsumerGroup", () -> {
      String id = group + "-static";
      Map<String, Object> p = Map.of("bootstrap.servers", servers, "group.id", id, "group.instance.id", "one", "auto.offset.reset", "earliest");
      KafkaConsumer<String, String> c = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
      try {
        c.subscribe(List.of(topic));
        eventually(() -> !c.poll(Duration.ofMillis(200)).isEmpty(), "a record");
        get(admin.removeMembersFromConsumerGroup(id, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("one")))).all());
        ConsumerGroupDescription d = get(admin.describeConsumerGroups(List.of(id)).all()).get(id);
        is(d.members().isEmpty(), d);
      } finally {
        c.close(org.apache.kafka.clients.consumer.CloseOptions.timeout(Duration.ZERO));
      }
      eventually(() -> get(admin.describeConsumerGroups(List.of(id)).all()).get(id).groupState() == GroupState.EMPTY, "empty");
      get(admin.deleteConsumerGroups(List.of(id)).all());
    });
    rows.put("alterStreamsGroupOffsets", () -> get(admin.alterStreamsGroupOffsets(group + "-s", Map.of(at(0), three)).all()));
    rows.put("listStreamsGroupOffsets", () -> {
      Map<TopicPartition, OffsetAndMetadata> m = get(admin.listStreamsGroupOffsets(Map.of(group + "-s", new ListStreamsGroupOffsetsSpec()))
          .partitionsToOffsetAndMetadata(group + "-s"));
      is(three.equals(m.get(at(0))), m);
    });
    rows.put("deleteStreamsGroupOffsets", () -> get(admin.deleteStreamsGroupOffsets(group + "-s", Set.of(at(0))).all()));
    // docs/protocol.md, "What is not served": keys 88 and 89.
    rows.put("describeStreamsGroups", () -> fails(kafka ? GroupIdNotFoundException.class : UnsupportedVersionException.class,
        admin.describeStreamsGroups(List.of(group + "-none")).all()));
    rows.put("deleteStreamsGroups", () -> fails(GroupIdNotFoundException.class, admin.deleteStreamsGroups(List.of(group + "-none")).all()));
    rows.put("deleteConsumerGroups", () -> {
      get(admin.deleteConsumerGroups(List.of(group)).all());
      fails(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(group)).all());
    });
  }

  static void transactions() {
    rows.put("describeTransactions", () -> {
      try (KafkaProducer<String, String> p = inTransaction(transaction)) {
        TransactionDescription d = get(admin.describeTransactions(List.of(transaction)).all()).get(transaction);
        is(d.state() == TransactionState.ONGOING && d.topicPartitions().equals(Set.of(at(1))), d);
        p.commitTransaction();
      }
      fails(TransactionalIdNotFoundException.class, admin.describeTransactions(List.of(transaction + "-none")).all());
    });
    rows.put("listTransactions", () -> eventually(() -> get(admin.listTransactions(
        new ListTransactionsOptions().filterStates(Set.of(TransactionState.COMPLETE_COMMIT))).all()).stream()
        .anyMatch(l -> l.transactionalId().equals(transaction)), "listed as committed"));
    rows.put("abortTransaction", () -> {
      inTransaction(transaction + "-abort");
      ProducerState s = get(admin.describeProducers(List.of(at(1))).all()).get(at(1)).activeProducers().stream()
          .filter(x -> x.currentTransactionStartOffset().isPresent()).findFirst().get();
      get(admin.abortTransaction(new AbortTransactionSpec(at(1), s.producerId(), (short) s.producerEpoch(), s.coordinatorEpoch().orElse(0))).all());
      eventually(() -> get(admin.describeProducers(List.of(at(1))).all()).get(at(1)).activeProducers().stream()
          .noneMatch(x -> x.currentTransactionStartOffset().isPresent()), "no open transaction");
    });
    rows.put("fenceProducers", () -> {
      KafkaProducer<String, String> p = inTransaction(transaction + "-fence");
      get(admin.fenceProducers(List.of(transaction + "-fence")).all());
      fenced(p);
    });
    rows.put("forceTerminateTransaction", () -> {
      KafkaProducer<String, String> p = inTransaction(transaction + "-force");
      get(admin.forceTerminateTransaction(transaction + "-force").result());
      fenced(p);
    });
  }

  static void fenced(KafkaProducer<String, String> p) {
    try {
      p.commitTransaction();
    } catch (ProducerFencedException e) {
      p.close(Duration.ZERO);
      return;
    }
    throw new AssertionError("a fenced producer committed");
  }

  static void shareGroups() {
    rows.put("alterShareGroupOffsets", () -> get(admin.alterShareGroupOffsets(share, Map.of(at(0), 5L)).all()));
    rows.put("listShareGroupOffsets", () -> eventually(() -> {
      SharePartitionOffsetInfo i = get(admin.listShareGroupOffsets(Map.of(share, new ListShareGroupOffsetsSpec())).partitionsToOffsetInfo(share)).get(at(0));
      return i != null && i.startOffset() == 5;
    }, "start offset 5"));
    rows.put("describeShareGroups", () -> {
      ShareGroupDescription d = get(admin.describeShareGroups(List.of(share)).all()).get(share);
      is(d.groupState() == GroupState.EMPTY && d.members().isEmpty(), d);
      fails(GroupIdNotFoundException.class, admin.describeShareGroups(List.of(share + "-none")).all());
    });
    rows.put("deleteShareGroupOffsets", () -> get(admin.deleteShareGroupOffsets(share, Set.of(topic)).all()));
    rows.put("deleteShareGroups", () -> {
      get(admin.deleteShareGroups(List.of(share)).all());
      fails(GroupIdNotFoundException.class, admin.deleteShareGroups(List.of(share)).all());
    });
  }

  static void users() {
    ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, user));
    ClientQuotaFilter filter = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, user)));
    rows.put("alterClientQuotas", () -> get(admin.alterClientQuotas(List.of(
        new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))))).all()));
    rows.put("describeClientQuotas", () -> {
      eventually(() -> Double.valueOf(1e6).equals(get(admin.describeClientQuotas(filter).entities())
          .getOrDefault(entity, Map.of()).get("producer_byte_rate")), "the quota");
      get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))))).all());
      eventually(() -> get(admin.describeClientQuotas(filter).entities()).isEmpty(), "no quota");
    });
    rows.put("alterUserScramCredentials", () -> {
      get(admin.alterUserScramCredentials(List.of(
          new UserScramCredentialUpsertion(user, new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all());
      fails(ResourceNotFoundException.class, admin.alterUserScramCredentials(
          List.of(new UserScramCredentialDeletion(user + "-none", ScramMechanism.SCRAM_SHA_256))).all());
    });
    rows.put("describeUserScramCredentials", () -> {
      eventually(() -> get(admin.describeUserScramCredentials().users()).contains(user), "the user");
      UserScramCredentialsDescription d = get(admin.describeUserScramCredentials(List.of(user)).description(user));
      is(d.credentialInfos().equals(List.of(new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096))), d);
      get(admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all());
    });
    AclBinding acl = new AclBinding(new ResourcePattern(ResourceType.TOPIC, topic, PatternType.LITERAL),
        new AccessControlEntry("User:" + user, "*", AclOperation.READ, AclPermissionType.ALLOW));
    rows.put("createAcls", () -> fails(SecurityDisabledException.class, admin.createAcls(List.of(acl)).all()));
    rows.put("describeAcls", () -> fails(SecurityDisabledException.class, admin.describeAcls(AclBindingFilter.ANY).values()));
    rows.put("deleteAcls", () -> fails(SecurityDisabledException.class, admin.deleteAcls(List.of(acl.toFilter())).all()));
    byte[] hmac = {1};
    rows.put("createDelegationToken", () -> fails(UnsupportedByAuthenticationException.class, admin.createDelegationToken().delegationToken()));
    rows.put("renewDelegationToken", () -> fails(UnsupportedByAuthenticationException.class, admin.renewDelegationToken(hmac).expiryTimestamp()));
    rows.put("expireDelegationToken", () -> fails(UnsupportedByAuthenticationException.class, admin.expireDelegationToken(hmac).expiryTimestamp()));
    rows.put("describeDelegationToken", () -> fails(UnsupportedByAuthenticationException.class, admin.describeDelegationToken().delegationTokens()));
  }

  static void end() {
    // GetTelemetrySubscriptions (KIP-714) is not offered without a plug-in that takes the metrics: there is no id.
    rows.put("clientInstanceId", () -> {
      Uuid id = admin.clientInstanceId(Duration.ofMillis(500));
      is(id == null, id);
    });
    rows.put("registerMetricForSubscription", () -> admin.registerMetricForSubscription(anyMetric()));
    rows.put("unregisterMetricFromSubscription", () -> admin.unregisterMetricFromSubscription(anyMetric()));
    rows.put("deleteTopics", () -> {
      get(admin.deleteTopics(List.of(topic)).all());
      eventually(() -> !get(admin.listTopics().names()).contains(topic), "gone");
      fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(topic)).all());
    });
    rows.put("close", () -> {
      admin.close();
      fails(IllegalStateException.class, admin.listTopics().names());
    });
  }

  static KafkaMetric anyMetric() { return (KafkaMetric) admin.metrics().values().iterator().next(); }
}
