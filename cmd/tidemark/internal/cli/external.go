package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/engine/connector/filesink"
)

// filesSuffix makes the name of the directory for copies of files outside of the
// name of the checkpoint that refers to them.
const filesSuffix = ".files"

// externalFiles copies files outside to a directory beside a checkpoint, one
// directory of a sink for each operator.
type externalFiles struct {
	dir  string
	made bool
}

// copy is a [checkpoint.CopyExternal].
func (e *externalFiles) copy(ctx context.Context, uid string, item []byte) ([]byte, error) {
	if !e.made {
		switch err := os.Mkdir(e.dir, 0o700); {
		case errors.Is(err, fs.ErrExist):
			return nil, fmt.Errorf("%s, for copies of files outside: %w", e.dir, checkpoint.ErrExists)
		case err != nil:
			return nil, err
		}
		e.made = true
	}
	copied, err := filesink.Bring(ctx, item, filepath.Join(e.dir, filesink.DirName(uid)))
	if errors.Is(err, filesink.ErrMissing) || errors.Is(err, filesink.ErrConflict) {
		return nil, codeError{exitFound, err} // the checkpoint alone may be good
	}
	return copied, err
}

// end removes the copies if there is no checkpoint that refers to them.
func (e *externalFiles) end(err error) error {
	if err == nil || !e.made {
		return err
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}
