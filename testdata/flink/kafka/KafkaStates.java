import org.apache.flink.connector.kafka.source.enumerator.KafkaSourceEnumState;
import org.apache.flink.connector.kafka.source.enumerator.KafkaSourceEnumStateSerializer;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplitSerializer;
import org.apache.flink.core.io.SimpleVersionedSerialization;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.SimpleCounter;
import org.apache.flink.metrics.groups.SinkCommitterMetricGroup;
import org.apache.flink.streaming.api.connector.sink2.CommittableSummary;
import org.apache.flink.streaming.api.connector.sink2.CommittableWithLineage;
import org.apache.flink.streaming.runtime.operators.sink.committables.CommittableCollector;
import org.apache.flink.streaming.runtime.operators.sink.committables.CommittableCollectorSerializer;
import org.apache.kafka.common.TopicPartition;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.lang.reflect.Proxy;
import java.util.HexFormat;
import java.util.Set;

/**
 * What Kafka's connector keeps in checkpoints, by its own serialisers and those of Flink around them. No broker takes part.
 *
 *   mvn dependency:copy-dependencies      in a project that depends on org.apache.flink:flink-connector-kafka:3.4.0-1.20 (4.0.1-2.0) and
 *                                         flink-streaming-java and flink-connector-base 1.20.3 (2.2.0)
 *   java -cp 'target/dependency/*' KafkaStates.java > states-1.20.txt (states-2.2.txt)
 */
class KafkaStates {
    public static void main(String[] args) throws Exception {
        KafkaPartitionSplitSerializer splits = new KafkaPartitionSplitSerializer();
        print("SourceReaderState", "bounded", SimpleVersionedSerialization.writeVersionAndSerialize(
                splits, new KafkaPartitionSplit(new TopicPartition("orders", 3), 1234, 99_999_999_999L)));
        print("SourceReaderState", "unbounded", SimpleVersionedSerialization.writeVersionAndSerialize(
                splits, new KafkaPartitionSplit(new TopicPartition("заказы", 0), KafkaPartitionSplit.EARLIEST_OFFSET)));
        print("SourceReaderState", "latest", SimpleVersionedSerialization.writeVersionAndSerialize(
                splits, new KafkaPartitionSplit(new TopicPartition("orders", 0), 7, KafkaPartitionSplit.LATEST_OFFSET)));

        // SourceCoordinator.toBytes: its own version, then the enumerator's state as a versioned value.
        KafkaSourceEnumStateSerializer states = new KafkaSourceEnumStateSerializer();
        byte[] state = states.serialize(new KafkaSourceEnumState(
                Set.of(new TopicPartition("orders", 0)), Set.of(new TopicPartition("orders", 1)), true));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        var version = Class.forName("org.apache.flink.runtime.source.coordinator.SourceCoordinatorSerdeUtils")
                .getDeclaredMethod("writeCoordinatorSerdeVersion", DataOutputStream.class);
        version.setAccessible(true);
        version.invoke(null, out);
        out.writeInt(states.getVersion());
        out.writeInt(state.length);
        out.write(state);
        print("coordinator", "both", bytes.toByteArray());

        var make = Class.forName("org.apache.flink.connector.kafka.sink.KafkaCommittableSerializer").getDeclaredConstructor();
        make.setAccessible(true);
        @SuppressWarnings("unchecked")
        SimpleVersionedSerializer<Object> committables = (SimpleVersionedSerializer<Object>) make.newInstance();
        SinkCommitterMetricGroup metrics = (SinkCommitterMetricGroup) Proxy.newProxyInstance(KafkaStates.class.getClassLoader(),
                new Class<?>[] {SinkCommitterMetricGroup.class}, (p, m, a) -> m.getReturnType() == Counter.class ? new SimpleCounter() : null);
        CommittableCollector<Object> collector = CommittableCollector.of(metrics);
        collector.addMessage(new CommittableSummary<>(1, 2, 12L, 2, 0, 0));
        collector.addMessage(new CommittableWithLineage<>(committable(4001L, (short) 7, "tx-1-12"), 12L, 1));
        collector.addMessage(new CommittableWithLineage<>(committable(4002L, (short) 0, "tx-2-12"), 12L, 1));
        print("streaming_committer_raw_states", "two", SimpleVersionedSerialization.writeVersionAndSerialize(
                new CommittableCollectorSerializer<>(committables, 1, 2, metrics), collector));
    }

    private static Object committable(long producer, short epoch, String transaction) throws Exception {
        var make = Class.forName("org.apache.flink.connector.kafka.sink.KafkaCommittable").getDeclaredConstructors()[0];
        make.setAccessible(true);
        return make.newInstance(producer, epoch, transaction, null);
    }

    private static void print(String state, String name, byte[] bytes) {
        System.out.println(state + " " + name + " " + HexFormat.of().formatHex(bytes));
    }
}
