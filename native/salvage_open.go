package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// OpenDamaged opens what is left of a checkpoint; see [checkpoint.Salvager]. A
// manifest that is lost is replaced by its copy, each damaged table of it by
// that of the copy, and what neither has by what the data objects say of
// themselves (R13).
func (f *Format) OpenDamaged(ctx context.Context, path string) (checkpoint.Checkpoint, error) {
	c, err := f.Open(ctx, path)
	if err == nil {
		m, ok := c.(*reader.Model)
		if !ok {
			return c, nil
		}
		if err = readsWhole(ctx, m.Checkpoint()); err == nil {
			return c, nil
		}
		if closed := m.Close(); !damaged(err) || closed != nil {
			return nil, errors.Join(err, closed)
		}
		err = fmt.Errorf("%s: %w: %w", path, checkpoint.ErrDamaged, err)
	} else if !errors.Is(err, checkpoint.ErrDamaged) && !errors.Is(err, checkpoint.ErrIncomplete) {
		return nil, err
	}
	m, rebuildErr := openDamaged(ctx, f.st, path)
	if errors.Is(rebuildErr, errNothing) {
		return nil, err
	}
	if rebuildErr != nil {
		return nil, rebuildErr
	}
	return m, nil
}

// errNothing: neither a manifest nor a data object reads.
var errNothing = errors.New("nothing of the checkpoint reads")

// openDamaged puts the manifest of a checkpoint together and opens it.
func openDamaged(ctx context.Context, st store.Store, dir string) (*reader.Model, error) {
	p := pieces{ctx: ctx, st: st, dir: dir, over: &overlay{Store: st, unsure: map[string]bool{}}}
	data, err := p.manifest()
	if err != nil {
		return nil, err
	}
	p.over.files = map[string][]byte{layout.Join(dir, layout.Manifest): data, layout.Join(dir, layout.ManifestCopy): data}
	c, err := reader.Open(ctx, p.over, dir)
	if err != nil {
		return nil, err
	}
	return reader.NewModel(c), nil
}

// pieces are what is left of a manifest: the tables that read, of it or of its
// copy.
type pieces struct {
	ctx  context.Context
	st   store.Store
	dir  string
	over *overlay

	has map[format.Kind]bool
	m   format.Manifest
}

// manifest puts the manifest together.
func (p *pieces) manifest() ([]byte, error) {
	p.has = map[format.Kind]bool{}
	for _, base := range []string{layout.Manifest, layout.ManifestCopy} {
		data, err := p.read(layout.Join(p.dir, base))
		if err != nil || data == nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		r, err := format.OpenManifest(bytes.NewReader(data), int64(len(data)), format.ManifestOptions{Object: layout.Join(p.dir, base)})
		if err != nil || !p.belongs(&r.Summary) {
			continue
		}
		if _, err := r.Read(); err == nil {
			return data, nil
		}
		if p.has[format.KindSummary] && p.m.Summary != r.Summary {
			continue // not a copy
		}
		p.m.Summary, p.has[format.KindSummary] = r.Summary, true
		p.tables(r)
	}
	whole := true
	for _, kind := range []format.Kind{format.KindSummary, format.KindOperators, format.KindStates, format.KindEdges, format.KindObjects, format.KindSlices, format.KindSchemas} {
		whole = whole && p.has[kind]
	}
	if whole { // without what neither has: settings, the losses before
		p.over.losses = append(p.over.losses, p.loss("a part of the manifest is damaged in both its copies: the job's recorded configuration or earlier losses are gone"))
	} else if err := p.rebuild(); err != nil {
		return nil, err
	}
	return format.AppendManifest(nil, &p.m)
}

// read reads a manifest; nil if there is none, or none of a sensible size.
func (p *pieces) read(name string) ([]byte, error) {
	data, err := store.ReadAll(p.ctx, p.st, name, int64(format.DefaultLimits().Manifest))
	switch {
	case errors.Is(err, store.ErrNotExist), errors.Is(err, store.ErrTooLarge), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, store.ErrNotObject):
		return nil, nil
	}
	if n, ok := format.ManifestLength(data); ok && n < uint64(len(data)) {
		data = data[:n] // something was written behind its end
	}
	return data, err
}

// belongs reports whether a manifest is that of the directory, as for a reader.
func (p *pieces) belongs(s *format.Summary) bool {
	_, savepoint, ok := layout.ParseDir(p.dir)
	return s.Path == p.dir || s.Kind == format.Savepoint && (!ok || savepoint)
}

// tables takes the tables that read and that no copy before had.
func (p *pieces) tables(r *format.ManifestReader) {
	table(p, format.KindOperators, &p.m.Operators, r.Operators())
	table(p, format.KindStates, &p.m.States, r.States())
	table(p, format.KindEdges, &p.m.Edges, r.Edges())
	table(p, format.KindObjects, &p.m.Objects, r.Objects())
	table(p, format.KindSlices, &p.m.Slices, r.Slices())
	table(p, format.KindSchemas, &p.m.Schemas, r.Schemas())
	table(p, format.KindSettings, &p.m.Settings, r.Settings())
	table(p, format.KindLosses, &p.m.Losses, r.Losses())
}

// table reads one table.
func table[R any](p *pieces, kind format.Kind, to *[]R, rows iter.Seq2[R, error]) {
	if p.has[kind] {
		return
	}
	var list []R
	for row, err := range rows {
		if err != nil {
			return
		}
		list = append(list, row)
	}
	*to, p.has[kind] = list, true
}

// loss is a row of the loss report.
func (p *pieces) loss(why string) format.Loss {
	return format.Loss{Tool: "salvage", Created: time.Now().UnixNano(), Reason: text(why), MinTime: format.Unknown, MaxTime: format.Unknown}
}

// checksum reads an object whole.
func (p *pieces) checksum(name string, size int64) (crc uint32, err error) {
	f, err := p.st.Open(p.ctx, name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, min(copyBuffer, size))
	for at := int64(0); at < size; {
		if err := p.ctx.Err(); err != nil {
			return 0, err
		}
		part := buf[:min(int64(len(buf)), size-at)]
		if n, err := f.ReadAt(part, at); n < len(part) {
			return 0, fmt.Errorf("%s: read at offset %d: %w", name, at, err)
		}
		crc = format.UpdateChecksum(crc, part)
		at += int64(len(part))
	}
	return crc, nil
}
