package format

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// target is bytes with a reader that must refuse every change of them.
type target struct {
	name   string
	data   []byte
	blocks []BlockRef // extents that are exchanged
	read   func(data []byte) error
}

// targets are a block of every kind with every codec, a data object and a
// manifest, each of at most 8 KiB.
func targets(t testing.TB) []target {
	t.Helper()
	var all []target
	for _, s := range samples(t, 0) {
		all = append(all, target{name: s.name, data: s.data, read: func(data []byte) error {
			var b Block
			if err := b.Decode("object", data, s.kind, s.ref, nil); err != nil {
				return err
			}
			_, err := walk(&b, s.kind)
			return err
		}})
	}
	f := sampleObject(t, 0, 12)
	all = append(all, target{"object", f.data, f.blocks, func(data []byte) error { _, err := readAll(data, &f); return err }})
	m := encodeManifest(t, sampleManifest(1))
	all = append(all, target{"manifest", m, nil, func(data []byte) error { _, err := readManifest(data, "chk-7"); return err }})
	for _, x := range all {
		if len(x.data) > 8<<10 {
			t.Fatalf("%s has %d bytes", x.name, len(x.data))
		}
		must(t, x.read(x.data))
	}
	return all
}

// damage is the tally of one kind of damage.
type damage struct{ tried, detected, classed int }

// try applies one change and requires a typed error of a class.
func (d *damage) try(t *testing.T, x *target, data []byte, what string) {
	d.tried++
	err := x.read(data)
	if err == nil {
		t.Errorf("%s: %s is not detected", x.name, what)
		return
	}
	d.detected++
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooNew) && !errors.Is(err, ErrLimit) {
		t.Errorf("%s: %s gives %v, which has no class", x.name, what, err)
		return
	}
	d.classed++
}

func (d *damage) result(t *testing.T, name string) {
	fmt.Printf("RESULT %s tried=%d detected=%d typed=%d\n", name, d.tried, d.detected, d.classed)
	if d.tried == 0 || d.tried != d.detected || d.tried != d.classed {
		t.Errorf("%s: %+v", name, *d)
	}
}

// TestEveryBit is T3 (a): no flipped bit of any file goes unnoticed.
func TestEveryBit(t *testing.T) {
	var d damage
	bytesOf := 0
	for _, x := range targets(t) {
		bytesOf += len(x.data)
		data := bytes.Clone(x.data)
		for i := range data {
			for bit := range 8 {
				data[i] ^= 1 << bit
				before := d.classed
				if d.try(t, &x, data, "a flipped bit"); d.classed == before {
					t.Errorf("it is bit %d of byte %d", bit, i)
				}
				data[i] ^= 1 << bit
			}
		}
	}
	d.result(t, "T3a-every-bit")
	t.Logf("%d bytes", bytesOf)
}

// TestBursts is T3 (b) and (c): several random bits, and bursts of up to 32.
func TestBursts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var random, bursts damage
	for _, x := range targets(t) {
		data := bytes.Clone(x.data)
		bits := len(data) * 8
		for range 2000 {
			for range 2 + rng.IntN(7) {
				bit := rng.IntN(bits)
				data[bit/8] ^= 1 << (bit % 8)
			}
			if !bytes.Equal(data, x.data) {
				random.try(t, &x, data, "a pattern of random bits")
			}
			copy(data, x.data)
		}
		for at := range bits - 32 {
			pattern := rng.Uint32() | 1
			for bit := range 32 {
				data[(at+bit)/8] ^= byte(pattern>>bit&1) << ((at + bit) % 8)
			}
			bursts.try(t, &x, data, fmt.Sprintf("a burst %08x at bit %d", pattern, at))
			copy(data[at/8:], x.data[at/8:min(at/8+6, len(data))])
		}
	}
	random.result(t, "T3b-random-bits")
	bursts.result(t, "T3c-bursts")
}

// TestLostWrites is T3 (d) to (g): zeroed sectors, exchanged blocks, and blocks
// or whole files of another checkpoint at the same place.
func TestLostWrites(t *testing.T) {
	var sectors, swaps, stale damage
	for _, x := range targets(t) {
		for _, sector := range []int{64, 512, 4096} {
			for at := 0; at < len(x.data); at += sector {
				data := bytes.Clone(x.data)
				clear(data[at:min(at+sector, len(data))])
				if !bytes.Equal(data, x.data) {
					sectors.try(t, &x, data, fmt.Sprintf("a zeroed sector of %d at %d", sector, at))
				}
			}
		}
	}
	sectors.result(t, "T3d-zeroed-sectors")

	f, other := sampleObject(t, 0, 12), sampleObject(t, 1, 12)
	x := target{"object", f.data, f.blocks, func(data []byte) error { _, err := readAll(data, &f); return err }}
	for i, a := range f.blocks {
		for _, b := range f.blocks[:i] {
			if a.Length != b.Length {
				continue
			}
			data := bytes.Clone(f.data)
			copy(data[a.Offset:a.End()], f.data[b.Offset:b.End()])
			copy(data[b.Offset:b.End()], f.data[a.Offset:a.End()])
			if !bytes.Equal(data, f.data) {
				swaps.try(t, &x, data, fmt.Sprintf("exchanging the blocks at %d and %d", a.Offset, b.Offset))
			}
		}
		if b := other.blocks[i]; b.Offset == a.Offset && b.Length == a.Length {
			data := bytes.Clone(f.data)
			copy(data[a.Offset:a.End()], other.data[b.Offset:b.End()])
			if !bytes.Equal(data, f.data) {
				stale.try(t, &x, data, fmt.Sprintf("the block at %d of another checkpoint", a.Offset))
			}
		}
	}
	// Blocks of one length are rare in the object, so make them.
	for _, kind := range allKinds() {
		a, b := makeSample(t, kind, CodecNone, sampleRows, 0), makeSample(t, kind, CodecNone, sampleRows, 1)
		if bytes.Equal(a.data, b.data) || len(a.data) != len(b.data) {
			continue
		}
		y := target{name: a.name, read: func(data []byte) error {
			var block Block
			return block.Decode("object", data, kind, a.ref, nil)
		}}
		swaps.try(t, &y, b.data, "an intact block of another place")
	}
	stale.try(t, &x, other.data, "an older generation of the object")
	swaps.result(t, "T3e-exchanged-blocks")
	stale.result(t, "T3fg-stale")
}

