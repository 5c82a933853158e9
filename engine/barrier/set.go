package barrier

import (
	"fmt"
	"math/bits"
	"strings"
)

// set is an immutable set of channel numbers: bit i of the string stands for
// channel i, and the last byte is never zero. Being a string it can be
// compared and copied as a value, which makes the whole State comparable; a
// change copies n/8 bytes, once per barrier and channel.
type set string

func (s set) has(i int) bool {
	return i>>3 < len(s) && s[i>>3]&(1<<(i&7)) != 0
}

func (s set) with(i int) set {
	if s.has(i) {
		return s
	}
	b := make([]byte, max(len(s), i>>3+1))
	copy(b, s)
	b[i>>3] |= 1 << (i & 7)
	return set(b)
}

func (s set) without(i int) set {
	if !s.has(i) {
		return s
	}
	b := []byte(s)
	b[i>>3] &^= 1 << (i & 7)
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return set(b)
}

func (s set) len() int {
	n := 0
	for i := range len(s) {
		n += bits.OnesCount8(s[i])
	}
	return n
}

// byteAt is the i-th byte, zero behind the end.
func (s set) byteAt(i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// String lists the members: {0,2}.
func (s set) String() string {
	var sb strings.Builder
	sb.WriteByte('{')
	for i := range len(s) * 8 {
		if !s.has(i) {
			continue
		}
		if sb.Len() > 1 {
			sb.WriteByte(',')
		}
		fmt.Fprint(&sb, i)
	}
	sb.WriteByte('}')
	return sb.String()
}

// rememberedIDs bounds how many orders to abort are kept for barriers that
// have not come yet. One that is forgotten costs a snapshot that nobody
// wants, nothing else.
const rememberedIDs = 16

// idSet holds up to rememberedIDs ids in ascending order, 0 being free.
type idSet [rememberedIDs]uint64

func (s idSet) has(id uint64) bool {
	for _, x := range s {
		if x == id {
			return id != 0
		}
	}
	return false
}

// add returns the set with id; a full set loses its smallest id, which may be
// this one.
func (s idSet) add(id uint64) idSet {
	if id == 0 || s.has(id) {
		return s
	}
	n := s.len()
	if n == len(s) {
		if id < s[0] {
			return s
		}
		copy(s[:], s[1:])
		n--
	}
	i := n
	for ; i > 0 && s[i-1] > id; i-- {
		s[i] = s[i-1]
	}
	s[i] = id
	return s
}

// above returns the ids larger than id.
func (s idSet) above(id uint64) idSet {
	var r idSet
	n := 0
	for _, x := range s {
		if x > id {
			r[n] = x
			n++
		}
	}
	return r
}

func (s idSet) len() int {
	n := 0
	for n < len(s) && s[n] != 0 {
		n++
	}
	return n
}
