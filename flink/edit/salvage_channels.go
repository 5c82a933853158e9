package edit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/store"
)

// channelHeader is the size of the version in front of a file of in-flight data, and
// of the length in front of each of its buffers, in bytes.
const channelHeader = 4

// channelFile is a stream that has in-flight data of some channels.
type channelFile struct {
	handle  metadata.StreamHandle // the first of those that name it
	name    string                // of the object, for the report
	starts  []int64               // of all buffers, ascending
	end     int64                 // where the last one ends, by the metadata
	size    int64                 // bytes that are there
	hurt    error                 // what is wrong with it, besides the data in its buffers
	outside bool                  // it cannot be reached
}

// strand is a half in a salvage.
type strand struct {
	*half
	file  *channelFile
	sizes []int64 // of its buffers
	total int64   // of their bytes

	mate    *strand // the other half, if a record lies in both
	damaged bool
	keep    []span // of its bytes, if it is damaged; those that are missing are not counted
	lost    int64  // bytes
	records uint64 // lost, at least
	doubt   int    // of these in doubt
}

// anew reports whether what is left of the strand is written to a new file.
func (s *strand) anew() bool { return s.damaged || s.file.hurt != nil }

// channelFiles finds the streams of all in-flight data, and the strands.
func (j *job) channelFiles() ([]*strand, error) {
	var all []*strand
	files := map[any]*channelFile{}
	for _, h := range j.flight() {
		h.end.Strict = true
		f, err := j.channelFile(files, h.handle)
		if err != nil {
			return nil, err
		}
		f.starts = append(f.starts, h.Offsets...)
		all = append(all, &strand{half: h, file: f})
	}
	for _, f := range files {
		slices.Sort(f.starts)
		f.starts = slices.Compact(f.starts)
	}
	r := channelReader{ctx: j.ctx, src: j.src}
	defer r.close()
	for _, s := range all {
		if s.file.outside {
			continue
		}
		if err := s.measure(&r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// channelFile is the stream of a handle. Streams are told apart by where they lie.
func (j *job) channelFile(files map[any]*channelFile, h metadata.StreamHandle) (*channelFile, error) {
	l, err := j.src.Locate(j.ctx, h)
	if err != nil {
		return nil, err
	}
	var key any = extent{name: l.Name, offset: l.Offset, size: l.Size, whole: l.Whole}
	if l.Where == flink.Inline || l.Name == "" {
		key = h
	}
	if f := files[key]; f != nil {
		return f, nil
	}
	f := &channelFile{handle: h, name: l.Name, end: l.Size, outside: l.Where == flink.Outside}
	files[key] = f
	src, err := j.src.OpenHandle(j.ctx, h)
	switch {
	case errors.Is(err, store.ErrNotExist), errors.Is(err, store.ErrNotObject), errors.Is(err, flink.ErrOutside):
		f.hurt = err
		return f, nil
	case err != nil:
		return nil, err
	}
	defer src.Close()
	if f.size = src.Size(); f.end < 0 {
		f.end = f.size
	}
	var head [channelHeader]byte
	if _, err := src.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case f.size != f.end:
		f.hurt = fmt.Errorf("%s has %d bytes, the metadata states %d", src.Object, f.size, f.end)
	case binary.BigEndian.Uint32(head[:]) != 0:
		f.hurt = fmt.Errorf("%s is of version %d, only 0 is known", src.Object, int32(binary.BigEndian.Uint32(head[:])))
	}
	return f, nil
}

// measure finds out how long the buffers of a strand are. If the lengths in front of
// them are not what the metadata says of their sum, or reach into others, the buffers
// end where the next ones of the file begin: nothing lies between them
// (ChannelStateCheckpointWriter).
func (s *strand) measure(r *channelReader) error {
	if err := r.to(s.file.handle); err != nil && s.file.size > 0 {
		return err
	}
	sum, good := int64(0), true
	var dense []int64
	for _, at := range s.Offsets {
		end := s.file.end
		if i, _ := slices.BinarySearch(s.file.starts, at+1); i < len(s.file.starts) {
			end = s.file.starts[i]
		}
		room := max(end-at-channelHeader, 0)
		dense = append(dense, room)
		var head [channelHeader]byte
		if r.open == nil || at < channelHeader {
			good = good && s.file.size == 0
			continue
		}
		if n, err := r.open.ReadAt(head[:], at); n < len(head) && err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if n < len(head) { // the file is cut, which is known
			s.sizes = append(s.sizes, room)
			sum += channelHeader + room
			continue
		}
		size := int64(int32(binary.BigEndian.Uint32(head[:])))
		good = good && size >= 0 && size <= room
		s.sizes = append(s.sizes, size)
		sum += channelHeader + size
	}
	// Data inline in the metadata counts the version too.
	if !good || s.Size >= 0 && sum != s.Size && sum+channelHeader != s.Size || len(s.sizes) < len(dense) {
		s.sizes = dense
		if s.file.hurt == nil {
			s.file.hurt = fmt.Errorf("%s: lengths of buffers are not what the metadata says", s.file.name)
		}
	}
	for _, n := range s.sizes {
		s.total += n
	}
	return nil
}

// to opens a stream unless it is open.
func (r *channelReader) to(h metadata.StreamHandle) error {
	if r.open != nil && r.handle == h {
		return nil
	}
	r.close()
	src, err := r.src.OpenHandle(r.ctx, h)
	if err != nil {
		return err
	}
	r.open, r.handle = src, h
	return nil
}

// pieces passes on what is there of a strand's bytes. gap is called where some are
// missing.
func (r *channelReader) pieces(s *strand, data func([]byte) error, gap func()) error {
	if s.file.size == 0 {
		if gap != nil {
			gap()
		}
		return nil
	}
	if err := r.to(s.file.handle); err != nil {
		return err
	}
	if r.buf == nil {
		r.buf = make([]byte, 32<<10)
	}
	for i, at := range s.Offsets {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		from := min(max(at, 0)+channelHeader, r.open.Size())
		to := min(from+s.sizes[i], r.open.Size())
		for from < to {
			part := r.buf[:min(int64(len(r.buf)), to-from)]
			n, err := r.open.ReadAt(part, from)
			if n < len(part) {
				return fmt.Errorf("%s at %d: %w", r.open.Object, from, cmpErr(err))
			}
			if err := data(part); err != nil {
				return err
			}
			from += int64(n)
		}
		if to-min(max(at, 0)+channelHeader, r.open.Size()) < s.sizes[i] && gap != nil {
			gap()
		}
	}
	return nil
}

// cmpErr is the error of a read that gave too little.
func cmpErr(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
