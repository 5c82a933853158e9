package reader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math/bits"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// Checks yields what must be checked at a level: the manifest and its copy, the
// references, then every data object by itself, then the records in flight.
func (m *Model) Checks(ctx context.Context, level checkpoint.Level) iter.Seq2[checkpoint.Check, error] {
	return m.checks(ctx, level, nil)
}

// SampledChecks is Checks with a part of the blocks of each data object: what
// surrounds them, and the indexes, are checked whole.
func (m *Model) SampledChecks(ctx context.Context, level checkpoint.Level, share float64, seed uint64) iter.Seq2[checkpoint.Check, error] {
	return m.checks(ctx, level, &sampler{share: share, seed: seed})
}

// sampler chooses blocks at random, the same ones for the same seed.
type sampler struct {
	share float64
	seed  uint64
}

// takes tells whether a block is chosen.
func (s *sampler) takes(object string, offset uint64) bool {
	h := fnv.New64a()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], s.seed)
	binary.LittleEndian.PutUint64(b[8:], offset)
	_, _ = h.Write(b[:])
	_, _ = h.Write([]byte(object))
	x := h.Sum64() // its high bits depend little on the last bytes
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15
	return float64((x^x>>29)>>11)/(1<<53) < s.share
}

func (m *Model) checks(ctx context.Context, level checkpoint.Level, sample *sampler) iter.Seq2[checkpoint.Check, error] {
	c := m.c
	return func(yield func(checkpoint.Check, error) bool) {
		if !yield(checkpoint.Check{Name: layout.Join(c.dir, layout.Manifest), Run: c.checkManifest}, nil) || level < checkpoint.LevelRefs {
			return
		}
		refs := func(ctx context.Context, report func(checkpoint.Finding)) error {
			return c.checkRefs(ctx, level == checkpoint.LevelRefs, report) // the levels above read the data
		}
		if !yield(checkpoint.Check{Name: c.dir, Run: refs}, nil) || level < checkpoint.LevelChecksums {
			return
		}
		objects, err := c.Objects()
		if isDamage(err) {
			return // the manifest's check has said it
		}
		if err != nil {
			yield(checkpoint.Check{}, err)
			return
		}
		for row, object := range objects {
			bytes := object.Length
			if sample != nil {
				bytes = uint64(float64(bytes) * sample.share)
			}
			check := checkpoint.Check{Name: object.Name, Bytes: bytes, Run: func(ctx context.Context, report func(checkpoint.Finding)) error {
				o := &objectCheck{c: c, row: row, object: object, records: level >= checkpoint.LevelRecords, sample: sample, report: report}
				return o.run(ctx)
			}}
			if !yield(check, nil) {
				return
			}
		}
		if level < checkpoint.LevelRecords {
			return
		}
		flight, err := m.flightChecks(sample)
		if err != nil && !isDamage(err) { // else the manifest's check has said it
			yield(checkpoint.Check{}, err)
			return
		}
		for _, check := range flight {
			if !yield(check, nil) {
				return
			}
		}
	}
}

// isDamage tells what is wrong with a checkpoint from a failure of its storage.
func isDamage(err error) bool {
	var corrupt *format.CorruptError
	return errors.As(err, &corrupt)
}

// damaged makes a finding of an error that is damage. Other errors are returned.
func (c *Checkpoint) damaged(err error, place checkpoint.Place, problem string, report func(checkpoint.Finding)) error {
	var corrupt *format.CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	if place.Object == "" {
		place.Object = corrupt.Object
	}
	if place.Offset == checkpoint.NoOffset {
		place.Offset = corrupt.Offset
	}
	if problem == "" {
		problem = corrupt.Unit + " is damaged"
	}
	report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: problem, Err: corrupt.Err,
		Remedy: c.remedy("salvage", "DST", "--apply")})
	return nil
}

// checkManifest decodes the manifest and its copy to the last row and compares
// them.
func (c *Checkpoint) checkManifest(ctx context.Context, report func(checkpoint.Finding)) error {
	name, second := layout.Join(c.dir, layout.Manifest), layout.Join(c.dir, layout.ManifestCopy)
	first, err := c.readManifest(ctx, name)
	if err != nil && !isDamage(err) {
		return err
	}
	copied, cerr := c.readManifest(ctx, second)
	remedy, hope := c.restore(), "; nothing is lost yet"
	if err != nil && isDamage(cerr) { // no restore reads what both have lost
		remedy, hope = c.remedy("salvage", "DST", "--apply"), " too"
	}
	if err != nil && c.from == name { // else opening has noted it
		finding := checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(name), Problem: "the manifest is damaged",
			Err: err, Remedy: remedy}
		finding.Place.Offset = offsetOf(err)
		report(finding)
	}
	switch err := cerr; {
	case errors.Is(err, format.ErrMissing):
		report(checkpoint.Finding{Severity: checkpoint.Warning, Place: checkpoint.At(second), Err: err,
			Problem: "the copy of the manifest is missing" + hope, Remedy: remedy})
	case isDamage(err):
		finding := checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(second), Err: err,
			Problem: "the copy of the manifest is damaged" + hope, Remedy: remedy}
		finding.Place.Offset = offsetOf(err)
		report(finding)
	case err != nil:
		return err
	case first != nil && !bytes.Equal(first, copied):
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(second),
			Problem: "the copy of the manifest is intact, but is that of another checkpoint", Remedy: c.restore()})
	}
	return nil
}

