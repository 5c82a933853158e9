package flink

import (
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// framed puts version and length in front of bytes.
func framed(t *testing.T, version int32, payload []byte) []byte {
	t.Helper()
	b, err := wire.AppendBytes32(wire.AppendI32(nil, version), payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listed is a list as SimpleVersionedSerialization writes one.
func listed(t *testing.T, items ...[]byte) []byte {
	t.Helper()
	b := wire.AppendI32(wire.AppendI32(nil, 0), int32(len(items)))
	for _, item := range items {
		var err error
		if b, err = wire.AppendBytes32(b, item); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func utf(t *testing.T, b []byte, s string) []byte {
	t.Helper()
	b, err := wire.AppendUTF(b, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What Kafka's connector keeps is shown by its meaning, and anything else as bytes.
// The bytes are made after the connector's serialisers.
func TestKnownStates(t *testing.T) {
	const none = -1 << 63
	split := wire.AppendI64(wire.AppendI64(wire.AppendI32(utf(t, nil, "orders"), 3), 1234), none)
	committable := utf(t, wire.AppendI64(wire.AppendU16(nil, 7), 99), "tx-1")
	request := wire.AppendI32(wire.AppendI32(framed(t, 1, committable), 2), 1)
	subtask := wire.AppendI32(wire.AppendI32(wire.AppendI32(listed(t, request), 1), 0), 0)
	collector := append(wire.AppendI32(nil, -0x46e0dad4), listed(t, append(wire.AppendI64(nil, 12), listed(t, subtask)...))...)
	enumerator := wire.AppendBool(wire.AppendI32(wire.AppendI32(utf(t, wire.AppendI32(nil, 1), "orders"), 3), 1), true)
	cases := []struct {
		state string
		bytes []byte
		want  string
	}{
		{sourceReaderState, framed(t, 0, split), `{"version":0,"value":{"topic":"orders","partition":3,"startingOffset":"1234","stoppingOffset":null}}`},
		{sourceReaderState, framed(t, 0, split[:len(split)-1]), `{"version":0,"value":{"@bytes":"AAZvcmRlcnMAAAADAAAAAAAABNKAAAAAAAAA"}}`},
		{sourceReaderState, []byte{1, 2}, ``},
		{sinkCommitterState, framed(t, 2, collector), `{"version":2,"value":[{"checkpoint":"12","subtasks":[{"requests":[{"committable":{"version":1,"value":` +
			`{"transactionalId":"tx-1","producerId":"99","epoch":7}},"retries":2,"state":"RETRY"}],"committables":1,"drained":0,"failed":0}]}]}`},
		{sinkWriterState, framed(t, 1, []byte{5}), `{"version":1,"value":{"@bytes":"BQ=="}}`},
		{"other", framed(t, 0, split), ``},
	}
	for _, c := range cases {
		got, ok := appendKnown(nil, c.state, c.bytes)
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%s of %x:\ngot  %s\nwant %s", c.state, c.bytes, got, c.want)
		}
	}
	got, ok := appendCoordinator(nil, append(wire.AppendI32(nil, coordinatorVersion), framed(t, kafkaEnumerator, enumerator)...))
	if want := `{"version":2,"value":{"partitions":[{"topic":"orders","partition":3,"status":"UNASSIGNED_INITIAL"}],"initialDiscoveryFinished":true}}`; !ok || string(got) != want {
		t.Errorf("coordinator: got %s, want %s", got, want)
	}
}
