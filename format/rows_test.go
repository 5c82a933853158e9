package format

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"pgregory.net/rapid"
)

// decoded encodes and decodes the block of a builder.
func decoded(t testing.TB, b *Builder) *Block {
	t.Helper()
	data, ref, err := b.AppendBlock(nil)
	must(t, err)
	var block Block
	must(t, block.Decode("o", data, b.Kind(), ref, nil))
	return &block
}

// entry is a row of keyed state or, with a time, of timers.
type entry struct {
	hash    keygroup.Hash
	key, ns string
	time    int64
}

// TestKeyedOrder refuses rows that do not ascend, within a block and from one
// block to the next, and hashes outside the slice.
func TestKeyedOrder(t *testing.T) {
	a := entry{hash: 5, key: "k", ns: "n", time: 3}
	tests := []struct {
		name  string
		next  entry
		keyed bool // whether it may follow a in keyed state
		timer bool // and in timers
	}{
		{"higher hash", entry{6, "", "", 0}, true, true},
		{"higher key", entry{5, "ka", "", 0}, true, true},
		{"lower key", entry{5, "j", "z", 9}, false, false},
		{"prefix of the key", entry{5, "", "z", 9}, false, false},
		{"higher namespace", entry{5, "k", "na", 0}, true, true},
		{"lower namespace", entry{5, "k", "m", 9}, false, false},
		{"the same", a, false, false},
		{"later", entry{5, "k", "n", 4}, false, true},
		{"earlier", entry{5, "k", "n", 2}, false, false},
		{"outside", entry{100, "", "", 0}, false, false},
	}
	interval := keygroup.Interval{Lo: 5, Hi: 100}
	for _, test := range tests {
		for _, kind := range []Kind{KindKeyed, KindTimer} {
			for _, blocks := range []int{1, 2} {
				ok := test.keyed
				if kind == KindTimer {
					ok = test.timer
				}
				rows := NewKeyedRows(interval)
				n, err := walkEntries(t, rows, kind, blocks, []entry{a, test.next})
				if ok != (err == nil) || ok != (n == 2) || err != nil && !errors.Is(err, ErrMalformed) {
					t.Errorf("%s, %v in %d blocks: %d rows, %v", test.name, kind, blocks, n, err)
				}
			}
		}
	}
}

// walkEntries encodes the entries in one block or in one for each and walks
// them.
func walkEntries(t testing.TB, rows *KeyedRows, kind Kind, blocks int, entries []entry) (n int, err error) {
	t.Helper()
	b := &KeyedBuilder{Builder: *NewBuilder(kind)}
	for i, e := range entries {
		if kind == KindKeyed {
			b.Append(e.hash, []byte(e.key), []byte(e.ns), []byte("v"))
		} else {
			b.AppendTimer(e.hash, []byte(e.key), []byte(e.ns), e.time)
		}
		if blocks == 1 && i < len(entries)-1 {
			continue
		}
		rows.Start(decoded(t, &b.Builder))
		for rows.Next() {
			n++
			if e := entries[n-1]; e.hash != rows.Hash || e.key != string(rows.Key) || e.ns != string(rows.Namespace) ||
				kind == KindTimer && e.time != rows.Time {
				t.Errorf("row %d is %v %q %q %d, expected %+v", n, rows.Hash, rows.Key, rows.Namespace, rows.Time, e)
			}
		}
		b.Reset()
	}
	return n, rows.Err()
}

