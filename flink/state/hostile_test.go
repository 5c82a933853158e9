package state

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// sample is a header with a state of each kind.
func sample(t testing.TB) *KeyedHeader {
	t.Helper()
	str, long := serde.Of(serde.KindString), serde.Of(serde.KindLong)
	list, err1 := serde.ListOf(long)
	dict, err2 := serde.MapOf(str, long)
	timer, err3 := serde.TimerOf(str, serde.Of(serde.KindVoidNamespace))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	state := func(name, kind string, value *serde.Type) Meta {
		return Meta{Name: name, Kind: KeyValue, Options: []Option{{OptionStateType, kind}},
			Serializers: []Serializer{{SerializerNamespace, serde.Of(serde.KindVoidNamespace)}, {SerializerValue, value}}}
	}
	return &KeyedHeader{Key: str, States: []Meta{state("count", StateTypeValue, long), state("list", StateTypeList, list), state("dict", StateTypeMap, dict),
		{Name: "_timer_state/event_user-timers", Kind: PriorityQueue, Serializers: []Serializer{{SerializerValue, timer}}}}}
}

// canonicalSample is a file of the sample's states in two key groups.
func canonicalSample(t testing.TB) ([]byte, []int64) {
	t.Helper()
	h := sample(t)
	var out bytes.Buffer
	w, err := NewCanonicalWriter(&out, h, keygroup.Range{First: 3, Last: 5}, 128)
	if err != nil {
		t.Fatal(err)
	}
	key := wire.AppendStr(nil, "key")
	plain := AppendComposite(nil, h.Key, h.States[0].Type(SerializerNamespace), key, []byte{0}, nil)
	one := wire.AppendI64(nil, 1)
	for _, group := range []int{3, 5} {
		for _, e := range []struct {
			state            int
			composite, value []byte
		}{
			{0, plain, one},
			{1, plain, append(append(bytes.Clone(one), separator), one...)},
			{2, append(bytes.Clone(plain), wire.AppendStr(nil, "a")...), append([]byte{0}, one...)},
			{2, append(bytes.Clone(plain), wire.AppendStr(nil, "b")...), []byte{1}},
			{3, append(append(wire.AppendI64(nil, 7^(-1<<63)), key...), 0), nil},
		} {
			if err := w.Add(group, e.state, e.composite, e.value); err != nil {
				t.Fatal(err)
			}
		}
	}
	offsets, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), offsets
}

// heapSample is the same in the heap layout, in the key groups 3 and 4. There a
// list and a map may be empty; for a canonical file such a state is absent.
func heapSample(t testing.TB) ([]byte, []int64) {
	t.Helper()
	h := sample(t)
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := append([]byte{0}, wire.AppendStr(nil, "key")...) // namespace first
	none := append([]byte{0}, wire.AppendStr(nil, "none")...)
	var offsets []int64
	for group := int32(3); group <= 4; group++ {
		offsets = append(offsets, int64(len(b)))
		b = wire.AppendI32(b, group)
		b = wire.AppendI64(append(wire.AppendI32(append(b, 0, 0), 1), key...), 1)
		b = append(wire.AppendI32(append(b, 0, 1), 2), none...)
		b = append(wire.AppendI32(b, 0), key...)
		b = wire.AppendI64(wire.AppendI64(wire.AppendI32(b, 2), 1), 1)
		b = append(wire.AppendI32(append(b, 0, 2), 2), none...)
		b = append(wire.AppendI32(b, 0), key...)
		b = append(wire.AppendStr(wire.AppendI32(b, 2), "a"), 0)
		b = append(wire.AppendStr(wire.AppendI64(b, 1), "b"), 1)
		b = wire.AppendI64(wire.AppendI32(append(b, 0, 3), 1), 7^(-1<<63))
		b = append(wire.AppendStr(b, "key"), 0)
	}
	return b, offsets
}

// readAll reads a file to its end and returns the number of entries and the first
// error. Every error must have a place within the file.
func readAll(t testing.TB, data []byte, first int, offsets []int64) (n int, failure error) {
	t.Helper()
	check := func(err error) {
		var e *wire.Error
		if !errors.As(err, &e) || e.Offset < 0 || !e.Decoded && e.Offset > int64(len(data)) {
			t.Fatalf("an error without place: %v", err)
		}
		if failure == nil {
			failure = err
		}
	}
	k, err := OpenKeyed(KeyedFile{Object: "file", Data: bytes.NewReader(data), Size: int64(len(data)), Offsets: offsets,
		Groups: keygroup.Range{First: first, Last: first + len(offsets) - 1}, MaxParallelism: 128})
	if err != nil {
		check(err)
		return 0, failure
	}
	for e, err := range k.Entries() {
		if err != nil {
			check(err)
			continue
		}
		n++
		if m := &k.Header.States[e.State]; len(e.Value) < 1<<16 {
			if _, err := m.AppendValueJSON(nil, e.Value); err == nil != (m.CheckValue("value", 0, e.Value) == nil) && !errors.Is(err, wire.ErrLimit) {
				t.Fatalf("a value prints, and does not check: %v", err)
			}
		}
	}
	return n, failure
}

