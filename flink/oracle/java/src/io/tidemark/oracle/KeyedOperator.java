package io.tidemark.oracle;

import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.KeyedProcessOperator;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** Runs KeyedFunction and reports its whole state when it is restored, at each checkpoint, and at the end of the input. */
final class KeyedOperator extends KeyedProcessOperator<Object, Tuple2<Long, String>, String> implements BoundedOneInput {

    KeyedOperator(KeyedFunction function) {
        super(function);
    }

    private KeyedFunction function() {
        return (KeyedFunction) getUserFunction();
    }

    @Override
    public void open() throws Exception {
        super.open();
        report(Probe.RESTORED);
        Probe.opened.incrementAndGet();
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        report(context.getCheckpointId());
    }

    @Override
    public void endInput() throws Exception {
        report(Probe.FINAL);
    }

    private void report(long moment) throws Exception {
        Set<Object> keys = new HashSet<>();
        for (String name : function().names) {
            try (Stream<Object> s = this.<Object>getKeyedStateBackend().getKeys(name, VoidNamespace.INSTANCE)) {
                s.forEach(keys::add);
            }
        }
        InternalTimerService<VoidNamespace> timers =
                getInternalTimerService("user-timers", VoidNamespaceSerializer.INSTANCE, this);
        Map<Object, TreeSet<Long>> event = new HashMap<>();
        timers.forEachEventTimeTimer((ns, time) -> event.computeIfAbsent(getCurrentKey(), k -> new TreeSet<>()).add(time));
        Map<Object, TreeSet<Long>> processing = new HashMap<>();
        timers.forEachProcessingTimeTimer(
                (ns, time) -> processing.computeIfAbsent(getCurrentKey(), k -> new TreeSet<>()).add(time));
        keys.addAll(event.keySet());
        keys.addAll(processing.keySet());

        List<ObjectNode> entries = new ArrayList<>();
        int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
        for (Object key : keys) {
            setCurrentKey(key);
            ObjectNode n = JsonNodeFactory.instance.objectNode();
            n.put("key", Keys.text(key));
            n.put("subtask", subtask);
            function().describe(n);
            put(n, "timers", event.get(key));
            put(n, "proc_timers", processing.get(key));
            if (n.size() > 2) {
                entries.add(n);
            }
        }
        Probe.View view = Probe.view(moment);
        synchronized (view) {
            for (ObjectNode n : entries) {
                if (view.keyed.put(n.get("key").asText(), n) != null) {
                    throw new IllegalStateException("key " + n.get("key") + " is in two subtasks");
                }
            }
        }
    }

    private static void put(ObjectNode n, String field, TreeSet<Long> times) {
        if (times != null) {
            ArrayNode a = n.putArray(field);
            times.forEach(a::add);
        }
    }
}