// TestKeyedReuse decodes the blocks of a slice into one Block from one buffer:
// the order from block to block is checked nevertheless.
func TestKeyedReuse(t *testing.T) {
	for _, codec := range allCodecs {
		for _, second := range []string{"bbbbbbbbbbbbbbbbbbbbbbbb", "dddddddddddddddddddddddd"} {
			var block Block
			var buffer []byte
			rows := NewKeyedRows(keygroup.All())
			n := 0
			for _, key := range []string{"cccccccccccccccccccccccc", second} {
				b := NewKeyedBuilder()
				b.Compress(codec)
				for i := range 10 {
					b.Append(7, []byte(fmt.Sprint(key, i)), nil, nil)
				}
				data, ref, err := b.AppendBlock(buffer[:0])
				must(t, err)
				buffer = data
				must(t, block.Decode("o", data, KindKeyed, ref, nil))
				for rows.Start(&block); rows.Next(); {
					n++
				}
			}
			if good := second[0] == 'd'; good != (rows.Err() == nil) || good != (n == 20) {
				t.Errorf("%v, %s: %d rows, %v", codec, second, n, rows.Err())
			}
		}
	}
	// Rows that are skipped do not count, but hashes still may not fall.
	block := decoded(t, func() *Builder {
		b := NewKeyedBuilder()
		for i := range 5 {
			b.Append(keygroup.Hash(5+i), []byte("k"), nil, nil)
		}
		return &b.Builder
	}())
	for taken, good := range []bool{true, true, false, false} {
		rows := NewKeyedRows(keygroup.All())
		rows.Start(block)
		for range taken {
			rows.Next()
		}
		rows.Start(block)
		if rows.Next() != good {
			t.Errorf("after %d rows: %v", taken, rows.Err())
		}
	}
}

// TestKeyedProperties writes random entries and reads them back, whatever the
// widths and the codec.
func TestKeyedProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom([]Kind{KindKeyed, KindTimer}).Draw(r, "kind")
		entries := rapid.SliceOf(rapid.Custom(func(r *rapid.T) entry {
			return entry{keygroup.Hash(rapid.Uint32().Draw(r, "hash")), rapid.StringN(0, 3, 8).Draw(r, "key"),
				rapid.SampledFrom([]string{"", "w", "window"}).Draw(r, "ns"), rapid.Int64().Draw(r, "time")}
		})).Draw(r, "entries")
		slices.SortFunc(entries, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.key, b.key), cmp.Compare(a.ns, b.ns))
		})
		entries = slices.CompactFunc(entries, func(a, b entry) bool {
			return a.hash == b.hash && a.key == b.key && a.ns == b.ns
		})
		blocks := rapid.IntRange(1, 2).Draw(r, "blocks")
		n, err := walkEntries(t, NewKeyedRows(keygroup.All()), kind, blocks, entries)
		if err != nil || n != len(entries) {
			r.Fatalf("%d of %d rows, %v", n, len(entries), err)
		}
	})
}

// TestKeyedRowsOfOthers refuses blocks that have no keyed rows.
func TestKeyedRowsOfOthers(t *testing.T) {
	b := NewBuilder(KindFloor)
	fill(b, 3, 0)
	rows := NewKeyedRows(keygroup.All())
	rows.Start(decoded(t, b))
	if rows.Next() || !errors.Is(rows.Err(), ErrInvalid) {
		t.Errorf("keyed rows of floors: %v", rows.Err())
	}
	for _, err := range NewRows[Item](keygroup.All()).Of(decoded(t, b)) {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("items of floors: %v", err)
		}
	}
}

// rowsBreak tells whether the rows are refused, in one block and in a block
// for each.
func rowsBreak[R any, P rowOf[R]](t *testing.T, name string, kind Kind, interval keygroup.Interval, rows ...R) {
	t.Helper()
	for _, blocks := range []int{1, len(rows)} {
		walk := NewRows[R, P](interval)
		b := NewBuilder(kind)
		var err error
		for i := range rows {
			AppendRow[R, P](b, &rows[i])
			if blocks == 1 && i < len(rows)-1 {
				continue
			}
			for _, e := range walk.Of(decoded(t, b)) {
				if e != nil {
					err = e
				}
			}
			b.Reset()
		}
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s in %d blocks: %v", name, blocks, err)
		}
	}
}

