package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// root is a job's checkpoint root as one run uses it.
type root struct {
	store   store.Store
	run     uint64
	lineage string
	unlock  func() error
}

// runRecord is the content of a runs/<n> object. It says, before the run's first
// record, which line of checkpoints the run continues.
type runRecord struct {
	Run      uint64    `json:"run"`
	Lineage  string    `json:"lineage"`
	Restored string    `json:"restored,omitempty"` // path of the checkpoint it started from
	Created  time.Time `json:"created"`
	Process  int       `json:"process"`
	Host     string    `json:"host"`
	Nonce    string    `json:"nonce"` // tells whose record it is after a lost reply
}

// maxRunRecord bounds what is read of a runs/<n> object.
const maxRunRecord = 64 << 10

// lockRoot takes the store's own lock, where it has one.
func lockRoot(ctx context.Context, st store.Store) (func() error, error) {
	locker, ok := store.As[store.Locker](st)
	if !ok {
		return func() error { return nil }, nil
	}
	return locker.Lock(ctx)
}

// newestRun returns the record of the newest run, nil if there is none.
func newestRun(ctx context.Context, st store.Store) (*runRecord, error) {
	var newest uint64
	for info, err := range st.List(ctx, layout.Runs+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing runs: %w", err)
		}
		if n, ok := layout.ParseRun(info.Name); ok {
			newest = max(newest, n)
		}
	}
	if newest == 0 {
		return nil, nil
	}
	rec, err := readRun(ctx, st, newest)
	if err != nil {
		return nil, err
	}
	return rec, nil
}

func readRun(ctx context.Context, st store.Store, n uint64) (*runRecord, error) {
	name := layout.Run(n)
	obj, err := st.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading run %d: %w", n, err)
	}
	defer obj.Close()
	data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(obj, 0, obj.Info().Size), maxRunRecord))
	if err != nil {
		return nil, fmt.Errorf("reading run %d: %w", n, err)
	}
	rec := &runRecord{}
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("%s is not a record of a run: %w", name, err)
	}
	rec.Run = n
	return rec, nil
}

// claim registers a new run: it creates runs/<n> with n = last + 1. Of two runs
// that claim at once one gets n and the other n+1, and so fences the first.
func claim(ctx context.Context, st store.Store, last uint64, rec runRecord) (*root, error) {
	rec.Process = os.Getpid()
	rec.Host, _ = os.Hostname()
	rec.Nonce = randomID()
	for n := last + 1; ; n++ {
		rec.Run = n
		err := createRun(ctx, st, rec)
		if err == nil {
			return &root{store: st, run: n, lineage: rec.Lineage}, nil
		}
		if errors.Is(err, store.ErrExist) {
			if won, rerr := readRun(ctx, st, n); rerr == nil && won.Nonce == rec.Nonce {
				return &root{store: st, run: n, lineage: rec.Lineage}, nil // a lost reply
			}
			continue
		}
		return nil, fmt.Errorf("registering run %d: %w", n, err)
	}
}

func createRun(ctx context.Context, st store.Store, rec runRecord) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	up, err := st.Create(ctx, layout.Run(rec.Run))
	if err != nil {
		return err
	}
	if _, err := up.Write(append(data, '\n')); err != nil {
		return errors.Join(err, up.Abort())
	}
	_, err = up.Commit()
	return err
}

// checkFence returns ErrFenced if a later run has claimed the root.
func (r *root) checkFence(ctx context.Context) error {
	for info, err := range r.store.List(ctx, layout.Runs+"/") {
		if err != nil {
			return fmt.Errorf("checking for later runs: %w", err)
		}
		if n, ok := layout.ParseRun(info.Name); ok && n > r.run {
			return fmt.Errorf("%w: this is run %d, run %d has begun since", ErrFenced, r.run, n)
		}
	}
	return nil
}

// randomID is 64 random bits in hexadecimal.
func randomID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}
