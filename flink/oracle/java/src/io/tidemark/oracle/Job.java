package io.tidemark.oracle;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a job does: it numbers its records from 0, record id belongs to key {@code id % keys} and to split
 * {@code (id % keys) % splits}, so that all records of a key come from one split, in ascending order. Everything else
 * is a function of these numbers. The Go side (job.go) has the same in its own words.
 */
final class Job implements Serializable {
    final int keys;
    final long records;
    final int splits;
    final int parallelism;
    final int maxParallelism;
    final int payload;
    final String keyType;
    final String opsEdge;
    final String sinkEdge;
    final Set<String> states = new HashSet<>();
    final Set<Integer> shortSplits = new HashSet<>();
    final Map<String, String> uids = new HashMap<>();

    Job(JsonNode n) {
        keys = n.path("keys").asInt(10);
        records = n.path("records").asLong(200);
        splits = n.path("splits").asInt(4);
        parallelism = n.path("parallelism").asInt(1);
        maxParallelism = n.path("max_parallelism").asInt(0);
        payload = n.path("payload").asInt(0);
        keyType = n.path("key_type").asText("long");
        opsEdge = n.path("ops_edge").asText("chain");
        sinkEdge = n.path("sink_edge").asText("chain");
        n.path("states").forEach(s -> states.add(s.asText()));
        n.path("short_splits").forEach(s -> shortSplits.add(s.asInt()));
        n.path("uids").fields().forEachRemaining(e -> uids.put(e.getKey(), e.getValue().asText()));
    }

    boolean has(String state) {
        return states.contains(state);
    }

    String uid(String name) {
        return uids.getOrDefault(name, name);
    }

    int key(long id) {
        return (int) (id % keys);
    }

    int split(long id) {
        return key(id) % splits;
    }

    /** The first id that the split does not have any more. */
    long limit(int split) {
        return shortSplits.contains(split) ? records / 4 : records;
    }

    /** The smallest id at or after from that belongs to the split; limit(split) or more if there is none. */
    long next(int split, long from) {
        long id = from;
        while (id < limit(split) && split(id) != split) {
            id++;
        }
        return id;
    }

    /** How many ids below hold the splits have. */
    long below(long hold) {
        long n = 0;
        for (long id = 0; id < Math.min(hold, records); id++) {
            if (id < limit(split(id))) {
                n++;
            }
        }
        return n;
    }

    String payload(long id) {
        StringBuilder b = new StringBuilder("p").append(id).append(':');
        while (b.length() < payload) {
            b.append((char) ('a' + (id + b.length()) % 26));
        }
        return b.toString();
    }

    List<Integer> splitsOf(int subtask, int parallelism) {
        List<Integer> mine = new ArrayList<>();
        for (int s = subtask; s < splits; s += parallelism) {
            mine.add(s);
        }
        return mine;
    }
}
