package exchange

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// frames of all kinds, for seeds and for splitting.
func sampleFrames() (stream []byte, count int) {
	add := func(b []byte, start int) {
		EndFrame(b, start)
		stream = b
		count++
	}
	for i, n := range []int{0, 1, 3, 24, 300, 5, 70} {
		add(appendPayload(AppendKeyed(stream, uint32(i), int64(-i)), uint64(i), n), len(stream))
		add(appendPayload(AppendRecord(stream, int64(i)<<40), uint64(i), n), len(stream))
		add(appendPayload(AppendFrame(stream, TagRecord|FlagNoKey|FlagHash, 9, 0), uint64(i), n), len(stream))
		add(appendPayload(AppendFrame(stream, TagRecord, 0, 0), uint64(i), n), len(stream))
		stream = AppendStatus(AppendWatermark(stream, int64(i)), StatusIdle)
		count += 2
	}
	return stream, count
}

// read takes all frames of a stream that is fed in pieces, each into memory
// of its own, since a payload is valid for a moment only.
func read(c *Cursor, pieces [][]byte) (out []Frame) {
	for _, p := range pieces {
		c.Feed(p)
		for f, ok := c.Next(); ok; f, ok = c.Next() {
			f.Payload = bytes.Clone(f.Payload)
			out = append(out, f)
		}
	}
	return out
}

func sameFrames(a, b []Frame) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Tag != y.Tag || x.Hash != y.Hash || x.Timestamp != y.Timestamp || !bytes.Equal(x.Payload, y.Payload) {
			return false
		}
	}
	return true
}

// TestFramesSurviveAnySplit cuts a stream at each pair of places, and into
// single bytes.
func TestFramesSurviveAnySplit(t *testing.T) {
	stream, count := sampleFrames()
	want := read(NewCursor(0), [][]byte{stream})
	if len(want) != count {
		t.Fatalf("%d of %d frames in one piece", len(want), count)
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i <= len(stream); i += step {
		for j := i; j <= len(stream); j += 1 + len(stream)/20 {
			c := NewCursor(0)
			if got := read(c, [][]byte{stream[:i], stream[i:j], stream[j:]}); !sameFrames(got, want) || c.Err() != nil {
				t.Fatalf("cut at %d and %d: %d frames, error %v", i, j, len(got), c.Err())
			}
		}
	}
	var single [][]byte
	for i := range stream {
		single = append(single, stream[i:i+1])
	}
	if got := read(NewCursor(0), single); !sameFrames(got, want) {
		t.Fatal("single bytes give other frames")
	}
}

// TestStoppingInABuffer: the receiver may stop after any frame; what is left
// can be looked at, and goes on later, even if another buffer came first.
func TestStoppingInABuffer(t *testing.T) {
	stream, count := sampleFrames()
	want := read(NewCursor(0), [][]byte{stream})
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		c := NewCursor(0)
		var got []Frame
		at := 0
		for len(got) < count {
			f, ok := c.Next()
			if ok {
				f.Payload = bytes.Clone(f.Payload)
				got = append(got, f)
			}
			if seen := at - len(c.Rest()) - len(c.Partial()); !bytes.Equal(append(bytes.Clone(c.Partial()), c.Rest()...), stream[seen:at]) {
				t.Fatalf("after %d frames, partial and rest are not the unread bytes", len(got))
			}
			if !ok || rng.IntN(10) == 0 {
				n := min(rng.IntN(100), len(stream)-at)
				c.Feed(stream[at : at+n])
				at += n
			}
			if c.Err() != nil {
				t.Fatal(c.Err())
			}
		}
		if !sameFrames(got, want) {
			t.Fatal("stopping changes the frames")
		}
	}
}

