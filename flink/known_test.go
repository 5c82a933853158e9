package flink

import (
	"encoding/hex"
	"os"
	"strings"
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

// What Kafka's connectors for Flink 1.20 and 2.x wrote by their own serialisers is
// shown by its meaning, to the last byte (testdata/flink/kafka/KafkaStates.java).
func TestKafkaStates(t *testing.T) {
	const transactions = `{"committable":{"version":1,"value":{"transactionalId":"tx-1-12","producerId":"4001","epoch":7}},"retries":0,"state":"RECEIVED"},` +
		`{"committable":{"version":1,"value":{"transactionalId":"tx-2-12","producerId":"4002","epoch":0}},"retries":0,"state":"RECEIVED"}`
	drained := map[string]string{"1.20": `"drained":0,`, "2.2": ""}
	n := 0
	for _, flink := range []string{"1.20", "2.2"} {
		text, err := os.ReadFile("../testdata/flink/kafka/states-" + flink + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			b, err := hex.DecodeString(words[2])
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			ok := false
			if words[0] == "coordinator" {
				got, ok = appendCoordinator(nil, b)
			} else {
				got, ok = appendKnown(nil, words[0], b)
			}
			one, two := `{"topic":"orders","partition":0,"status":"ASSIGNED"}`, `{"topic":"orders","partition":1,"status":"UNASSIGNED_INITIAL"}`
			if strings.Index(string(got), `"partition":1`) < strings.Index(string(got), `"partition":0`) {
				one, two = two, one // a set, in no order
			}
			want := map[string]string{
				"bounded":   `{"version":0,"value":{"topic":"orders","partition":3,"startingOffset":"1234","stoppingOffset":"99999999999"}}`,
				"unbounded": `{"version":0,"value":{"topic":"заказы","partition":0,"startingOffset":"-2","stoppingOffset":null}}`,
				"latest":    `{"version":0,"value":{"topic":"orders","partition":0,"startingOffset":"7","stoppingOffset":"-1"}}`,
				"both":      `{"version":2,"value":{"partitions":[` + one + `,` + two + `],"initialDiscoveryFinished":true}}`,
				"two": `{"version":2,"value":[{"checkpoint":"12","parallelism":2,"subtasks":[{"subtask":1,"requests":[` + transactions +
					`],"committables":2,` + drained[flink] + `"failed":0}]}]}`,
			}[words[1]]
			if !ok || string(got) != want {
				t.Errorf("Flink %s, %s %s:\ngot  %s\nwant %s", flink, words[0], words[1], got, want)
			}
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d states", n)
	}
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
