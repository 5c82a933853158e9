package io.tidemark.oracle;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.ReduceFunction;
import org.apache.flink.api.common.state.AggregatingState;
import org.apache.flink.api.common.state.AggregatingStateDescriptor;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReducingState;
import org.apache.flink.api.common.state.ReducingStateDescriptor;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The stateful operator. Which states it has is the job's choice; what is in them follows from the ids it has seen. */
final class KeyedFunction extends KeyedProcessFunction<Object, Tuple2<Long, String>, String> {
    static final long TIMER_BASE = 1_000_000;
    static final long PROC_TIMER_BASE = 4_102_444_800_000L; // the year 2100: never comes due

    private final Job job;
    private transient ValueState<Long> count;
    private transient ListState<Long> ids;
    private transient MapState<String, Long> words;
    private transient ReducingState<Long> sum;
    private transient AggregatingState<Long, Long> mean;
    private transient ValueState<Long> ttl;
    private transient MapState<Long, String> ttlMap;
    private transient ValueState<Values.ValuePojo> pojo;
    private transient ValueState<Row> row;
    private transient ValueState<Tuple3<String, Integer, Boolean>> tuple;
    private transient Values.Avro avro;
    transient List<String> names;

    KeyedFunction(Job job) {
        this.job = job;
    }

    private <D extends StateDescriptor<?, ?>> D named(D descriptor) {
        names.add(descriptor.getName());
        return descriptor;
    }

    @Override
    public void open(OpenContext context) throws Exception {
        names = new ArrayList<>();
        var rt = getRuntimeContext();
        StateTtlConfig forever = StateTtlConfig.newBuilder(Duration.ofDays(36_500)).build();
        if (job.has("count")) {
            count = rt.getState(named(new ValueStateDescriptor<>("count", Types.LONG)));
        }
        if (job.has("ids")) {
            ids = rt.getListState(named(new ListStateDescriptor<>("ids", Types.LONG)));
        }
        if (job.has("words")) {
            words = rt.getMapState(named(new MapStateDescriptor<>("words", Types.STRING, Types.LONG)));
        }
        if (job.has("sum")) {
            sum = rt.getReducingState(named(new ReducingStateDescriptor<>("sum", new Sum(), Types.LONG)));
        }
        if (job.has("mean")) {
            mean = rt.getAggregatingState(
                    named(new AggregatingStateDescriptor<>("mean", new Mean(), Types.TUPLE(Types.LONG, Types.LONG))));
        }
        if (job.has("ttl")) {
            var d = new ValueStateDescriptor<>("ttl", Types.LONG);
            d.enableTimeToLive(forever);
            ttl = rt.getState(named(d));
            var m = new MapStateDescriptor<>("ttl-map", Types.LONG, Types.STRING);
            m.enableTimeToLive(forever);
            ttlMap = rt.getMapState(named(m));
        }
        if (job.has("pojo")) {
            pojo = rt.getState(named(new ValueStateDescriptor<>("pojo", Types.POJO(Values.ValuePojo.class))));
        }
        if (job.has("row")) {
            row = rt.getState(named(new ValueStateDescriptor<>("row", Values.ROW)));
        }
        if (job.has("tuple")) {
            tuple = rt.getState(named(new ValueStateDescriptor<>("tuple", Types.TUPLE(Types.STRING, Types.INT, Types.BOOLEAN))));
        }
        if (job.has("avro")) {
            avro = new Values.Avro();
            avro.state = rt.getState(named(avro.descriptor()));
        }
    }