// TestRowRules breaks the rules of each type of row.
func TestRowRules(t *testing.T) {
	all, half := keygroup.All(), keygroup.Interval{Lo: 0, Hi: 1 << 31}
	rowsBreak(t, "pairs of one key", KindBroadcast, all, Pair{Key: []byte("a")}, Pair{Key: []byte("a"), Value: []byte("b")})
	rowsBreak(t, "pairs out of order", KindBroadcast, all, Pair{Key: []byte("b")}, Pair{Key: []byte("a")})
	floor := func(lo, hi uint64) Floor { return Floor{Interval: keygroup.Interval{Lo: lo, Hi: hi}} }
	rowsBreak(t, "floors that overlap", KindFloor, all, floor(0, 5), floor(4, 9))
	rowsBreak(t, "empty floor", KindFloor, all, floor(5, 5))
	rowsBreak(t, "floor outside", KindFloor, half, floor(5, 1<<31+1))
	rowsBreak(t, "floor beyond the space", KindFloor, all, floor(5, 1<<32+1))
	subtask := func(n uint32, s Status) SubtaskWatermark { return SubtaskWatermark{Subtask: n, Status: s} }
	rowsBreak(t, "subtask twice", KindSubtaskWatermark, all, subtask(1, StatusActive), subtask(1, StatusIdle))
	rowsBreak(t, "status 0", KindSubtaskWatermark, all, subtask(1, 0))
	rowsBreak(t, "status 3", KindSubtaskWatermark, all, subtask(1, 3))
	channel := func(sender uint32, receiver int, generation uint64) ChannelWatermark {
		return ChannelWatermark{Sender: sender, Receiver: receiver, Generation: generation, Status: StatusActive}
	}
	rowsBreak(t, "exception before the value of all", KindChannelWatermark, all, channel(1, 0, 0), channel(1, AllReceivers, 0))
	rowsBreak(t, "generation twice", KindChannelWatermark, all, channel(1, 0, 2), channel(1, 0, 2))
	rowsBreak(t, "channel status 0", KindChannelWatermark, all, ChannelWatermark{})
	split := func(id string) SplitWatermark { return SplitWatermark{Split: []byte(id), Status: StatusActive} }
	rowsBreak(t, "split twice", KindSplitWatermark, all, split("a"), split("a"))
	buffer := func(receiver, sender uint32, generation, sequence uint64, change func(*Buffer)) Buffer {
		b := NewBuffer(receiver, sender, generation, sequence, 2, []byte("payload"))
		if change != nil {
			change(&b)
		}
		return b
	}
	for _, kind := range []Kind{KindInputChannel, KindOutputChannel} {
		rowsBreak(t, "sequence twice", kind, all, buffer(1, 1, 1, 1, nil), buffer(1, 1, 1, 1, nil))
		rowsBreak(t, "sequence falls", kind, all, buffer(1, 1, 1, 5, nil), buffer(1, 1, 1, 4, nil))
		rowsBreak(t, "generation falls", kind, all, buffer(1, 1, 1, 5, nil), buffer(1, 1, 0, 6, nil))
		rowsBreak(t, "sender falls", kind, all, buffer(1, 2, 1, 5, nil), buffer(1, 1, 2, 6, nil))
		rowsBreak(t, "checksum of the payload", kind, all, buffer(1, 1, 1, 5, func(b *Buffer) { b.CRC++ }))
		rowsBreak(t, "first record behind the end", kind, all, buffer(1, 1, 1, 5, func(b *Buffer) { b.Start = 7 }))
		rowsBreak(t, "wrong continuation", kind, all, buffer(1, 1, 1, 5, func(b *Buffer) { b.Continuation = 1 }))
		rowsBreak(t, "no record, wrong continuation", kind, all, buffer(1, 1, 1, 5, func(b *Buffer) { b.Start = None }))
	}
}

