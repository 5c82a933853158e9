package writer

import (
	"bytes"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// kept is a copy of a byte string. Short ones, which most are, lie in the slice
// itself: keeping one for each entry must cost next to nothing.
type kept struct {
	short [48]byte
	n     int
	long  []byte // used if n is negative
}

// set copies b.
func (k *kept) set(b []byte) {
	if len(b) <= len(k.short) {
		k.n = copy(k.short[:], b)
		return
	}
	k.n, k.long = -1, append(k.long[:0], b...)
}

// bytes is the copy.
func (k *kept) bytes() []byte {
	if k.n < 0 {
		return k.long
	}
	return k.short[:k.n]
}

// Keyed writes an entry of keyed state. Entries ascend by (hash, key,
// namespace) without repetition and lie in the slice's interval.
func (s *Slice) Keyed(h keygroup.Hash, key, namespace, value []byte) error {
	if err := s.ready(format.KindKeyed, len(key)+len(namespace)+len(value)); err != nil {
		return err
	}
	if err := s.inOrder(h, key, namespace, 0); err != nil {
		return err
	}
	s.enc.keyed.Append(h, key, namespace, value)
	s.enc.values += len(value)
	return nil
}

// KeyedBatch writes entries of keyed state without namespaces whose keys, and
// whose values, have one width: the same as [Slice.Keyed] for each of them, at a
// fraction of the cost. Keys and values lie one behind the other in the order of
// the hashes; their widths follow from the number of hashes.
func (s *Slice) KeyedBatch(hashes []keygroup.Hash, keys, values []byte) error {
	n := len(hashes)
	if n == 0 {
		return s.err
	}
	kw, vw := len(keys)/n, len(values)/n
	if kw*n != len(keys) || vw*n != len(values) {
		return s.failed("%d bytes of keys and %d of values for %d entries: %w", len(keys), len(values), n, format.ErrInvalid)
	}
	// The first entry is compared with what came before the batch, and tells
	// whether the slice takes such entries at all.
	if err := s.Keyed(hashes[0], keys[:kw], nil, values[:vw]); err != nil {
		return err
	}
	if err := s.ascend(hashes, keys, kw); err != nil {
		return err
	}
	s.lastHash = hashes[n-1]
	s.lastKey.set(keys[(n-1)*kw:])
	for at := 1; at < n; {
		done := s.enc.keyed.AppendFixed(hashes[at:], keys[at*kw:], values[at*vw:], s.w.opts.BlockSize)
		s.enc.values += done * vw
		if at += done; at == n {
			break
		}
		if err := s.emit(); err != nil {
			return err
		}
	}
	return nil
}

// ascend requires that entries of one width are in order among themselves and
// end inside the interval.
func (s *Slice) ascend(hashes []keygroup.Hash, keys []byte, width int) error {
	for i := 1; i < len(hashes); i++ {
		if hashes[i] > hashes[i-1] {
			continue
		}
		if at := i * width; hashes[i] < hashes[i-1] || bytes.Compare(keys[at:at+width], keys[at-width:at]) <= 0 {
			return s.disorder(hashes[i], keys[at:at+width], nil)
		}
	}
	if last := hashes[len(hashes)-1]; !s.spec.Interval.Contains(last) {
		return s.outside(last)
	}
	return nil
}

// inOrder refuses an entry that is not behind the one before, so that a fault in
// a state backend is found when the checkpoint is written, not when it is needed.
func (s *Slice) inOrder(h keygroup.Hash, key, namespace []byte, time int64) error {
	if !s.spec.Interval.Contains(h) {
		return s.outside(h)
	}
	if s.started && h <= s.lastHash && !s.follows(h, key, namespace, time) {
		return s.disorder(h, key, namespace)
	}
	s.started, s.lastHash, s.lastTime = true, h, time
	s.lastKey.set(key)
	s.lastN.set(namespace)
	return nil
}

// follows compares with the last entry whose hash is not below h.
func (s *Slice) follows(h keygroup.Hash, key, namespace []byte, time int64) bool {
	if h < s.lastHash {
		return false
	}
	order := bytes.Compare(key, s.lastKey.bytes())
	if order == 0 {
		order = bytes.Compare(namespace, s.lastN.bytes())
	}
	return order > 0 || order == 0 && s.spec.Kind == format.KindTimer && time > s.lastTime
}

// outside refuses a hash that is not the slice's.
func (s *Slice) outside(h keygroup.Hash) error {
	return s.failed("hash %08x is outside the interval %v: %w", uint32(h), s.spec.Interval, format.ErrInvalid)
}

// disorder refuses an entry that is not behind the one before.
func (s *Slice) disorder(h keygroup.Hash, key, namespace []byte) error {
	return s.failed("entry with hash %08x, key %x, namespace %x is not behind the one before it: %w",
		uint32(h), key, namespace, format.ErrInvalid)
}
