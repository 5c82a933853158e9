package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// Seal ends all data objects: it writes their directories, makes them durable,
// and reads back from the store what a reader will open first. All slices must
// be closed. After an error the checkpoint cannot be committed.
func (w *Writer) Seal(ctx context.Context) error {
	if ctx.Err() != nil { // else its end would race with the objects'
		return w.fail(fmt.Errorf("writer: seal %s: %w", w.opts.Dir, context.Cause(ctx)))
	}
	if err := w.beginSeal(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, w.cancelUploads)
	defer stop()
	var group sync.WaitGroup
	for _, o := range w.objects {
		group.Go(func() {
			if err := o.seal(ctx); err != nil {
				w.fail(err)
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return w.fail(fmt.Errorf("writer: seal %s: %w", w.opts.Dir, context.Cause(ctx)))
	}
	return w.Err()
}

// beginSeal moves from writing to sealed.
func (w *Writer) beginSeal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return w.err
	case w.stage != writing:
		return w.failLocked(fmt.Errorf("writer: Seal called twice or after Abort: %w", ErrState))
	case w.open > 0:
		return w.failLocked(fmt.Errorf("writer: Seal with %d open slices: %w", w.open, ErrState))
	}
	w.stage = sealed
	return nil
}

// cancelUploads makes the uploads that are under way fail.
func (w *Writer) cancelUploads() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel()
	}
}

// Commit publishes the checkpoint. It completes the manifest (Objects, in-flight
// bytes of edges, and of the summary the id, path, writer and totals) and writes
// MANIFEST.copy and then, as the last step, MANIFEST, each only if the name is
// free. Slices may come in any order.
//
// If m.Objects is empty it becomes the writer's objects; otherwise it must begin
// with them, and what follows are objects of other checkpoints that slices refer
// to. Edges' in-flight records are the caller's to state.
//
// If Commit returns nil the checkpoint is visible, whole and durable. If it
// returns an error the checkpoint is either not visible or visible and whole,
// never partial:
//
//   - an error that is [store.ErrExist] (a [*ConflictError]): another writer was
//     first with this id; ours is not visible and never will be;
//   - an error of the options' Fence: not visible;
//   - any other error: not known; [Committed] tells, and so does [Writer.Abort],
//     which takes a manifest of ours back before it deletes data.
//
// A reply that was lost is understood: if the manifest that stands there is ours
// the commit has succeeded.
func (w *Writer) Commit(ctx context.Context, m *format.Manifest) error {
	data, err := w.prepare(m)
	if err != nil {
		return w.fail(err)
	}
	w.mu.Lock()
	w.stage = committing
	w.mu.Unlock()
	for _, name := range []string{layout.ManifestCopy, layout.Manifest} {
		if err := w.fence(ctx); err != nil {
			return w.fail(err)
		}
		if err := publish(ctx, w.opts.Store, layout.Join(w.opts.Dir, name), data, w.opts.WriterID); err != nil {
			return w.fail(fmt.Errorf("commit %s: %w", w.opts.Dir, err))
		}
	}
	w.mu.Lock()
	w.stage = committed
	w.mu.Unlock()
	w.opts.Logger.Info("checkpoint committed", "dir", w.opts.Dir, "writer", w.opts.WriterID,
		"bytes", m.Summary.StateBytes, "inFlightBytes", m.Summary.InFlightBytes, "objects", len(m.Objects))
	return nil
}

// fence asks whether this run may still commit.
func (w *Writer) fence(ctx context.Context) error {
	if w.opts.Fence == nil {
		return ctx.Err()
	}
	return w.opts.Fence(ctx)
}

