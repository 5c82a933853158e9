package io.tidemark.oracle;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.CheckpointType;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Runs one job on a cluster of its own: restored or fresh, with checkpoints on the way, to its end or cancelled. */
final class Runner {
    private final Job job;
    private final MiniCluster cluster;
    private final JobID id;
    private final CompletableFuture<?> result;
    private final long deadline;

    private Runner(Job job, MiniCluster cluster, JobID id, CompletableFuture<?> result, long deadline) {
        this.job = job;
        this.cluster = cluster;
        this.id = id;
        this.result = result;
        this.deadline = deadline;
    }

    static void run(JsonNode request, ObjectNode report) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(request.path("timeout_ms").asLong(60_000));
        Job job = new Job(request.path("job"));
        Configuration conf = configuration(request);
        OracleFileSystem.mount(request.path("s3_root").asText(null));
        Probe.reset();
        Probe.slowMicros = request.path("slow_micros").asLong(0);
        Probe.slowSinkMicros = request.path("slow_sink_micros").asLong(0);
        // The cluster's class loaders and file systems keep what they saw of an earlier request's configuration.
        org.apache.flink.core.fs.FileSystem.initialize(conf, null);

        JobGraph graph = graph(job, conf);
        graph.setJobID(JobID.fromHexString(request.path("job_id").asText("00000000000000000000000000000001")));
        graph.setSavepointRestoreSettings(SavepointRestoreSettings.fromConfiguration(conf));
        MiniClusterConfiguration.Builder mini = new MiniClusterConfiguration.Builder()
                .setConfiguration(conf)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(job.parallelism)
                .withRandomPorts();
        try (MiniCluster cluster = new MiniCluster(mini.build())) {
            cluster.start();
            cluster.submitJob(graph).get(30, TimeUnit.SECONDS);
            Runner r = new Runner(job, cluster, graph.getJobID(), cluster.requestJobResult(graph.getJobID()).thenApply(v -> {
                v.getSerializedThrowable().ifPresent(t -> {
                    throw new IllegalStateException("the job failed", t);
                });
                return v;
            }), deadline);
            r.play(request, report);
        }
    }

    private static Configuration configuration(JsonNode request) {
        Configuration conf = new Configuration();
        conf.setString("execution.checkpointing.interval", "100 d"); // by hand only
        conf.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        conf.setString("execution.checkpointing.num-retained", "100");
        conf.setString("execution.checkpointing.timeout", "50 s");
        conf.setString("execution.checkpointing.data-inline-threshold", "0 b"); // files, as real state has them
        conf.setString("restart-strategy.type", "disable");
        conf.setString("taskmanager.memory.managed.size", "48m");
        conf.setString("taskmanager.memory.network.min", "8m");
        conf.setString("taskmanager.memory.network.max", "8m");
        conf.setString("taskmanager.memory.segment-size", "4k");
        conf.setString("taskmanager.numberOfTaskSlots", request.path("job").path("parallelism").asText("1"));
        conf.setString("io.tmp.dirs", System.getProperty("java.io.tmpdir") + "/oracle");
        conf.setString("execution.buffer-timeout.interval", "5 ms");
        if (request.hasNonNull("from")) {
            conf.setString("execution.state-recovery.path", request.get("from").asText());
            conf.setString("execution.state-recovery.claim-mode", request.path("claim").asText("NO_CLAIM"));
            conf.setString("execution.state-recovery.ignore-unclaimed-state", request.path("allow_non_restored").asText("false"));
        }
        String dir = request.path("dir").asText("");
        if (!dir.isEmpty()) {
            conf.setString("execution.checkpointing.dir", dir);
            conf.setString("execution.checkpointing.savepoint-dir", dir);
        }
        request.path("conf").fields().forEachRemaining(e -> conf.setString(e.getKey(), e.getValue().asText()));
        return conf;
    }

    @SuppressWarnings("unchecked")
    private static JobGraph graph(Job job, Configuration conf) {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(job.parallelism, conf);
        if (job.maxParallelism > 0) {
            env.setMaxParallelism(job.maxParallelism);
        }
        TypeInformation<Tuple2<Long, String>> type = Types.TUPLE(Types.LONG, Types.STRING);
        DataStream<Tuple2<Long, String>> source =
                env.fromSource(new IdSource(job), WatermarkStrategy.noWatermarks(), "source", type).uid(job.uid("source"));
        SingleOutputStreamOperator<Tuple2<Long, String>> ops =
                edge(source, job.opsEdge).map(new OpsFunction(job)).returns(type).name("ops").uid(job.uid("ops"));
        if (!job.opsEdge.equals("chain")) {
            ops.disableChaining();
        }
        SingleOutputStreamOperator<String> keyed = ops
                .keyBy(new Keys.Selector(job), (TypeInformation<Object>) Keys.info(job.keyType))
                .transform("keyed", Types.STRING, new KeyedOperator(new KeyedFunction(job)));
        keyed.uid(job.uid("keyed"));
        SingleOutputStreamOperator<String> sink =
                edge(keyed, job.sinkEdge).process(new SinkFunction()).returns(Types.STRING).name("sink").uid(job.uid("sink"));
        if (!job.sinkEdge.equals("chain")) {
            sink.disableChaining();
        }
        return env.getStreamGraph().getJobGraph();
    }

    private static <T> DataStream<T> edge(DataStream<T> stream, String kind) {
        return switch (kind) {
            case "chain", "forward" -> stream;
            case "rebalance" -> stream.rebalance();
            case "rescale" -> stream.rescale();
            default -> throw new IllegalArgumentException("edge " + kind);
        };
    }

    private void play(JsonNode request, ObjectNode report) throws Exception {
        ArrayNode taken = report.putArray("snapshots");
        for (JsonNode s : request.path("snapshots")) {
            Probe.raise(s.path("at").asLong());
            if (s.hasNonNull("after")) {
                await(() -> Probe.processed.get() >= s.get("after").asLong());
            } else {
                awaitRest(s.path("at").asLong());
            }
            awaitTasks();
            taken.add(snapshot(s, request.path("dir").asText()));
        }
        await(() -> Probe.opened.get() >= job.parallelism * (job.has("ops") ? 2 : 1));
        report.set("restored", Probe.view(Probe.RESTORED).json());
        Probe.slowMicros = 0;
        Probe.slowSinkMicros = 0;
        if (request.path("finish").asBoolean(false)) {
            Probe.raise(Long.MAX_VALUE);
            get(result);
            report.set("final", Probe.view(Probe.FINAL).json());
            report.set("outputs", Probe.sorted(null));
            return;
        }
        cluster.cancelJob(id).get(30, TimeUnit.SECONDS);
        try {
            result.get(30, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            // cancelled, as asked
        }
    }

    private ObjectNode snapshot(JsonNode s, String dir) throws Exception {
        ObjectNode n = Main.JSON.createObjectNode();
        Probe.View view;
        switch (s.path("kind").asText("checkpoint")) {
            case "checkpoint" -> {
                CheckpointType type = CheckpointType.valueOf(s.path("type").asText("CONFIGURED"));
                long number = get(cluster.triggerCheckpoint(id, type));
                n.put("checkpoint", number);
                n.put("path", dir.replace("/_entropy_", "") + "/" + id + "/chk-" + number);
                view = Probe.view(number);
            }
            case "canonical" -> view = savepoint(dir, SavepointFormatType.CANONICAL, n);
            case "native" -> view = savepoint(dir, SavepointFormatType.NATIVE, n);
            default -> throw new IllegalArgumentException("snapshot kind " + s.path("kind"));
        }
        n.set("state", view.json());
        n.set("outputs", Probe.sorted(view.sinks));
        return n;
    }

    private Probe.View savepoint(String dir, SavepointFormatType format, ObjectNode n) throws Exception {
        long last = Probe.lastCheckpoint();
        n.put("path", get(cluster.triggerSavepoint(id, dir, false, format)));
        long number = Probe.lastCheckpoint();
        if (number == last) {
            throw new IllegalStateException("no operator saw the savepoint");
        }
        n.put("checkpoint", number);
        return Probe.view(number);
    }

    /** A checkpoint is declined while the job's master has not heard that a task runs, though it may long do so. */
    private void awaitTasks() throws Exception {
        await(() -> {
            for (AccessExecutionVertex v : get(cluster.getExecutionGraph(id)).getAllExecutionVertices()) {
                ExecutionState state = v.getExecutionState();
                if (state != ExecutionState.RUNNING && state != ExecutionState.FINISHED) {
                    return false;
                }
            }
            return true;
        });
    }

    /** Waits until every record below the id is in the state; where some never come, until nothing moves for 400 ms. */
    private void awaitRest(long at) throws Exception {
        long want = job.below(at);
        long[] last = {-1, 0};
        await(() -> {
            long restored = 0;
            Probe.View view = Probe.view(Probe.RESTORED);
            synchronized (view) {
                for (ObjectNode n : view.keyed.values()) {
                    restored += n.path("count").asLong();
                }
            }
            long now = Probe.processed.get();
            if (now + restored == want) {
                return true;
            }
            if (now != last[0] || Probe.positions.isEmpty() || Probe.positions.values().stream().anyMatch(p -> p < 0)) {
                last[0] = now;
                last[1] = System.nanoTime();
            }
            boolean there = Probe.positions.size() > 0
                    && Probe.positions.entrySet().stream().allMatch(e -> e.getValue() >= Math.min(at, job.limit(e.getKey())));
            return there && System.nanoTime() - last[1] > 400_000_000L;
        });
        await(Probe::quiet);
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private void await(Condition c) throws Exception {
        while (!c.holds()) {
            if (result.isDone()) {
                get(result);
                throw new IllegalStateException("the job ended early");
            }
            if (System.nanoTime() > deadline) {
                throw new TimeoutException("positions " + Probe.positions + ", processed " + Probe.processed);
            }
            Thread.sleep(10);
        }
    }

    private <T> T get(CompletableFuture<? extends T> f) throws Exception {
        return f.get(Math.max(1, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
    }
}