func TestFrameErrors(t *testing.T) {
	good := appendPayload(AppendKeyed(nil, 1, 2), 3, 10)
	EndFrame(good, 0)
	for _, c := range []struct {
		name   string
		bytes  []byte
		want   error
		offset int64
	}{
		{"no body", []byte{0, 0, 0, 0, 9, 9}, ErrFrame, 27},
		{"unknown kind", []byte{1, 0, 0, 0, 0x0f}, ErrFrame, 27},
		{"unknown flag", []byte{1, 0, 0, 0, 0x80}, ErrFrame, 27},
		{"a record too short for its hash", []byte{4, 0, 0, 0, FlagHash, 1, 2, 3}, ErrFrame, 27},
		{"a record too short for its timestamp", []byte{8, 0, 0, 0, FlagTimestamp, 1, 2, 3, 4, 5, 6, 7}, ErrFrame, 27},
		{"a keyed record without its last byte", []byte{12, 0, 0, 0, tagKeyed, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, ErrFrame, 27},
		{"a long watermark", []byte{10, 0, 0, 0, TagWatermark | FlagTimestamp, 1, 2, 3, 4, 5, 6, 7, 8, 9}, ErrFrame, 27},
		{"a watermark with flags", []byte{9, 0, 0, 0, TagWatermark | FlagTimestamp | FlagHash, 1, 2, 3, 4, 5, 6, 7, 8}, ErrFrame, 27},
		{"an unknown status", []byte{2, 0, 0, 0, TagStatus, 3}, ErrFrame, 27},
		{"a status of two bytes", []byte{3, 0, 0, 0, TagStatus, 1, 1}, ErrFrame, 27},
		{"over the limit", []byte{0xe9, 3, 0, 0, tagKeyed}, ErrFrameLimit, 27},
		{"largest length", []byte{0xff, 0xff, 0xff, 0xff, tagKeyed}, ErrFrameLimit, 27},
	} {
		for cut := range len(c.bytes) + 1 {
			cur := NewCursor(1000)
			got := read(cur, [][]byte{good, c.bytes[:cut], c.bytes[cut:], good})
			var fe *FrameError
			if len(got) != 1 || !errors.Is(cur.Err(), c.want) || !errors.As(cur.Err(), &fe) || fe.Offset != c.offset {
				t.Fatalf("%s, cut at %d: %d frames, error %v", c.name, cut, len(got), cur.Err())
			}
			if fe.Error() == "" {
				t.Fatal("no text")
			}
		}
	}
}

// FuzzCursor reads arbitrary bytes in arbitrary pieces: no panic, no memory
// beyond the bytes that came, the same frames and the same error however the
// bytes are cut, and writing the frames again gives the bytes back.
func FuzzCursor(f *testing.F) {
	stream, _ := sampleFrames()
	f.Add(stream[:300], uint16(7))
	f.Add(stream[:97], uint16(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0x0f, tagKeyed, 1, 2, 3}, uint16(2))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(5))
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		const limit = 1 << 20
		whole, cut := NewCursor(limit), NewCursor(limit)
		want := read(whole, [][]byte{data})
		size := int(piece)%300 + 1
		var pieces [][]byte
		for at := 0; at < len(data); at += size {
			pieces = append(pieces, data[at:min(at+size, len(data))])
		}
		got := read(cut, pieces)
		if !sameFrames(got, want) {
			t.Fatalf("%d frames in one piece, %d in pieces of %d", len(want), len(got), size)
		}
		if (whole.Err() == nil) != (cut.Err() == nil) || whole.Err() != nil && whole.Err().Error() != cut.Err().Error() {
			t.Fatalf("errors %v and %v", whole.Err(), cut.Err())
		}
		if cap(cut.partial) > 4*len(data)+64 {
			t.Fatalf("%d bytes held for %d that came", cap(cut.partial), len(data))
		}
		var again []byte
		for _, fr := range want {
			again = appendAgain(again, fr)
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatal("the frames do not stand for their bytes")
		}
	})
}

func appendAgain(dst []byte, f Frame) []byte {
	switch f.Kind() {
	case TagWatermark:
		return AppendWatermark(dst, f.Timestamp)
	case TagStatus:
		return AppendStatus(dst, f.Payload[0])
	}
	start := len(dst)
	dst = append(AppendFrame(dst, f.Tag, f.Hash, f.Timestamp), f.Payload...)
	EndFrame(dst, start)
	return dst
}

// TestFrameBytes pins the bytes down: they also stand in checkpoints.
func TestFrameBytes(t *testing.T) {
	keyed := append(AppendKeyed(nil, 0x01020304, 0x05), 0xaa, 0xbb)
	EndFrame(keyed, 0)
	plain := append(AppendRecord([]byte{7}, -1), 0xaa)
	EndFrame(plain, 1)
	bare := AppendFrame(nil, TagRecord|FlagNoKey, 1, 1)
	EndFrame(bare, 0)
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"keyed record", keyed, []byte{15, 0, 0, 0, 0x30, 4, 3, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xbb}},
		{"record", plain, []byte{7, 10, 0, 0, 0, 0x20, 255, 255, 255, 255, 255, 255, 255, 255, 0xaa}},
		{"record without anything", bare, []byte{1, 0, 0, 0, 0x40}},
		{"watermark", AppendWatermark(nil, 258), []byte{9, 0, 0, 0, 0x21, 2, 1, 0, 0, 0, 0, 0, 0}},
		{"status", AppendStatus(nil, StatusIdle), []byte{2, 0, 0, 0, 2, 2}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", c.name, c.got, c.want)
		}
	}
	if n := binary.LittleEndian.Uint32(keyed); int(n) != len(keyed)-lengthSize {
		t.Errorf("body length %d of %d bytes", n, len(keyed))
	}
}
