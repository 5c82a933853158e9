package io.tidemark.oracle;

import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;

/** The source: numbered records, read split by split, held below Probe.hold. */
final class IdSource implements Source<Tuple2<Long, String>, IdSource.Split, List<Integer>> {
    private final Job job;

    IdSource(Job job) {
        this.job = job;
    }

    static final class Split implements SourceSplit {
        final int index;
        long next;

        Split(int index, long next) {
            this.index = index;
            this.next = next;
        }

        @Override
        public String splitId() {
            return "split-" + index;
        }
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.BOUNDED;
    }

    @Override
    public SplitEnumerator<Split, List<Integer>> createEnumerator(SplitEnumeratorContext<Split> context) {
        List<Integer> all = new ArrayList<>();
        for (int s = 0; s < job.splits; s++) {
            all.add(s);
        }
        return new Enumerator(context, all);
    }

    @Override
    public SplitEnumerator<Split, List<Integer>> restoreEnumerator(SplitEnumeratorContext<Split> context, List<Integer> state) {
        return new Enumerator(context, state);
    }

    @Override
    public SourceReader<Tuple2<Long, String>, Split> createReader(SourceReaderContext context) {
        return new Reader(job, context.getIndexOfSubtask());
    }

    @Override
    public SimpleVersionedSerializer<Split> getSplitSerializer() {
        return new SplitSerializer();
    }

    @Override
    public SimpleVersionedSerializer<List<Integer>> getEnumeratorCheckpointSerializer() {
        return new EnumeratorSerializer();
    }

    /** Hands split s to reader s mod parallelism; its state is the splits that nobody has yet. */
    private static final class Enumerator implements SplitEnumerator<Split, List<Integer>> {
        private final SplitEnumeratorContext<Split> context;
        private final TreeSet<Integer> free;

        Enumerator(SplitEnumeratorContext<Split> context, List<Integer> free) {
            this.context = context;
            this.free = new TreeSet<>(free);
        }

        @Override
        public void start() {}

        @Override
        public void handleSplitRequest(int subtask, String host) {}

        @Override
        public void addSplitsBack(List<Split> splits, int subtask) {
            throw new IllegalStateException("the oracle's jobs do not fail over");
        }

        @Override
        public void addReader(int subtask) {
            for (Integer s : List.copyOf(free)) {
                if (s % context.currentParallelism() == subtask) {
                    free.remove(s);
                    context.assignSplit(new Split(s, 0), subtask);
                }
            }
            context.signalNoMoreSplits(subtask);
        }

        @Override
        public List<Integer> snapshotState(long checkpoint) {
            return new ArrayList<>(free);
        }

        @Override
        public void close() {}
    }

    private static final class Reader implements SourceReader<Tuple2<Long, String>, Split> {
        private final Job job;
        private final int subtask;
        private final List<Split> splits = new ArrayList<>();
        private boolean noMore;
        private volatile long seen = -1; // the hold that stopped this reader
        private final CompletableFuture<Void> assigned = new CompletableFuture<>();

        Reader(Job job, int subtask) {
            this.job = job;
            this.subtask = subtask;
        }

        @Override
        public void start() {}

        @Override
        public InputStatus pollNext(ReaderOutput<Tuple2<Long, String>> out) {
            long hold = Probe.hold;
            Split first = null;
            boolean done = true;
            for (Split s : splits) {
                s.next = job.next(s.index, s.next);
                Probe.positions.put(s.index, s.next);
                if (s.next < Math.min(hold, job.limit(s.index)) && (first == null || s.next < first.next)) {
                    first = s;
                }
                done &= s.next >= job.limit(s.index) && hold > job.limit(s.index);
            }
            if (first != null) {
                out.collect(Tuple2.of(first.next, job.payload(first.next)));
                first.next++;
                return InputStatus.MORE_AVAILABLE;
            }
            if (done && noMore) {
                return InputStatus.END_OF_INPUT;
            }
            seen = hold;
            return InputStatus.NOTHING_AVAILABLE;
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return noMore ? Probe.waitAbove(seen) : assigned;
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            Probe.View view = Probe.view(checkpoint);
            List<Split> state = new ArrayList<>();
            synchronized (view) {
                for (Split s : splits) {
                    state.add(new Split(s.index, s.next));
                    view.positions.put(s.index, s.next);
                    view.readers.put(s.index, subtask);
                }
            }
            return state;
        }

        @Override
        public void addSplits(List<Split> more) {
            Probe.View view = Probe.view(Probe.RESTORED);
            synchronized (view) {
                for (Split s : more) {
                    splits.add(new Split(s.index, s.next));
                    view.positions.put(s.index, s.next);
                    view.readers.put(s.index, subtask);
                }
            }
        }

        @Override
        public void notifyNoMoreSplits() {
            noMore = true;
            assigned.complete(null);
        }

        @Override
        public void close() {}
    }

    private static final class SplitSerializer implements SimpleVersionedSerializer<Split> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Split s) {
            return ByteBuffer.allocate(12).putInt(s.index).putLong(s.next).array();
        }

        @Override
        public Split deserialize(int version, byte[] bytes) {
            ByteBuffer b = ByteBuffer.wrap(bytes);
            return new Split(b.getInt(), b.getLong());
        }
    }

    private static final class EnumeratorSerializer implements SimpleVersionedSerializer<List<Integer>> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(List<Integer> splits) {
            ByteBuffer b = ByteBuffer.allocate(4 + 4 * splits.size()).putInt(splits.size());
            splits.forEach(b::putInt);
            return b.array();
        }

        @Override
        public List<Integer> deserialize(int version, byte[] bytes) {
            ByteBuffer b = ByteBuffer.wrap(bytes);
            List<Integer> splits = new ArrayList<>();
            for (int n = b.getInt(); n > 0; n--) {
                splits.add(b.getInt());
            }
            return splits;
        }
    }
}
