package local_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
	"github.com/tidemark-io/tidemark/store/local"
)

// lateErrors is a file system that tells only at the end that writing failed, as
// some network file systems do.
type lateErrors struct{ dirfs.Files }

func (f lateErrors) Create(name string) (dirfs.Writer, error) {
	w, err := f.Files.Create(name)
	return lateWriter{w}, err
}

type lateWriter struct{ dirfs.Writer }

func (w lateWriter) Close() error { return errors.Join(syscall.EIO, w.Writer.Close()) }

// An error of closing a written file fails the upload for good: nothing appears
// and nothing is left.
func TestFailedClose(t *testing.T) {
	d := crashsim.New()
	fsys := d.FS()
	fsys.Files = lateErrors{fsys.Files}
	_, err := store.WriteAll(t.Context(), local.New(fsys), "chk-1/data", []byte("x"))
	if !errors.Is(err, syscall.EIO) || store.IsTransient(err) {
		t.Errorf("commit: %v", err)
	}
	if _, err := d.Store().Open(t.Context(), "chk-1/data"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if n := d.OpenHandles(); n != 0 {
		t.Errorf("%d handles left open", n)
	}
}