// TestFirst checks what builders say of the first row of each block.
func TestFirst(t *testing.T) {
	firsts := func(b *Builder, fill func(i int)) (got []uint64) {
		for i := range 6 {
			fill(i)
			if i%2 == 1 {
				_, ref, err := b.AppendBlock(nil)
				must(t, err)
				got = append(got, ref.First)
				b.Reset()
			}
		}
		return got
	}
	list := NewBuilder(KindSplitList)
	item := func(int) { AppendRow(list, &Item{}) }
	buffers := NewBuilder(KindInputChannel)
	floors := NewBuilder(KindFloor)
	keyed := NewKeyedBuilder()
	for name, test := range map[string]struct{ got, want []uint64 }{
		"items": {firsts(list, item), []uint64{0, 2, 4}},
		"buffers": {firsts(buffers, func(i int) {
			b := NewBuffer(0, 0, 0, uint64(10+i), None, nil)
			AppendRow(buffers, &b)
		}), []uint64{10, 12, 14}},
		"floors": {firsts(floors, func(i int) {
			AppendRow(floors, &Floor{Interval: keygroup.Interval{Lo: uint64(i * 100), Hi: uint64(i*100 + 1)}})
		}), []uint64{0, 200, 400}},
		"keyed": {firsts(&keyed.Builder, func(i int) { keyed.Append(keygroup.Hash(i*7), nil, nil, nil) }), []uint64{0, 14, 28}},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s: %v, expected %v", name, test.got, test.want)
		}
	}
	list.Restart()
	if got := firsts(list, item); !slices.Equal(got, []uint64{0, 2, 4}) {
		t.Errorf("after Restart: %v", got)
	}
}

func TestFrames(t *testing.T) {
	frames := []Frame{
		{Payload: []byte{}},
		{Payload: []byte("value")},
		{HasHash: true, Hash: 0xdeadbeef, Payload: []byte("value")},
		{HasHash: true, Hash: 1, HasTime: true, Time: -5, Payload: []byte("value")},
		{HasHash: true, NoKey: true, Payload: []byte{}},
		{Element: ElementWatermark, HasTime: true, Time: 1 << 60, Payload: []byte{}},
		{Element: ElementStatus, Payload: []byte{byte(StatusIdle)}},
	}
	var all []byte
	for i := range frames {
		var err error
		before := len(all)
		all, err = AppendFrame(all, &frames[i])
		must(t, err)
		for n := before; n < len(all); n++ {
			if _, _, err := DecodeFrame(all[before:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("frame %d cut to %d bytes: %v", i, n-before, err)
			}
		}
	}
	rest := all
	for i := range frames {
		f, n, err := DecodeFrame(rest)
		must(t, err)
		if fmt.Sprint(f) != fmt.Sprint(frames[i]) {
			t.Errorf("frame %d is %+v, expected %+v", i, f, frames[i])
		}
		rest = rest[n:]
	}
	if want := "0a 00 00 00 10 ef be ad de 76 61 6c 75 65"; fmt.Sprintf("% x", all[5+10:29]) != want {
		t.Errorf("frame with a hash: % x, expected %s", all[15:29], want)
	}
	for name, f := range map[string]Frame{
		"element 3": {Element: 3}, "no key and no hash": {NoKey: true}, "watermark without a time": {Element: ElementWatermark},
		"watermark with a payload": {Element: ElementWatermark, HasTime: true, Payload: []byte{1}},
		"status 9":                 {Element: ElementStatus, Payload: []byte{9}}, "status of two bytes": {Element: ElementStatus, Payload: []byte{1, 1}},
		"status with a time": {Element: ElementStatus, HasTime: true, Payload: []byte{1}},
	} {
		if _, err := AppendFrame(nil, &f); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"no body": {0, 0, 0, 0}, "unknown bit of the tag": {1, 0, 0, 0, 0x80}, "hash that does not fit": {4, 0, 0, 0, 0x10, 1, 2, 3},
		"element 15": {1, 0, 0, 0, 0x0f}, "watermark without a time": {1, 0, 0, 0, 1},
	} {
		if _, _, err := DecodeFrame(data); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, n, err := DecodeFrame([]byte{0xff, 0xff, 0xff, 0xff}); !errors.Is(err, ErrTruncated) || n != 1<<32+3 {
		t.Errorf("frame of 4 GiB: %d, %v", n, err)
	}
}
