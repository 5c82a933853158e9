package io.tidemark.oracle;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** Where the operators of the one running job report to, and what holds them. The cluster runs in this process. */
final class Probe {
    /** A view of the job at one moment: when it was restored, at a checkpoint, or at its end. */
    static final class View {
        final Map<String, ObjectNode> keyed = new TreeMap<>();
        final Map<String, ObjectNode> ops = new TreeMap<>();
        final Map<Integer, Long> positions = new TreeMap<>();
        final Map<Integer, Integer> readers = new TreeMap<>(); // split to subtask of its reader
        final Map<Integer, Integer> sinks = new TreeMap<>(); // sink subtask to number of its outputs so far

        synchronized ObjectNode json() {
            ObjectNode n = JsonNodeFactory.instance.objectNode();
            ArrayNode k = n.putArray("keyed");
            keyed.values().forEach(k::add);
            ArrayNode o = n.putArray("ops");
            ops.values().forEach(o::add);
            ObjectNode p = n.putObject("positions");
            positions.forEach((s, v) -> p.put(Integer.toString(s), v));
            ObjectNode r = n.putObject("readers");
            readers.forEach((s, v) -> r.put(Integer.toString(s), v));
            ObjectNode q = n.putObject("sinks");
            sinks.forEach((s, v) -> q.put(Integer.toString(s), v));
            return n;
        }
    }

    static final long RESTORED = -1;
    static final long FINAL = -2;

    private static final Map<Long, View> views = new ConcurrentHashMap<>();
    private static final Map<Integer, List<String>> outputs = new TreeMap<>();
    private static volatile CompletableFuture<Void> gate = new CompletableFuture<>();
    static volatile long hold;
    static volatile long slowMicros;
    static volatile long slowSinkMicros;
    static final AtomicLong processed = new AtomicLong();
    static final AtomicLong opened = new AtomicLong(); // operators that have reported what they were restored with
    static final Map<Integer, Long> positions = new ConcurrentHashMap<>();

    static void reset() {
        views.clear();
        synchronized (outputs) {
            outputs.clear();
        }
        processed.set(0);
        opened.set(0);
        positions.clear();
        hold = 0;
    }

    /** The highest number of a checkpoint that an operator took part in. */
    static long lastCheckpoint() {
        return views.keySet().stream().mapToLong(m -> m).max().orElse(0);
    }

    /** Whether what the keyed operator emitted has reached the sinks. */
    static boolean quiet() {
        synchronized (outputs) {
            return outputs.values().stream().mapToLong(List::size).sum() >= processed.get();
        }
    }

    static View view(long moment) {
        return views.computeIfAbsent(moment, m -> new View());
    }

    /** Lets the sources run up to the id; what waits for it wakes. */
    static synchronized void raise(long id) {
        hold = id;
        CompletableFuture<Void> old = gate;
        gate = new CompletableFuture<>();
        old.complete(null);
    }

    static synchronized CompletableFuture<Void> waitAbove(long seen) {
        return hold != seen ? CompletableFuture.completedFuture(null) : gate;
    }

    static int output(int subtask, String line) {
        synchronized (outputs) {
            List<String> mine = outputs.computeIfAbsent(subtask, s -> new ArrayList<>());
            if (line != null) {
                mine.add(line);
            }
            return mine.size();
        }
    }

    /** All outputs so far, sorted; with counts, only the first ones of each sink subtask. */
    static ArrayNode sorted(Map<Integer, Integer> counts) {
        List<String> all = new ArrayList<>();
        synchronized (outputs) {
            outputs.forEach((s, lines) -> all.addAll(counts == null ? lines : lines.subList(0, counts.getOrDefault(s, 0))));
        }
        Collections.sort(all);
        ArrayNode n = JsonNodeFactory.instance.arrayNode();
        all.forEach(n::add);
        return n;
    }

    static void slow(long micros) {
        if (micros > 0) {
            java.util.concurrent.locks.LockSupport.parkNanos(micros * 1000);
        }
    }
}
