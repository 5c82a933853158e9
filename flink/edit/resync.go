package edit

import (
	"encoding/binary"
	"math/bits"

	"github.com/tidemark-io/tidemark/flink"
)

// lengthSize is the size of the length in front of every element, in bytes.
const lengthSize = 4

// span is a part of a stream of bytes, without the byte at to.
type span struct{ from, to int }

// run is in-flight data of one channel without a gap.
type run struct {
	data []byte
	// first and last say that it begins, and that it ends, where an element does.
	first, last bool
}

// maxResync bounds the bytes of a run in which elements are looked for behind
// damage; tables of thirteen times the size are made for that.
const maxResync = 8 << 20

// What speaks for and against a way to cut a run into elements and gaps: an element
// outweighs no gap, so that two are needed between two gaps.
const (
	elementScore = 2
	gapScore     = -3
)

// elements are those elements of a run that can be told from what is damaged,
// ascending. Flink stores no checksum with them and no mark of where they begin, but
// their lengths: damage is seen where a length or a tag is none that an element can
// have. Of all ways to cut the run into elements and damaged gaps the one with the
// most elements and the fewest gaps is taken.
//
// doubtful counts elements that were left out because they may be damaged too, or
// because the damage may be their length; see doubt.
func (r run) elements() (kept []span, doubtful int) {
	c := chains{run: r}
	if kept = c.prefix(); len(r.data) > maxResync {
		return kept, 0
	}
	if n := len(kept); n > 0 && kept[n-1].to == len(r.data) {
		return kept, 0
	}
	c.best()
	first := c.cut()
	c.like = c.shape(first) // places that only look like elements are few
	c.best()
	return c.settle(c.cut())
}

// prefix is the elements up to the first damage.
func (c *chains) prefix() (kept []span) {
	for at := 0; c.first; {
		next, ok := c.next(at)
		if !ok {
			break
		}
		kept = append(kept, span{at, next})
		at = next
	}
	return kept
}

// chains follows lengths through a run.
type chains struct {
	run
	like shape
	// By place, from which an element begins: what the best way to cut the rest
	// scores if one does, never if none does; and the place, there or behind, at
	// which a gap had best end.
	score []int32
	on    []int32
	// skip says that behind the element that begins there a gap comes.
	skip []bool
}

// never is the score of what cannot be.
const never int32 = -1 << 30

// next is the end of the element at a place; ok is false if there is none.
func (c *chains) next(at int) (end int, ok bool) {
	if len(c.data)-at < lengthSize+1 {
		return 0, false
	}
	size := int32(binary.BigEndian.Uint32(c.data[at:]))
	if !flink.IsElement(size, c.data[at+lengthSize]) || int64(size) > int64(len(c.data)-at-lengthSize) {
		return 0, false
	}
	return at + lengthSize + int(size), true
}

// cutOff reports whether an element may have been cut off by the end of the run.
func (c *chains) cutOff(at int) bool {
	if c.last {
		return at == len(c.data)
	}
	return len(c.data)-at < lengthSize+1 || flink.IsElement(int32(binary.BigEndian.Uint32(c.data[at:])), c.data[at+lengthSize])
}

// rest is what the best way to cut what lies behind an element scores, and whether
// it begins with a gap.
func (c *chains) rest(at int) (score int32, gap bool) {
	score = never
	if at < len(c.data) {
		score = c.score[at]
	}
	if c.cutOff(at) {
		score = max(score, 0)
	}
	behind := int32(gapScore) // a gap up to the end
	if from := at + lengthSize + 1; from < len(c.data) {
		if q := c.on[from]; q >= 0 {
			behind = max(behind, gapScore+c.enter(int(q)))
		}
	}
	if behind >= score { // rather a gap than an element that reaches into the next one
		return behind, true
	}
	return score, false
}

// best fills the tables.
func (c *chains) best() {
	n := len(c.data)
	if c.score == nil {
		c.score, c.on, c.skip = make([]int32, n), make([]int32, n), make([]bool, n)
	}
	for at := n - 1; at >= 0; at-- {
		c.score[at], c.skip[at], c.on[at] = never, false, -1
		if at+1 < n {
			c.on[at] = c.on[at+1]
		}
		end, ok := c.next(at)
		if !ok {
			continue
		}
		rest, gap := c.rest(end)
		c.score[at], c.skip[at] = rest+elementScore, gap
		if e := c.enter(at); e > never && (c.on[at] < 0 || e > c.enter(int(c.on[at]))) {
			c.on[at] = int32(at)
		}
	}
}

