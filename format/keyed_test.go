package format

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/keygroup"
)

// TestAppendFixed: entries in columns become the very bytes that they become
// one by one, wherever the limit ends the block, also among entries of other
// widths.
func TestAppendFixed(t *testing.T) {
	batches, stopped := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		one, many := NewKeyedBuilder(), NewKeyedBuilder()
		var hash keygroup.Hash
		draw := rapid.IntRange(0, 5)
		limit := rapid.IntRange(0, 400).Draw(rt, "limit")
		emit := func() {
			x, a, err1 := one.AppendBlock(nil)
			y, b, err2 := many.AppendBlock(nil)
			if err1 != nil || err2 != nil || !bytes.Equal(x, y) || a != b {
				rt.Fatalf("%x %+v %v one by one, %x %+v %v as columns", x, a, err1, y, b, err2)
			}
			one.Reset()
			many.Reset()
		}
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			n, kw, vw := rapid.IntRange(1, 40).Draw(rt, "n"), draw.Draw(rt, "key"), draw.Draw(rt, "value")
			hashes, keys, values := make([]keygroup.Hash, n), make([]byte, n*kw), make([]byte, n*vw)
			for i := range hashes {
				hash += keygroup.Hash(rapid.SampledFrom([]uint32{0, 1, 127, 128, 1 << 14, 1 << 22}).Draw(rt, "delta"))
				hashes[i] = hash
			}
			for i := range keys {
				keys[i] = byte(i)
			}
			for at := 0; at < n; {
				done := many.AppendFixed(hashes[at:], keys[at*kw:], values[at*vw:], limit)
				for i := at; i < at+done; i++ {
					if one.Rows() > 0 && one.Size()+kw+vw > limit {
						rt.Fatalf("row %d does not fit %d", i, limit)
					}
					one.Append(hashes[i], keys[i*kw:(i+1)*kw], nil, values[i*vw:(i+1)*vw])
				}
				if one.Size() != many.Size() || one.Rows() != many.Rows() {
					rt.Fatalf("%d rows of size %d, want %d of %d", many.Rows(), many.Size(), one.Rows(), one.Size())
				}
				if at += done; at < n {
					if one.Rows() == 0 || one.Size()+kw+vw <= limit {
						rt.Fatalf("stopped at size %d of %d", one.Size(), limit)
					}
					stopped++
					emit()
				}
			}
			batches++
		}
		emit()
	})
	b := NewKeyedBuilder()
	b.AppendFixed([]keygroup.Hash{5, 4}, []byte("ab"), nil, 100)
	if _, _, err := b.AppendBlock(nil); err == nil {
		t.Error("falling hashes are taken")
	}
	if batches == 0 || stopped == 0 {
		t.Errorf("%d batches, stopped %d times", batches, stopped)
	}
}

// TestReadAhead: a walk that reads rows ahead yields what a walk over strings of
// several widths does, and stops at the same row, wherever the order breaks.
func TestReadAhead(t *testing.T) {
	const rows = 700
	for _, interval := range []keygroup.Interval{keygroup.All(), {Lo: 0, Hi: 900}} {
		for _, broken := range []int{0, 1, 2, 255, 256, 257, 258, 513, 699} {
			var got [2]int
			var stop [2]string
			for varied := range 2 {
				b := NewKeyedBuilder()
				for i := range rows {
					key := []byte{byte(i >> 8), byte(i)}
					if i == broken {
						key = []byte{0, 0} // the hash of the row before, and no greater key
						i -= i & 1
					}
					value := []byte("v")
					if varied == 1 && i == rows-1 {
						value = nil
					}
					b.Append(keygroup.Hash(i/2*3), key, nil, value)
				}
				walk := NewKeyedRows(interval)
				for walk.Start(decoded(t, &b.Builder)); walk.Next(); got[varied]++ {
					if i := got[varied]; int(walk.Hash) != i/2*3 || i != broken && !bytes.Equal(walk.Key, []byte{byte(i >> 8), byte(i)}) {
						t.Fatalf("row %d has hash %d and key %x", i, walk.Hash, walk.Key)
					}
				}
				if walk.Err() != nil {
					stop[varied] = walk.Err().Error()
				}
			}
			if got[0] != got[1] || stop[0] != stop[1] || got[0] == 0 {
				t.Errorf("broken at %d, %v: %d rows, %q; read alone %d, %q", broken, interval, got[0], stop[0], got[1], stop[1])
			}
		}
	}
}
