package flink

import (
	"strconv"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Names of states in which operators of Flink keep values with a version in front
// (SourceOperator, SinkWriterOperator, CommitterOperator).
const (
	sourceReaderState  = "SourceReaderState"
	sinkWriterState    = "writer_raw_states"
	sinkCommitterState = "streaming_committer_raw_states"
	committerMark      = 0xb91f252c // CommittableCollectorSerializer.MAGIC_NUMBER, in front of its version 2
	maxKnown           = 1 << 20    // parts of one value that are printed
	noStoppingOffset   = -1 << 63   // KafkaPartitionSplit.NO_STOPPING_OFFSET
	coordinatorVersion = 1          // SourceCoordinatorSerdeUtils
	kafkaSplitVersion  = 0          // KafkaPartitionSplitSerializer
	kafkaCommitVersion = 1          // KafkaCommittableSerializer
	kafkaEnumeratorOld = 1          // KafkaSourceEnumStateSerializer: assigned partitions
	kafkaEnumerator    = 2          // with a status each
	committerVersion   = 2
)

// versioned cuts a value that SimpleVersionedSerialization wrote: version, length,
// bytes and nothing behind them.
func versioned(b []byte) (version int32, payload []byte, ok bool) {
	r := wire.NewBytes("", 0, b)
	version = r.I32("version")
	payload = r.Bytes32("value")
	return version, payload, r.End("value") == nil
}

// appendKnown prints an element of operator state as an operator of Flink wrote it.
// The checkpoint names no serialiser for what is inside: bytes are taken for what a
// known one writes only if every byte fits; else they stay bytes, beside their
// version. ok is false if the state is none of those.
func appendKnown(dst []byte, name string, b []byte) (out []byte, ok bool) {
	var inner func(dst []byte, version int32, payload []byte) ([]byte, bool)
	switch name {
	case sourceReaderState:
		inner = appendKafkaSplit
	case sinkCommitterState:
		inner = appendCommitter
	case sinkWriterState:
		inner = func(dst []byte, _ int32, _ []byte) ([]byte, bool) { return dst, false }
	default:
		return dst, false
	}
	version, payload, ok := versioned(b)
	if !ok {
		return dst, false
	}
	return appendVersioned(dst, version, payload, inner), true
}

// appendVersioned prints a value and its version.
func appendVersioned(dst []byte, version int32, payload []byte, inner func([]byte, int32, []byte) ([]byte, bool)) []byte {
	dst = strconv.AppendInt(append(dst, `{"version":`...), int64(version), 10)
	dst = append(dst, `,"value":`...)
	out, ok := inner(dst, version, payload)
	if !ok {
		out = appendOpaque(dst, "", payload)
	}
	return append(out, '}')
}

// appendOffset prints an offset as other numbers of 64 bits.
func appendOffset(dst []byte, n int64) []byte {
	if n == noStoppingOffset {
		return append(dst, "null"...)
	}
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

// appendKafkaSplit prints a partition of a KafkaSource and its offsets: utf topic,
// i32 partition, i64 starting offset, i64 stopping offset.
func appendKafkaSplit(dst []byte, version int32, payload []byte) ([]byte, bool) {
	r := wire.NewBytes("", 0, payload)
	topic, partition := r.UTF("topic"), r.I32("partition")
	start, stop := r.I64("offset"), r.I64("offset")
	// The least starting offset is -3: that of the consumer group.
	if r.End("split") != nil || version != kafkaSplitVersion || topic == "" || partition < 0 || start < -3 || stop < start && stop != noStoppingOffset && stop >= 0 {
		return dst, false
	}
	dst = appendPartition(append(dst, '{'), topic, partition)
	dst = appendOffset(append(dst, `,"startingOffset":`...), start)
	dst = appendOffset(append(dst, `,"stoppingOffset":`...), stop)
	return append(dst, '}'), true
}

func appendPartition(dst []byte, topic string, partition int32) []byte {
	dst = serde.AppendString(append(dst, `"topic":`...), topic)
	return strconv.AppendInt(append(dst, `,"partition":`...), int64(partition), 10)
}

// appendKafkaCommittable prints a transaction of a KafkaSink that waits to be
// committed: i16 epoch, i64 producer, utf transactional id.
func appendKafkaCommittable(dst []byte, version int32, payload []byte) ([]byte, bool) {
	r := wire.NewBytes("", 0, payload)
	epoch, producer, id := r.I16("epoch"), r.I64("producer"), r.UTF("transaction")
	if r.End("committable") != nil || version != kafkaCommitVersion || epoch < 0 || producer < 0 || id == "" {
		return dst, false
	}
	dst = serde.AppendString(append(dst, `{"transactionalId":`...), id)
	dst = appendOffset(append(dst, `,"producerId":`...), producer)
	dst = strconv.AppendInt(append(dst, `,"epoch":`...), int64(epoch), 10)
	return append(dst, '}'), true
}

// committer prints what a committer keeps (CommittableCollectorSerializer).
type committer struct {
	out []byte
	ok  bool
}

// appendCommitter prints the committables of a sink, by checkpoint and subtask.
func appendCommitter(dst []byte, version int32, payload []byte) ([]byte, bool) {
	c := committer{out: dst, ok: true}
	r := wire.NewBytes("", 0, payload)
	if version != committerVersion || uint32(r.I32("mark")) != committerMark {
		return dst, false
	}
	c.list(r, 1, c.checkpoint)
	if r.End("committables") != nil || !c.ok {
		return dst, false
	}
	return c.out, true
}

// list prints a list: the version of the items' serialiser, which is at most the
// given one, their number, and each behind its length.
func (c *committer) list(r *wire.Reader, newest int32, item func(*wire.Reader, int32)) {
	version := r.I32("version")
	c.ok = c.ok && version >= 0 && version <= newest
	n := r.Count(4, "items")
	c.out = append(c.out, '[')
	for i := 0; i < n && c.ok && r.Err() == nil; i++ {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		in := wire.NewBytes("", 0, r.Bytes32("item"))
		item(in, version)
		c.ok = c.ok && in.End("item") == nil && i < maxKnown
	}
	c.out = append(c.out, ']')
}

// checkpoint prints what waits for a checkpoint to complete. Since version 1 (Flink
// 1.19 or 1.20) the number of subtasks is in it.
func (c *committer) checkpoint(r *wire.Reader, version int32) {
	c.out = appendOffset(append(c.out, `{"checkpoint":`...), r.I64("checkpoint"))
	if version > 0 {
		c.out = strconv.AppendInt(append(c.out, `,"parallelism":`...), int64(r.I32("parallelism")), 10)
	}
	c.out = append(c.out, `,"subtasks":`...)
	c.list(r, 2, c.subtask)
	c.out = append(c.out, '}')
}

// subtask prints the requests of a subtask: since version 1 with its number, and
// since 2 (Flink 2.0) without the number of those that were passed on.
func (c *committer) subtask(r *wire.Reader, version int32) {
	c.out = append(c.out, '{')
	if version > 0 {
		c.out = strconv.AppendInt(append(c.out, `"subtask":`...), int64(r.I32("subtask")), 10)
		c.out = append(c.out, ',')
	}
	c.out = append(c.out, `"requests":`...)
	c.list(r, 0, c.request)
	counts := []string{"committables", "drained", "failed"}
	if version > 1 {
		counts = []string{"committables", "failed"}
	}
	for _, name := range counts {
		c.out = strconv.AppendInt(append(c.out, `,"`+name+`":`...), int64(r.I32(name)), 10)
	}
	c.out = append(c.out, '}')
}

// requestStates are the names of CommitRequestState, by ordinal.
var requestStates = [...]string{"RECEIVED", "RETRY", "FAILED", "COMMITTED"}

func (c *committer) request(r *wire.Reader, _ int32) {
	version := r.I32("version")
	payload := r.Bytes32("committable")
	c.out = append(c.out, `{"committable":`...)
	c.out = appendVersioned(c.out, version, payload, appendKafkaCommittable)
	c.out = strconv.AppendInt(append(c.out, `,"retries":`...), int64(r.I32("retries")), 10)
	state := r.I32("state")
	if state < 0 || int(state) >= len(requestStates) {
		c.ok = false
		return
	}
	c.out = append(c.out, `,"state":"`+requestStates[state]+`"}`...)
}

// appendCoordinator prints what the coordinator of a source wrote: a version of its
// own, then the enumerator's state as a versioned value.
func appendCoordinator(dst, b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return dst, false
	}
	if v := wire.NewBytes("", 0, b).I32("version"); v != coordinatorVersion {
		return dst, false
	}
	version, payload, ok := versioned(b[4:])
	if !ok {
		return dst, false
	}
	return appendVersioned(dst, version, payload, appendKafkaEnumerator), true
}

// partitionStates are the names of Kafka's AssignmentStatus, by code.
var partitionStates = [...]string{"ASSIGNED", "UNASSIGNED_INITIAL"}

// appendKafkaEnumerator prints the partitions that a KafkaSource knows.
func appendKafkaEnumerator(dst []byte, version int32, payload []byte) ([]byte, bool) {
	if version != kafkaEnumeratorOld && version != kafkaEnumerator {
		return dst, false
	}
	r := wire.NewBytes("", 0, payload)
	n := r.Count(6, "partitions")
	out := append(dst, `{"partitions":[`...)
	for i := 0; i < n && r.Err() == nil && i < maxKnown; i++ {
		if i > 0 {
			out = append(out, ',')
		}
		topic, partition := r.UTF("topic"), r.I32("partition")
		if topic == "" || partition < 0 {
			return dst, false
		}
		out = appendPartition(append(out, '{'), topic, partition)
		if version == kafkaEnumerator {
			status := r.I32("status")
			if status < 0 || int(status) >= len(partitionStates) {
				return dst, false
			}
			out = append(out, `,"status":"`+partitionStates[status]+`"`...)
		}
		out = append(out, '}')
	}
	out = append(out, ']')
	if version == kafkaEnumerator {
		out = strconv.AppendBool(append(out, `,"initialDiscoveryFinished":`...), r.Bool("discovery"))
	}
	if r.End("enumerator") != nil {
		return dst, false
	}
	return append(out, '}'), true
}
