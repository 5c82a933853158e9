package io.tidemark.oracle;

import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/** Hands outputs to the probe, and notes at each checkpoint how many it had handed over. */
final class SinkFunction extends ProcessFunction<String, String> implements CheckpointedFunction {
    private int subtask() {
        return getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }

    @Override
    public void processElement(String line, Context ctx, Collector<String> out) {
        Probe.slow(Probe.slowSinkMicros);
        Probe.output(subtask(), line);
    }

    @Override
    public void initializeState(FunctionInitializationContext context) {}

    @Override
    public void snapshotState(FunctionSnapshotContext context) {
        Probe.View view = Probe.view(context.getCheckpointId());
        int n = Probe.output(subtask(), null);
        synchronized (view) {
            view.sinks.put(subtask(), n);
        }
    }
}