// cut cuts the run in the best way.
func (c *chains) cut() (kept []span) {
	if len(c.data) == 0 {
		return nil
	}
	at, gap := 0, true
	if c.first {
		_, gap = c.rest(0)
	}
	from := 0 // a gap ends no earlier
	if c.first {
		from = lengthSize + 1
	}
	for {
		if gap {
			if from >= len(c.data) || c.on[from] < 0 || c.enter(int(c.on[from])) <= 0 {
				return kept
			}
			at = int(c.on[from])
		}
		end, ok := c.next(at)
		if !ok {
			return kept
		}
		kept = append(kept, span{at, end})
		at, gap, from = end, c.skip[at], end+lengthSize+1
	}
}

// shape is what elements of one channel have in common.
type shape struct {
	tags [2]bool // of records
	// nested are places behind the beginning of a record from which something looks
	// like an element that ends with it, as a row of SQL does: no element begins there.
	nested []int
}

// shape is that of some elements: the tag that two of three have, and places that a quarter has.
func (c *chains) shape(list []span) (like shape) {
	records, tags, places := 0, [2]int{}, map[int]int{}
	for _, s := range list {
		tag := c.data[s.from+lengthSize]
		if tag > flink.TagPlain {
			continue
		}
		records++
		tags[tag]++
		for d := lengthSize + 1; d < 64 && s.from+d < s.to; d++ {
			if end, ok := c.next(s.from + d); ok && end == s.to {
				places[d]++
			}
		}
	}
	for tag := range tags {
		like.tags[tag] = tags[tag]*3 >= records*2 && records > 0
	}
	for d, n := range places {
		if records > 2 && n*4 >= records {
			like.nested = append(like.nested, d)
		}
	}
	return like
}

// enter scores the rest of the run if a gap ends where an element begins. Records all
// have a timestamp or none has. What has nothing nested in it where others have is
// perhaps itself nested in a damaged record, and counts for nothing.
func (c *chains) enter(at int) int32 {
	tag := c.data[at+lengthSize]
	if tag > flink.TagPlain {
		return c.score[at]
	}
	if c.like.tags[flink.TagPlain-tag] {
		return never
	}
	end, _ := c.next(at)
	for _, d := range c.like.nested {
		if inner, ok := c.next(at + d); !ok || inner != end {
			return c.score[at] - elementScore
		}
	}
	return c.score[at]
}

// settle takes away the elements in front of gaps that are in doubt.
func (c *chains) settle(list []span) (kept []span, doubtful int) {
	for i, s := range list {
		on := len(c.data)
		if i+1 < len(list) {
			on = list[i+1].from
		} else if !c.last {
			on = s.to
		}
		if s.to != on && c.doubt(s, on) {
			doubtful++
			continue
		}
		kept = append(kept, s)
	}
	return kept, doubtful
}

// doubt reports whether an element is in doubt in front of a gap: if the damage may
// reach into it, or be one wrong bit of its length. One wrong byte in the head of
// what follows explains the gap better than either.
func (c *chains) doubt(s span, on int) bool {
	if len(c.data)-s.to > lengthSize {
		head := c.data[s.to : s.to+lengthSize]
		want, have := uint32(on-s.to-lengthSize), binary.BigEndian.Uint32(head)
		if n := bytesApart(want, have); n == 0 || n == 1 && flink.IsElement(int32(want), c.data[s.to+lengthSize]) {
			return false
		}
		// Bytes that were overwritten lie together: if the first one of the head is
		// right, nothing in front of it is wrong. Zeros are right where zeros were.
		if head[0] != byte(want>>24) || have == 0 && c.data[s.to-1] == 0 {
			return true
		}
	}
	return bits.OnesCount32(uint32(on-s.from-lengthSize)^binary.BigEndian.Uint32(c.data[s.from:])) == 1
}

// bytesApart counts the bytes in which two numbers differ.
func bytesApart(a, b uint32) (n int) {
	for x := a ^ b; x != 0; x >>= 8 {
		if x&0xFF != 0 {
			n++
		}
	}
	return n
}
