// Kafka's command-line tools in one JVM, which costs seconds to start. Each command is run as a program of its own:
// in a thread with a class loader, input and output of its own, so static fields begin anew. Exit runs its shutdown hooks
// and ends it.
//
// From standard input, for each command: an int, the number of strings, and the strings as DataInput.readUTF reads
// them: a number that names the command, its tool, its input and its arguments. To standard output when a command
// ends: its number, the exit code and the bytes it wrote (standard output and error in one) as ints and bytes.
// Commands run at the same time; who wants an order waits.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.utils.Exit;

public class Tools {
  static final Map<String, String> CLASSES = new HashMap<>();

  static {
    String tools = "org.apache.kafka.tools.";
    CLASSES.put("kafka-acls", tools + "AclCommand");
    CLASSES.put("kafka-broker-api-versions", tools + "BrokerApiVersionsCommand");
    CLASSES.put("kafka-client-metrics", tools + "ClientMetricsCommand");
    CLASSES.put("kafka-cluster", tools + "ClusterTool");
    CLASSES.put("kafka-configs", "kafka.admin.ConfigCommand");
    CLASSES.put("kafka-console-consumer", tools + "consumer.ConsoleConsumer");
    CLASSES.put("kafka-console-producer", tools + "ConsoleProducer");
    CLASSES.put("kafka-console-share-consumer", tools + "consumer.ConsoleShareConsumer");
    CLASSES.put("kafka-consumer-groups", tools + "consumer.group.ConsumerGroupCommand");
    CLASSES.put("kafka-consumer-perf-test", tools + "ConsumerPerformance");
    CLASSES.put("kafka-delegation-tokens", tools + "DelegationTokenCommand");
    CLASSES.put("kafka-delete-records", tools + "DeleteRecordsCommand");
    CLASSES.put("kafka-e2e-latency", tools + "EndToEndLatency");
    CLASSES.put("kafka-features", tools + "FeatureCommand");
    CLASSES.put("kafka-get-offsets", tools + "GetOffsetShell");
    CLASSES.put("kafka-groups", tools + "GroupsCommand");
    CLASSES.put("kafka-leader-election", tools + "LeaderElectionCommand");
    CLASSES.put("kafka-log-dirs", tools + "LogDirsCommand");
    CLASSES.put("kafka-metadata-quorum", tools + "MetadataQuorumCommand");
    CLASSES.put("kafka-producer-perf-test", tools + "ProducerPerformance");
    CLASSES.put("kafka-reassign-partitions", tools + "reassign.ReassignPartitionsCommand");
    CLASSES.put("kafka-share-consumer-perf-test", tools + "ShareConsumerPerformance");
    CLASSES.put("kafka-share-groups", tools + "consumer.group.ShareGroupCommand");
    CLASSES.put("kafka-topics", tools + "TopicCommand");
    CLASSES.put("kafka-transactions", tools + "TransactionsCommand");
  }

  // Program is a command while it runs. Threads that it starts inherit it.
  static final class Program {
    final InputStream in;
    final ByteArrayOutputStream out = new ByteArrayOutputStream();
    final CountDownLatch ended = new CountDownLatch(1);
    final List<Thread> hooks = new ArrayList<>();
    boolean ending;
    int code;

