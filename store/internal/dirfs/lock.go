package dirfs

import (
	"errors"
	"io"
	"os"
)

// maxRecord bounds what is read of another's lock record, in bytes.
const maxRecord = 512

// Lock opens or makes the lock file and takes its lock. The file stays when
// the lock is given back: if it were removed, one process could hold the lock
// of the removed file and another that of a new one.
func (t tree) Lock(name, record string) (release func() error, holder string, err error) {
	f, err := t.root.OpenFile(name, os.O_RDWR|os.O_CREATE|nonBlocking, 0o600)
	if err != nil {
		return nil, "", err
	}
	held, err := tryLock(f)
	if err != nil || !held {
		// What is read may be a moment old, or empty if the holder has not
		// written it yet. It only serves a message.
		b, _ := io.ReadAll(io.NewSectionReader(f, 0, maxRecord))
		return nil, string(b), errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Truncate(0), writeRecord(f, record)); err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return func() error { return errors.Join(f.Truncate(0), f.Close()) }, "", nil
}

func writeRecord(f *os.File, record string) error {
	_, err := f.WriteAt([]byte(record), 0)
	return err
}
