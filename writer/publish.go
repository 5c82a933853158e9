package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// attempts is how often the creation of a small object is tried when the store
// says that the failure may go away. Each try is conditional, so none can
// overwrite anything, and a try whose reply was lost is recognised by its bytes.
const attempts = 4

// ConflictError says that another writer's object stands where ours should.
type ConflictError struct {
	Name   string // of the object
	Winner string // id of the writer whose object it is, "" if it does not read
	Ours   string
}

// Error names both writers.
func (e *ConflictError) Error() string {
	winner := e.Winner
	if winner == "" {
		winner = "an unknown writer"
	}
	return fmt.Sprintf("%s was created by %s, not by this writer (%s)", e.Name, winner, e.Ours)
}

// Is makes the error one that is [store.ErrExist].
func (e *ConflictError) Is(target error) bool { return target == store.ErrExist }

// publish creates an object with the given bytes, conditionally. Bytes already
// there that are equal to ours are our own, from a try whose reply was lost:
// manifests carry the writer's random id.
func publish(ctx context.Context, st store.Store, name string, data []byte, ours string) error {
	var err error
	for range attempts {
		if _, err = store.WriteAll(ctx, st, name, data); err == nil {
			return nil
		}
		if errors.Is(err, store.ErrExist) {
			return settle(ctx, st, name, data, ours)
		}
		if !store.IsTransient(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// settle finds out whose object stands under a name that was taken.
func settle(ctx context.Context, st store.Store, name string, data []byte, ours string) error {
	there, err := readAll(ctx, st, name, int64(len(data)))
	switch {
	case err == nil && bytes.Equal(there, data):
		return nil
	case err != nil && !errors.Is(err, store.ErrTooLarge):
		return fmt.Errorf("%s exists, and reading it back failed: %w", name, err)
	}
	winner, _, err := manifestOwner(ctx, st, name)
	if err != nil && !errors.Is(err, format.ErrDamaged) && !errors.Is(err, format.ErrTooNew) {
		return fmt.Errorf("%s exists, and reading it back failed: %w", name, err)
	}
	return &ConflictError{Name: name, Winner: winner, Ours: ours}
}

// readAll is store.ReadAll, tried again while the failure may go away.
func readAll(ctx context.Context, st store.Store, name string, limit int64) (data []byte, err error) {
	for range attempts {
		data, err = store.ReadAll(ctx, st, name, limit)
		if err == nil || !store.IsTransient(err) || ctx.Err() != nil {
			break
		}
	}
	return data, err
}

// Committed tells whether the manifest of a checkpoint is there and which writer
// wrote it: the one call that settles the outcome of a failed [Writer.Commit].
// A manifest that does not read is an error.
func Committed(ctx context.Context, st store.Store, dir string) (writerID string, ok bool, err error) {
	writerID, _, err = manifestOwner(ctx, st, layout.Join(dir, layout.Manifest))
	if errors.Is(err, store.ErrNotExist) {
		return "", false, nil
	}
	return writerID, err == nil, err
}