    @Override
    public void processElement(Tuple2<Long, String> record, Context ctx, Collector<String> out) throws Exception {
        Probe.slow(Probe.slowMicros);
        long id = record.f0;
        if (!record.f1.equals(job.payload(id))) {
            throw new IllegalStateException("record " + id + " has the payload of another one: " + record.f1);
        }
        long n = 0;
        if (count != null) {
            Long old = count.value();
            n = old == null ? 1 : old + 1;
            count.update(n);
        }
        if (ids != null) {
            ids.add(id);
        }
        if (words != null) {
            String word = "w" + id % 3;
            Long old = words.get(word);
            words.put(word, old == null ? id : old + id);
        }
        if (sum != null) {
            sum.add(id);
        }
        if (mean != null) {
            mean.add(id);
        }
        if (ttl != null) {
            ttl.update(id);
            ttlMap.put(id % 5, "t" + id);
        }
        if (pojo != null) {
            pojo.update(new Values.ValuePojo(id));
        }
        if (row != null) {
            row.update(Values.row(id));
        }
        if (tuple != null) {
            tuple.update(Tuple3.of("t" + id, (int) -id, id % 2 == 0));
        }
        if (avro != null) {
            avro.state.update(avro.of(id));
        }
        if (job.has("timers") && id % 3 == 0) {
            ctx.timerService().registerEventTimeTimer(TIMER_BASE + id);
        }
        if (job.has("proc-timers") && id % 4 == 0) {
            ctx.timerService().registerProcessingTimeTimer(PROC_TIMER_BASE + id);
        }
        out.collect("r " + Keys.text(ctx.getCurrentKey()) + " " + id + " " + n);
        Probe.processed.incrementAndGet();
    }

    @Override
    public void onTimer(long time, OnTimerContext ctx, Collector<String> out) throws Exception {
        Long n = count == null ? null : count.value();
        if (words != null) {
            Long old = words.get("fired");
            words.put("fired", old == null ? 1 : old + 1);
        }
        out.collect("t " + Keys.text(ctx.getCurrentKey()) + " " + time + " " + (n == null ? 0 : n));
    }

    /** Puts the states of the current key into the document. Absent state has no field. */
    void describe(ObjectNode n) throws Exception {
        if (count != null && count.value() != null) {
            n.put("count", count.value());
        }
        if (ids != null && ids.get() != null) {
            ArrayNode a = n.arrayNode();
            ids.get().forEach(a::add);
            if (!a.isEmpty()) {
                n.set("ids", a);
            }
        }
        if (words != null) {
            Map<String, Long> sorted = new TreeMap<>();
            for (Map.Entry<String, Long> e : words.entries()) {
                sorted.put(e.getKey(), e.getValue());
            }
            if (!sorted.isEmpty()) {
                ObjectNode w = n.putObject("words");
                sorted.forEach(w::put);
            }
        }
        if (sum != null && sum.get() != null) {
            n.put("sum", sum.get());
        }
        if (mean != null && mean.get() != null) {
            n.put("mean", mean.get());
        }
        ObjectNode values = n.objectNode();
        if (ttl != null && ttl.value() != null) {
            values.put("ttl", ttl.value().toString());
            Map<Long, String> sorted = new TreeMap<>();
            for (Map.Entry<Long, String> e : ttlMap.entries()) {
                sorted.put(e.getKey(), e.getValue());
            }
            values.put("ttl-map", sorted.toString());
        }
        if (pojo != null && pojo.value() != null) {
            values.put("pojo", pojo.value().toString());
        }
        if (row != null && row.value() != null) {
            Row r = row.value();
            values.put("row", r.getField(0) + " " + r.getField(1) + " " + r.getField(2));
        }
        if (tuple != null && tuple.value() != null) {
            Tuple3<String, Integer, Boolean> t = tuple.value();
            values.put("tuple", t.f0 + " " + t.f1 + " " + t.f2);
        }
        if (avro != null && avro.state.value() != null) {
            values.put("avro", avro.text(avro.state.value()));
        }
        if (!values.isEmpty()) {
            n.set("values", values);
        }
    }

    private static final class Sum implements ReduceFunction<Long> {
        @Override
        public Long reduce(Long a, Long b) {
            return a + b;
        }
    }

    private static final class Mean implements AggregateFunction<Long, Tuple2<Long, Long>, Long> {
        @Override
        public Tuple2<Long, Long> createAccumulator() {
            return Tuple2.of(0L, 0L);
        }

        @Override
        public Tuple2<Long, Long> add(Long id, Tuple2<Long, Long> a) {
            return Tuple2.of(a.f0 + id, a.f1 + 1);
        }

        @Override
        public Long getResult(Tuple2<Long, Long> a) {
            return a.f1 == 0 ? null : a.f0 / a.f1;
        }

        @Override
        public Tuple2<Long, Long> merge(Tuple2<Long, Long> a, Tuple2<Long, Long> b) {
            return Tuple2.of(a.f0 + b.f0, a.f1 + b.f1);
        }
    }
}