// offsetOf is where an error says that the damage begins.
func offsetOf(err error) int64 {
	var corrupt *format.CorruptError
	if errors.As(err, &corrupt) {
		return corrupt.Offset
	}
	return checkpoint.NoOffset
}

// readManifest reads a manifest whole and decodes it. What is wrong with it is a
// [*format.CorruptError].
func (c *Checkpoint) readManifest(ctx context.Context, name string) (data []byte, err error) {
	limits := format.DefaultLimits()
	if c.limits.Manifest != 0 {
		limits.Manifest = c.limits.Manifest
	}
	data, err = store.ReadAll(ctx, c.st, name, int64(limits.Manifest))
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil, &format.CorruptError{Object: name, Unit: "manifest", Err: fmt.Errorf("%w: %w", format.ErrMissing, err)}
	case errors.Is(err, store.ErrTooLarge):
		return nil, &format.CorruptError{Object: name, Unit: "manifest", Err: fmt.Errorf("%w: %w", format.ErrLimit, err)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &format.CorruptError{Object: name, Unit: "manifest", Err: fmt.Errorf("%w: %w", format.ErrTruncated, err)}
	case err != nil:
		return nil, notObject(name, err)
	}
	r, err := format.OpenManifest(bytes.NewReader(data), int64(len(data)), format.ManifestOptions{Object: name, Limits: &c.limits})
	if err == nil {
		err = c.belongs(name, &r.Summary)
	}
	if err == nil {
		_, err = r.Read()
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// checkRefs compares the objects that the manifest names with those that exist,
// and their checksums with those that the store keeps, if it is to.
func (c *Checkpoint) checkRefs(ctx context.Context, sums bool, report func(checkpoint.Finding)) error {
	objects, err := c.Objects()
	if err != nil {
		return c.damaged(err, checkpoint.Nowhere(), "", report)
	}
	own := map[string]bool{layout.Join(c.dir, layout.Manifest): true, layout.Join(c.dir, layout.ManifestCopy): true}
	for _, row := range objects {
		own[row.Name] = true
		info, err := c.st.Stat(ctx, row.Name)
		switch {
		case errors.Is(err, store.ErrNotExist):
			report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(row.Name), Problem: "the object is missing",
				Err: format.ErrMissing, Remedy: c.remedy("salvage", "DST", "--apply")})
		case errors.Is(err, store.ErrNotObject):
			report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(row.Name), Problem: "there is no regular object under this name",
				Err: err, Remedy: c.remedy("salvage", "DST", "--apply")})
		case err != nil:
			return err
		default:
			if err := c.damaged(checkLength(row, info.Size), checkpoint.At(row.Name), "the object has another length than the manifest states", report); err != nil {
				return err
			}
			if sums && uint64(info.Size) == row.Length {
				if err := c.checkStoredCRC(ctx, row, report); err != nil {
					return err
				}
			}
		}
	}
	for info, err := range c.st.List(ctx, c.dir+"/") {
		if err != nil {
			return err
		}
		if !own[info.Name] {
			report(checkpoint.Finding{Severity: checkpoint.Note, Place: checkpoint.At(info.Name),
				Problem: fmt.Sprintf("an object of %d bytes that the checkpoint does not use", info.Size), Remedy: c.remedy("inspect")})
		}
	}
	return nil
}

// checkStoredCRC compares the checksum of an object that its store keeps, if it
// keeps one, with what the manifest states. No data is read.
func (c *Checkpoint) checkStoredCRC(ctx context.Context, row format.Object, report func(checkpoint.Finding)) error {
	sums, ok := store.As[store.Checksummer](c.st)
	if !ok {
		return nil
	}
	sum, err := sums.Checksum(ctx, row.Name)
	switch {
	case errors.Is(err, store.ErrUnsupported) || errors.Is(err, store.ErrNotExist):
		return nil
	case err != nil:
		return err
	case sum != row.CRC:
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(row.Name), Problem: "the storage has another checksum of the object than the manifest states",
			Err: fmt.Errorf("%w: the storage has %08x, expected %08x", format.ErrChecksum, sum, row.CRC), Remedy: c.remedy("salvage", "DST", "--apply")})
	}
	return nil
}

// flipped says in words which single bit explains the damage of a unit.
func flipped(at int, bit int) string {
	return fmt.Sprintf("; flipping bit %d of its byte %d (mask %#02x) would repair it", bit, at, bits.RotateLeft8(1, bit))
}
