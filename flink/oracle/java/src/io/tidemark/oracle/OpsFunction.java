package io.tidemark.oracle;

import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Passes records on and holds operator state of each kind. A fresh subtask i puts three elements into the split list, one
 * into the union list, and the same rules into the broadcast state; a restored one keeps what it got.
 */
final class OpsFunction extends RichMapFunction<Tuple2<Long, String>, Tuple2<Long, String>> implements CheckpointedFunction {
    private final Job job;
    private transient ListState<Long> list;
    private transient ListState<Tuple2<String, Long>> union;
    private transient BroadcastState<String, Long> broadcast;

    OpsFunction(Job job) {
        this.job = job;
    }

    @Override
    public Tuple2<Long, String> map(Tuple2<Long, String> record) {
        return record;
    }

    private int subtask() {
        return getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        if (!job.has("ops")) {
            return;
        }
        var store = context.getOperatorStateStore();
        list = store.getListState(new ListStateDescriptor<>("list", Types.LONG));
        union = store.getUnionListState(new ListStateDescriptor<>("union", Types.TUPLE(Types.STRING, Types.LONG)));
        broadcast = store.getBroadcastState(new MapStateDescriptor<>("broadcast", Types.STRING, Types.LONG));
        report(Probe.RESTORED);
        Probe.opened.incrementAndGet();
        int i = subtask();
        if (!context.isRestored()) {
            list.addAll(List.of(i * 100L, i * 100L + 1, i * 100L + 2));
            for (int r = 0; r < 4; r++) {
                broadcast.put("rule-" + r, r * 1000L);
            }
        }
        // Each subtask of a restored union list got all elements: it keeps its own share, so that they do not multiply.
        List<Tuple2<String, Long>> mine = new ArrayList<>();
        int p = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        if (context.isRestored()) {
            for (Tuple2<String, Long> t : union.get()) {
                if (t.f1 % p == i) {
                    mine.add(t);
                }
            }
        } else {
            mine.add(Tuple2.of("union-" + i, (long) i));
        }
        union.update(mine);
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        if (job.has("ops")) {
            report(context.getCheckpointId());
        }
    }

    private void report(long moment) throws Exception {
        ObjectNode n = JsonNodeFactory.instance.objectNode();
        n.put("subtask", subtask());
        List<Long> longs = new ArrayList<>();
        list.get().forEach(longs::add);
        Collections.sort(longs);
        ArrayNode l = n.putArray("list");
        longs.forEach(l::add);
        List<String> texts = new ArrayList<>();
        union.get().forEach(t -> texts.add(t.f0 + "=" + t.f1));
        Collections.sort(texts);
        ArrayNode u = n.putArray("union");
        texts.forEach(u::add);
        Map<String, Long> sorted = new TreeMap<>();
        for (Map.Entry<String, Long> e : broadcast.entries()) {
            sorted.put(e.getKey(), e.getValue());
        }
        ObjectNode b = n.putObject("broadcast");
        sorted.forEach(b::put);
        Probe.View view = Probe.view(moment);
        synchronized (view) {
            view.ops.put(String.format("%05d", subtask()), n);
        }
    }
}