// TestObjectChecksum shows why stored checksums are rotated: the checksum of a
// whole object changes when one of its blocks is replaced by another intact one.
func TestObjectChecksum(t *testing.T) {
	a, b := makeSample(t, KindFloor, CodecNone, sampleRows, 0), makeSample(t, KindTimer, CodecNone, sampleRows, 1)
	prefix := []byte("some bytes before it")
	sum := func(block []byte) uint32 { return UpdateChecksum(Checksum(prefix), block) }
	other := makeSample(t, KindTimer, CodecNone, sampleRows, 2)
	if len(b.data) != len(other.data) {
		t.Fatal("the samples differ in length")
	}
	if sum(b.data) == sum(other.data) {
		t.Error("two objects whose blocks differ have the same checksum")
	}
	plain := func(s sample) []byte {
		body := s.data[:len(s.data)-crcSize]
		crc := Checksum(body)
		return append(bytes.Clone(body), byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24))
	}
	if sum(plain(b)) != sum(plain(other)) {
		t.Error("plain checksums do not cancel out; the comment at crcRotation is wrong")
	}
	_ = a
}

// TestTruncation is T4: every cut is refused as a truncation, every extension
// and every zeroed tail is refused.
func TestTruncation(t *testing.T) {
	var cuts, longer, tails damage
	for _, x := range targets(t) {
		whole := x.data
		for n := range whole {
			cuts.tried++
			err := x.read(whole[:n:n])
			if errors.Is(err, ErrTruncated) {
				cuts.detected++
				cuts.classed++
				continue
			}
			t.Errorf("%s: cut at %d of %d: %v, expected ErrTruncated", x.name, n, len(whole), err)
		}
		for n := 1; n <= 4096; n += 1 + n/7 {
			for _, fill := range []byte{0, 0xff} {
				longer.try(t, &x, append(bytes.Clone(whole), bytes.Repeat([]byte{fill}, n)...), fmt.Sprintf("%d bytes %02x more", n, fill))
			}
			again := append(bytes.Clone(whole), whole[max(0, len(whole)-n):]...)
			longer.try(t, &x, again, fmt.Sprintf("the last %d bytes twice", n))
		}
		for at := 0; at < len(whole); at += 512 {
			data := bytes.Clone(whole)
			clear(data[at:])
			tails.try(t, &x, data, fmt.Sprintf("zeros from %d on", at))
		}
	}
	cuts.result(t, "T4-cuts")
	longer.result(t, "T4-extensions")
	tails.result(t, "T4-zeroed-tails")
}

// TestFindBitFlip names every single flipped bit of every sample.
func TestFindBitFlip(t *testing.T) {
	named, tried := 0, 0
	for _, s := range samples(t, 0) {
		data := bytes.Clone(s.data)
		for i := range data {
			bit := i % 8
			data[i] ^= 1 << bit
			tried++
			if at, b, ok := FindBitFlip(data, s.ref.CRC); ok && at == i && b == bit {
				named++
			}
			data[i] ^= 1 << bit
		}
		if _, _, ok := FindBitFlip(data, s.ref.CRC); ok {
			t.Errorf("%s: found a flipped bit in an intact block", s.name)
		}
		data[3] ^= 5
		if at, bit, ok := FindBitFlip(data, s.ref.CRC); ok {
			t.Errorf("%s: two flipped bits explained by bit %d of byte %d", s.name, bit, at)
		}
	}
	fmt.Printf("RESULT T3-bit-named tried=%d named=%d\n", tried, named)
	if named != tried {
		t.Errorf("named %d of %d", named, tried)
	}
	large := make([]byte, 64<<10)
	large, crc := appendChecksum(large, 0)
	large[100] ^= 0x40
	if at, bit, ok := FindBitFlip(large, crc); !ok || at != 100 || bit != 6 {
		t.Errorf("in a block of 64 KiB: byte %d, bit %d, %v", at, bit, ok)
	}
	if _, _, ok := FindBitFlip(make([]byte, 1<<20), 1); ok {
		t.Error("searched a block of 1 MiB")
	}
}
