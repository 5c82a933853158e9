package writer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// Discard deletes a checkpoint: its manifest first, so that at no moment a
// visible checkpoint lacks data (R12), then the copy, then the data objects in
// its own directory. Objects in shared/ are left to gc.
//
// It is safe to call again after an error or a crash, also when the manifest is
// already gone: what is left is deleted. The directory of a checkpoint that is
// being written now must not be discarded; that is for the caller to know.
// Objects that are not of this format are left alone. A directory with nothing
// in it is no error.
func Discard(ctx context.Context, st store.Store, dir string) error {
	if _, _, ok := layout.ParseDir(dir); !ok {
		return fmt.Errorf("discard %q: not the directory of a checkpoint", dir)
	}
	return discard(ctx, st, dir, func(name string) bool {
		return strings.HasSuffix(name, layout.DataSuffix)
	})
}

// discard removes manifest, copy and the data objects that mine accepts, in
// this order. Each removal is durable before the next begins.
func discard(ctx context.Context, st store.Store, dir string, mine func(name string) bool) error {
	for _, name := range []string{layout.Manifest, layout.ManifestCopy} {
		if err := remove(ctx, st, layout.Join(dir, name), ""); err != nil {
			return err
		}
	}
	var data []string
	for info, err := range st.List(ctx, dir+"/") {
		if err != nil {
			return fmt.Errorf("discard %s: %w", dir, err)
		}
		if mine(info.Name) {
			data = append(data, info.Name)
		}
	}
	var failed error
	for _, name := range data {
		if err := remove(ctx, st, name, ""); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// remove deletes an object; one that is absent is fine.
func remove(ctx context.Context, st store.Store, name, version string) (err error) {
	for range attempts {
		err = st.Remove(ctx, name, version)
		if err == nil || errors.Is(err, store.ErrNotExist) {
			return nil
		}
		if !store.IsTransient(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}