    Program(String input) { in = new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)); }

    void end(int code) {
      List<Thread> last;
      synchronized (this) {
        if (ending) {
          return;
        }
        ending = true;
        this.code = code;
        last = List.copyOf(hooks);
      }
      last.forEach(Thread::start);
      for (Thread hook : last) {
        try {
          hook.join();
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
      }
      ended.countDown();
    }

    synchronized void atEnd(String name, Runnable hook) { hooks.add(daemon(name, hook)); }
  }

  static final InheritableThreadLocal<Program> current = new InheritableThreadLocal<>();

  // Isolated loads the tools' own classes anew, all others from the class path.
  static final class Isolated extends ClassLoader {
    Isolated() { super(Tools.class.getClassLoader()); }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      boolean own = name.startsWith("kafka.admin.") || name.startsWith("org.apache.kafka.tools.") && !name.startsWith("org.apache.kafka.tools.api.");
      if (!own) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> c = findLoadedClass(name);
        if (c != null) {
          return c;
        }
        try (InputStream in = getParent().getResourceAsStream(name.replace('.', '/') + ".class")) {
          if (in == null) {
            throw new ClassNotFoundException(name);
          }
          byte[] b = in.readAllBytes();
          return defineClass(name, b, 0, b.length);
        } catch (IOException e) {
          throw new ClassNotFoundException(name, e);
        }
      }
    }
  }

  static void exit(int code, String message) {
    Program p = current.get();
    if (p == null) {
      throw new IllegalStateException("exit outside of a command");
    }
    p.end(code);
    while (true) { // nothing after an exit may run, and no catch can tell
      try {
        Thread.sleep(Long.MAX_VALUE);
      } catch (InterruptedException e) {
        // goes on waiting
      }
    }
  }

  static void run(Program p, String tool, String[] args) {
    current.set(p);
    try {
      String name = CLASSES.get(tool);
      if (name == null) {
        throw new IllegalArgumentException("no tool " + tool);
      }
      ClassLoader loader = new Isolated();
      Thread.currentThread().setContextClassLoader(loader);
      loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) args);
      p.end(0);
    } catch (java.lang.reflect.InvocationTargetException e) { // as java itself does with what main throws
      System.err.println("Exception in thread \"main\" " + e.getCause());
      p.end(1);
    } catch (Throwable e) {
      e.printStackTrace();
      p.end(1);
    }
  }

  public static void main(String[] arguments) throws Exception {
    DataInputStream commands = new DataInputStream(new BufferedInputStream(System.in));
    DataOutputStream results = new DataOutputStream(new BufferedOutputStream(System.out));
    PrintStream log = System.err;
    OutputStream out = new OutputStream() {
      @Override public void write(int b) { write(new byte[] {(byte) b}, 0, 1); }

      @Override public void write(byte[] b, int off, int len) {
        Program p = current.get();
        if (p == null) {
          log.write(b, off, len);
        } else {
          p.out.write(b, off, len);
        }
      }
    };
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(out, true, StandardCharsets.UTF_8));
    System.setIn(new InputStream() {
      @Override public int read() throws IOException { return current.get().in.read(); }

      @Override public int read(byte[] b, int off, int len) throws IOException { return current.get().in.read(b, off, len); }
    });
    Exit.setExitProcedure(Tools::exit);
    Exit.setHaltProcedure(Tools::exit);
    Exit.setShutdownHookAdder((name, hook) -> current.get().atEnd(name, hook));

    while (true) {
      int n;
      try {
        n = commands.readInt();
      } catch (EOFException e) {
        Runtime.getRuntime().halt(0); // not exit: commands may run still
        return;
      }
      String[] strings = new String[n];
      for (int i = 0; i < n; i++) {
        strings[i] = commands.readUTF();
      }
      int number = Integer.parseInt(strings[0]);
      Program p = new Program(strings[2]);
      daemon(strings[1] + " " + number, () -> run(p, strings[1], Arrays.copyOfRange(strings, 3, n))).start();
      daemon("wait for " + number, () -> {
        try {
          p.ended.await();
          synchronized (results) {
            byte[] said = p.out.toByteArray();
            results.writeInt(number);
            results.writeInt(p.code);
            results.writeInt(said.length);
            results.write(said);
            results.flush();
          }
        } catch (InterruptedException | IOException e) {
          e.printStackTrace(log);
        }
      }).start();
    }
  }

  static Thread daemon(String name, Runnable r) {
    Thread t = new Thread(r, name);
    t.setDaemon(true);
    return t;
  }
}
