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
	store  store.Store
	run    uint64
	record runRecord
	unlock func() error
}

// runRecord is the content of a runs/<n> object, which fences earlier runs, and
// of runs/<n>.begun, which is written when the run's restore has been accepted:
// it says, before the run's first record, which line of checkpoints the run
// continues (R9). A run without it has changed nothing.
type runRecord struct {
	Run      uint64 `json:"run"`
	Lineage  string `json:"lineage"`
	Restored string `json:"restored,omitempty"` // path of the checkpoint it started from
	External bool   `json:"external,omitempty"` // that checkpoint lies outside the root
	// Unclaimed says that it, and what was there before First, is not the run's.
	Unclaimed bool      `json:"unclaimed,omitempty"`
	First     uint64    `json:"first"` // ids of its checkpoints are this or larger
	Created   time.Time `json:"created"`
	Process   int       `json:"process"`
	Host      string    `json:"host"`
	Nonce     string    `json:"nonce"` // tells whose record it is after a lost reply
}

// maxRunRecord bounds what is read of a runs/<n> object.
const maxRunRecord = 64 << 10

func readRun(ctx context.Context, st store.Store, name string) (*runRecord, error) {
	obj, err := st.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer obj.Close()
	data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(obj, 0, obj.Info().Size), maxRunRecord))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	rec := &runRecord{}
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("%s is not a record of a run: %w", name, err)
	}
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
		err := createRun(ctx, st, layout.Run(n), rec)
		if err == nil {
			return &root{store: st, run: n, record: rec}, nil
		}
		if errors.Is(err, store.ErrExist) {
			if won, rerr := readRun(ctx, st, layout.Run(n)); rerr == nil && won.Nonce == rec.Nonce {
				return &root{store: st, run: n, record: rec}, nil // a lost reply
			}
			continue
		}
		return nil, fmt.Errorf("registering run %d: %w", n, err)
	}
}

// begunSuffix ends the name of the object that says that a run has begun.
const begunSuffix = ".begun"

// begin records that the run has begun. Doing it twice is doing it once.
func (r *root) begin(ctx context.Context) error {
	err := createRun(ctx, r.store, layout.Run(r.run)+begunSuffix, r.record)
	if err != nil && !errors.Is(err, store.ErrExist) {
		return fmt.Errorf("recording the begin of run %d: %w", r.run, err)
	}
	return nil
}

func createRun(ctx context.Context, st store.Store, name string, rec runRecord) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	up, err := st.Create(ctx, name)
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
