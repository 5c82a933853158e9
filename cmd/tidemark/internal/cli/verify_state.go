package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// verifyStateSchema names the file of verify --resume.
const verifyStateSchema = "tidemark.verify-state/1"

// verifyState remembers which checks found nothing, so that a later call need
// not repeat them. Checks that found something are done again. A nil state
// remembers nothing.
type verifyState struct {
	Schema      string                `json:"schema"`
	Level       string                `json:"level"`
	Sample      float64               `json:"sample,omitempty"` // share that was checked, 0 for all
	Checkpoints map[string]*doneState `json:"checkpoints"`      // by absolute path

	mu    sync.Mutex // checkpoints are opened beside each other
	file  string
	saved time.Time
}

// doneState is what is known of one checkpoint. The rest than the names tells
// whether it is still the same one.
type doneState struct {
	ID      uint64    `json:"id"`
	Writer  string    `json:"writer"`
	Created time.Time `json:"created"`
	Checks  []string  `json:"checks"`
}

// readVerifyState reads the file, or begins a new one.
func readVerifyState(file string, level checkpoint.Level, share float64) (*verifyState, error) {
	s := &verifyState{Schema: verifyStateSchema, Level: level.String(), Sample: share, Checkpoints: map[string]*doneState{}, file: file, saved: time.Now()}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var old verifyState
	if err := json.Unmarshal(text, &old); err != nil || old.Schema != verifyStateSchema {
		return nil, usage("%s is no file of verify --resume; name another one", file)
	}
	if old.Level != s.Level {
		return nil, usage("%s belongs to --level %s; name another file for --level %s", file, old.Level, s.Level)
	}
	if old.Sample != share { // what a sample has passed over is not known to be intact
		return nil, usage("%s belongs to %s; name another file for %s", file, sampleName(old.Sample), sampleName(share))
	}
	for path, d := range old.Checkpoints {
		if d != nil {
			s.Checkpoints[path] = d
		}
	}
	return s, nil
}

// sampleName is a share as a message names it.
func sampleName(share float64) string {
	if share == 0 {
		return "checks without --sample"
	}
	return fmt.Sprintf("--sample %g%%", 100*share)
}

// of lists what is known to be intact of a checkpoint.
func (s *verifyState) of(path string, info checkpoint.Info) map[string]bool {
	known := map[string]bool{}
	if s == nil {
		return known
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := absolute(path)
	d := s.Checkpoints[key]
	if d == nil || d.ID != info.ID || d.Writer != info.WriterID || !d.Created.Equal(info.Created) {
		s.Checkpoints[key] = &doneState{ID: info.ID, Writer: info.WriterID, Created: info.Created, Checks: []string{}}
		return known
	}
	for _, name := range d.Checks {
		known[name] = true
	}
	return known
}

// done remembers a check that found nothing.
func (s *verifyState) done(path, check string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	d := s.Checkpoints[absolute(path)]
	if d != nil && !slices.Contains(d.Checks, check) {
		d.Checks = append(d.Checks, check)
	}
	s.mu.Unlock()
	if time.Since(s.saved) > 10*time.Second {
		s.saved = time.Now()
		_ = s.save() // the last one at the end tells its error
	}
}

// save writes the file beside its name and renames it.
func (s *verifyState) save() error {
	s.mu.Lock()
	text, err := json.MarshalIndent(s, "", "  ")
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.file), "."+filepath.Base(s.file)+".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.file)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(f.Name())))
	}
	return nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
