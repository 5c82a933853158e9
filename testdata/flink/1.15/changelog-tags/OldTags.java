import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyGroupRangeOffsets;
import org.apache.flink.runtime.state.KeyGroupsStateHandle;
import org.apache.flink.runtime.state.StateHandleID;
import org.apache.flink.runtime.state.StreamStateHandle;
import org.apache.flink.runtime.state.changelog.ChangelogStateBackendHandle.ChangelogStateBackendHandleImpl;
import org.apache.flink.runtime.state.changelog.ChangelogStateHandle;
import org.apache.flink.runtime.state.changelog.ChangelogStateHandleStreamImpl;
import org.apache.flink.runtime.state.changelog.SequenceNumber;
import org.apache.flink.runtime.state.changelog.StateChange;
import org.apache.flink.runtime.state.changelog.inmemory.InMemoryChangelogStateHandle;
import org.apache.flink.runtime.state.filesystem.FileStateHandle;

import java.io.FileOutputStream;
import java.util.List;

/**
 * Handles of the changelog state backend as Flink 1.15 wrote them (tags 8, 9 and 10), by its own serialisers:
 *
 *   mvn dependency:copy-dependencies      in a project that depends on org.apache.flink:flink-runtime:1.15.4
 *   java -cp 'target/dependency/*' OldTags.java _metadata
 */
class OldTags {
    public static void main(String[] args) throws Exception {
        OperatorState op = new OperatorState(new OperatorID(1, 2), 2, 128);
        for (int subtask = 0; subtask < 2; subtask++) {
            KeyGroupRange range = KeyGroupRange.of(64 * subtask, 64 * subtask + 63);
            StreamStateHandle file = new FileStateHandle(new Path("s3://flink/changelog/dstl/" + subtask), 4096);
            List<ChangelogStateHandle> changes = List.of(
                    ChangelogStateHandleStreamImpl.restore(
                            List.of(Tuple2.of(file, 0L), Tuple2.of(file, 1024L)), range, 2048, 1024, new StateHandleID("changes-" + subtask)),
                    InMemoryChangelogStateHandle.restore(
                            List.of(new StateChange(range.getStartKeyGroup(), new byte[] {1, 2, 3}), new StateChange(-1, new byte[] {4})),
                            SequenceNumber.of(7), SequenceNumber.of(9), range, new StateHandleID("memory-" + subtask)));
            KeyGroupsStateHandle state = KeyGroupsStateHandle.restore(
                    new KeyGroupRangeOffsets(range, new long[64]),
                    new FileStateHandle(new Path("s3://flink/checkpoints/shared/" + subtask), 512), new StateHandleID("state-" + subtask));
            op.putState(subtask, OperatorSubtaskState.builder()
                    .setManagedKeyedState(ChangelogStateBackendHandleImpl.restore(
                            List.of(state), changes, range, 11 + subtask, 3000, new StateHandleID("handle-" + subtask)))
                    .build());
        }
        try (FileOutputStream out = new FileOutputStream(args[0])) {
            Checkpoints.storeCheckpointMetadata(new CheckpointMetadata(42, List.of(op), List.of()), out);
        }
    }
}
