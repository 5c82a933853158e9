package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/discard"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// incrementalRun restores, takes two incremental checkpoints of which two are
// retained, and ends without another. It returns how many objects its first uses that were there
// before.
func incrementalRun(t *testing.T, st store.Store, src *series[numbered], restore engine.RestoreConfig) (used int) {
	t.Helper()
	before := names(t, st, "")
	job := start(t, countJob(src, discard.New[counted](), nil), engine.Config{Parallelism: 2, Restore: restore,
		Checkpoints: engine.CheckpointConfig{Store: st, Retained: 2, Incremental: true}})
	src.rest()
	first := take(t, job)
	src.raise(10)
	src.rest()
	take(t, job)
	ck, err := reader.Open(t.Context(), st, first.Path)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := ck.Objects()
	if err := errors.Join(err, ck.Close()); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if slices.Contains(before, o.Name) {
			used++
		}
	}
	// A savepoint comes back when retention has done its work.
	if _, err := job.Savepoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	job.Cancel(nil)
	<-job.Done()
	return used
}

// TestClaimModes: what retention removes of that which earlier runs of the same
// and of another line left, and what the first checkpoint refers to.
func TestClaimModes(t *testing.T) {
	const own = "chk-4 chk-5"                     // of the second run
	const left = "chk-1 chk-2 savepoint-3 " + own // nothing was removed
	for _, c := range []struct {
		from   string
		claim  engine.ClaimMode
		want   string // after the second run
		refers bool   // its first checkpoint to older objects
		later  string // after a third one, which goes on with the latest
	}{
		{"latest", "", "savepoint-3 " + own, true, "savepoint-3"},
		{"latest", engine.NoClaim, "savepoint-3 " + own, true, "savepoint-3"},
		{"latest", engine.Claim, "savepoint-3 " + own, true, "savepoint-3"},
		{"chk-2", "", left, false, "chk-1 chk-2 savepoint-3"},
		{"chk-2", engine.NoClaim, left, false, "chk-1 chk-2 savepoint-3"},
		{"chk-2", engine.Claim, "savepoint-3 " + own, true, "savepoint-3"},
		{"chk-1", engine.NoClaim, left, false, "chk-1 chk-2 savepoint-3"},
		{"chk-1", engine.Claim, "chk-2 savepoint-3 " + own, false, "chk-2 savepoint-3"},
		{"savepoint-3", engine.NoClaim, left, false, "chk-1 chk-2 savepoint-3"},
		{"savepoint-3", engine.Claim, "chk-1 chk-2 " + own, false, "chk-1 chk-2"},
	} {
		t.Run(c.from+" "+string(c.claim), func(t *testing.T) {
			st, src := mem.New(), numbers(1, 1<<40, 1000)
			there := func(without ...string) string {
				t.Helper()
				if _, err := verifyAll(t.Context(), st); err != nil {
					t.Fatal(err)
				}
				return strings.Join(slices.DeleteFunc(committed(t, st), func(p string) bool { return slices.Contains(without, p) }), " ")
			}
			incrementalRun(t, st, src, engine.RestoreConfig{})
			if got := there(); got != "chk-1 chk-2 savepoint-3" {
				t.Fatalf("the first run left %s", got)
			}
			used := incrementalRun(t, st, src, engine.RestoreConfig{From: c.from, Claim: c.claim})
			if got := there("savepoint-6"); got != c.want || (used > 0) != c.refers {
				t.Errorf("there are %s, want %s; the first checkpoint uses %d older objects", got, c.want, used)
			}
			incrementalRun(t, st, src, latest)
			if got := there("savepoint-6", "chk-7", "chk-8", "savepoint-9"); got != c.later {
				t.Errorf("after a third run %s is left, want %s", got, c.later)
			}
		})
	}
}

// TestClaimModesRefused: modes that there are not, and the claim of what lies
// outside the job's directory.
func TestClaimModesRefused(t *testing.T) {
	for want, restore := range map[string]engine.RestoreConfig{
		`"LEGACY" is no claim mode`:     {From: "chk-1", Claim: "LEGACY"},
		"one of another is never refer": {From: "chk-1", Claim: engine.Claim, External: mem.New()},
	} {
		_, err := engine.Start(t.Context(), countJob(numbers(1, 1, all), discard.New[counted](), nil),
			engine.Config{Restore: restore, Checkpoints: engine.CheckpointConfig{Store: mem.New()}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", restore, err, want)
		}
	}
}