// prepare completes the manifest, encodes it, and decodes the very bytes that
// will be uploaded.
func (w *Writer) prepare(m *format.Manifest) ([]byte, error) {
	w.mu.Lock()
	stage, err := w.stage, w.err
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if stage != sealed {
		return nil, fmt.Errorf("writer: Commit without Seal, or called twice: %w", ErrState)
	}
	own := w.Objects()
	if len(m.Objects) == 0 {
		m.Objects = own
	}
	if len(m.Objects) < len(own) || !slices.Equal(m.Objects[:len(own)], own) {
		return nil, errors.New("writer: the manifest's objects do not begin with those of this writer")
	}
	m.Summary.ID, m.Summary.Path, m.Summary.WriterID = w.opts.ID, w.opts.Dir, w.opts.WriterID
	if err := total(m); err != nil {
		return nil, err
	}
	data, err := format.AppendManifest(nil, m)
	if err != nil {
		return nil, fmt.Errorf("writer: manifest of %s: %w", w.opts.Dir, err)
	}
	if err := verifyManifest(layout.Join(w.opts.Dir, layout.Manifest), data, m); err != nil {
		return nil, fmt.Errorf("writer: the manifest does not read back as it was written (a fault of this program or of the machine): %w", err)
	}
	return data, nil
}

// total sums up what the manifest's encoder does not: the in-flight bytes of
// edges and the range of watermarks. It returns the caller's mistakes.
func total(m *format.Manifest) error {
	for i := range m.Edges {
		m.Edges[i].InFlightBytes = 0
	}
	for i, sl := range m.Slices {
		if sl.State < 0 || sl.State >= len(m.States) {
			return fmt.Errorf("writer: slice %d belongs to state %d of %d", i, sl.State, len(m.States))
		}
		s := m.States[sl.State]
		if !s.Kind.Channel() {
			continue
		}
		if s.Edge < 0 || s.Edge >= len(m.Edges) {
			return fmt.Errorf("writer: channel state %d belongs to edge %d of %d", sl.State, s.Edge, len(m.Edges))
		}
		m.Edges[s.Edge].InFlightBytes += sl.Bytes
	}
	m.Summary.MinWatermark, m.Summary.MaxWatermark = format.Unknown, format.Unknown
	for i, op := range m.Operators {
		if i == 0 || op.MinWatermark < m.Summary.MinWatermark {
			m.Summary.MinWatermark = op.MinWatermark
		}
		m.Summary.MaxWatermark = max(m.Summary.MaxWatermark, op.MaxWatermark)
	}
	return nil
}

// Abort gives the checkpoint up: uploads are cancelled and this writer's objects
// deleted, no others. A manifest of ours that a failed Commit left is taken back
// first, so that no visible checkpoint ever lacks data; if it cannot be told
// whether there is one, nothing is deleted and the error says so. After a
// successful Commit Abort does nothing. It may be called again after an error.
// What it could not delete is left to gc.
func (w *Writer) Abort(ctx context.Context) error {
	w.mu.Lock()
	stage := w.stage
	if stage == committed {
		w.mu.Unlock()
		return nil
	}
	if w.stage < committing {
		w.stage = aborted
	}
	w.failLocked(fmt.Errorf("writer: aborted: %w", ErrState))
	if w.cancel != nil {
		w.cancel()
	}
	objects := slices.Clone(w.objects)
	w.mu.Unlock()
	if stage == committing {
		if err := w.takeBack(ctx); err != nil {
			return fmt.Errorf("abort %s: data objects are kept: %w", w.opts.Dir, err)
		}
	}
	var failed error
	for _, o := range objects {
		failed = errors.Join(failed, o.abort(ctx))
	}
	return failed
}

// takeBack removes manifest and copy if they are this writer's.
func (w *Writer) takeBack(ctx context.Context) error {
	for _, base := range []string{layout.Manifest, layout.ManifestCopy} {
		name := layout.Join(w.opts.Dir, base)
		owner, version, err := manifestOwner(ctx, w.opts.Store, name)
		switch {
		case errors.Is(err, store.ErrNotExist):
		case err != nil:
			return err
		case owner == w.opts.WriterID:
			if err := remove(ctx, w.opts.Store, name, version); err != nil {
				return err
			}
		}
	}
	return nil
}