// Both layouts have the same entries.
func TestSamples(t *testing.T) {
	data, offsets := canonicalSample(t)
	if n, err := readAll(t, data, 3, offsets); n != 10 || err != nil || offsets[1] != 0 {
		t.Errorf("canonical: %d entries, %v, %v", n, err, offsets)
	}
	data, offsets = heapSample(t)
	if n, err := readAll(t, data, 3, offsets); n != 10 || err != nil {
		t.Errorf("heap: %d entries, %v", n, err)
	}
}

// A key group that lies in the place of another one is noticed, in both layouts.
func TestMisplacedGroups(t *testing.T) {
	for _, make := range []func(testing.TB) ([]byte, []int64){canonicalSample, heapSample} {
		data, offsets := make(t)
		last := len(offsets) - 1
		offsets[0], offsets[last] = offsets[last], offsets[0]
		if n, err := readAll(t, data, 3, offsets); n != 0 || err == nil {
			t.Errorf("offsets %v: %d entries, %v", offsets, n, err)
		}
	}
}

// Damage in any byte, and an end at any byte, is survived; what is cut off is
// noticed.
func TestDamage(t *testing.T) {
	runs := 0
	for _, make := range []func(testing.TB) ([]byte, []int64){canonicalSample, heapSample} {
		data, offsets := make(t)
		for i := range data {
			for _, flip := range []byte{1, 0x80, 0xFF} {
				bad := bytes.Clone(data)
				bad[i] ^= flip
				_, _ = readAll(t, bad, 3, offsets)
				runs++
			}
			if _, err := readAll(t, data[:i], 3, offsets); err == nil {
				t.Errorf("cut at %d of %d: nothing is said", i, len(data))
			}
		}
	}
	t.Logf("RESULT TestDamage runs=%d", runs)
}

func FuzzKeyed(f *testing.F) {
	data, offsets := canonicalSample(f)
	f.Add(data, int64(offsets[0]), int64(offsets[1]), int64(offsets[2]))
	data, offsets = heapSample(f)
	f.Add(data, offsets[0], offsets[1], offsets[1])
	f.Fuzz(func(t *testing.T, data []byte, a, b, c int64) {
		_, _ = readAll(t, data, 3, []int64{a, b, c})
	})
}

func FuzzOperator(f *testing.F) {
	h := &OperatorHeader{Version: 6, Lists: []Meta{{Name: "l", Kind: Operator, Serializers: []Serializer{{SerializerValue, serde.Of(serde.KindString)}}}},
		Broadcasts: []Meta{{Name: "b", Kind: Broadcast, Serializers: []Serializer{{SerializerKey, serde.Of(serde.KindInt)}, {SerializerValue, serde.Of(serde.KindLong)}}}}}
	data, err := h.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	at := int64(len(data))
	data = wire.AppendStr(data, "x")
	data = wire.AppendI64(wire.AppendI32(wire.AppendI32(data, 1), 5), 6)
	f.Add(data, at, at+2)
	f.Fuzz(func(t *testing.T, data []byte, a, b int64) {
		o, err := OpenOperator(OperatorFile{Object: "file", Data: bytes.NewReader(data), Size: int64(len(data)), States: []Partitions{{"l", []int64{a}}, {"b", []int64{b}}}})
		if err != nil {
			return
		}
		for _, name := range []string{"l", "b"} {
			for _, err := range o.Elements(name) {
				var e *wire.Error
				if err != nil && !errors.As(err, &e) {
					t.Fatal(err)
				}
			}
		}
	})
}

func FuzzRawTimers(f *testing.F) {
	b := wire.AppendI32(wire.AppendI32(wire.AppendI32(nil, -0x0E327A61), 2), 1)
	b, _ = wire.AppendUTF(b, "s")
	b = append(append(b, serde.Of(serde.KindString).Raw()...), serde.Of(serde.KindVoidNamespace).Raw()...)
	b = wire.AppendI64(append(wire.AppendStr(wire.AppendI32(b, 1), "key"), 0), 9)
	b = wire.AppendI32(b, 0)
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		file := KeyedFile{Object: "file", Data: bytes.NewReader(data), Size: int64(len(data)), Groups: keygroup.Range{First: 0, Last: 1}, Offsets: []int64{0, -1}, MaxParallelism: 128}
		for _, err := range RawTimers(file) {
			var e *wire.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
		}
	})
}
