package edit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/wire"
)

var salvageEdit = checkpoint.Edit{Command: "salvage", External: checkpoint.ExternalKeep, Salvage: &checkpoint.Salvage{}}

// hurt is what a test did to a file.
type hurt struct {
	name         string // below the root
	clean, dirty []byte // dirty is nil if the file is gone
}

func (h hurt) String() string {
	n := 0
	for i := range h.clean {
		if i >= len(h.dirty) || h.clean[i] != h.dirty[i] {
			n++
		}
	}
	return fmt.Sprintf("%s: %d of %d bytes, now %d", filepath.Base(h.name), n, len(h.clean), len(h.dirty))
}

// touched reports whether a part of the file changed.
func (h *hurt) touched(from, to int64) bool {
	if to > int64(len(h.dirty)) {
		return true
	}
	return !bytes.Equal(h.clean[from:to], h.dirty[from:to])
}

// harm damages a file of a checkpoint in a way that the random source decides.
func harm(t testing.TB, r *rand.Rand, root, name string) hurt {
	t.Helper()
	path := filepath.Join(root, name)
	clean, err := os.ReadFile(path)
	must(t, err)
	h := hurt{name: name, clean: clean, dirty: slices.Clone(clean)}
	from := r.IntN(len(clean))
	to := min(len(clean), from+1+r.IntN(40))
	switch r.IntN(6) {
	case 0, 1:
		h.dirty[from] ^= 1 << r.IntN(8)
	case 2:
		clear(h.dirty[from:to])
	case 3:
		for i := from; i < to; i++ {
			h.dirty[i] = byte(r.Uint32())
		}
	case 4:
		h.dirty = h.dirty[:from]
	case 5:
		h.dirty = nil
		must(t, os.Remove(path))
		return h
	}
	must(t, os.WriteFile(path, h.dirty, 0o600))
	return h
}

// files are the names of the files that a checkpoint has, but its metadata.
func filesOf(t testing.TB, c *flink.Checkpoint) (names []string) {
	t.Helper()
	for ref := range c.Metadata().Handles() {
		l, err := c.Locate(t.Context(), *ref.Handle)
		must(t, err)
		if l.Name != "" && !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names
}

// sums are those of all files below a folder.
func sums(t testing.TB, root string) string {
	t.Helper()
	h := sha256.New()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(b))
		return err
	}))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// findings counts what verify finds that is worse than a note.
func findings(t testing.TB, c *flink.Checkpoint) (n int) {
	t.Helper()
	for check, err := range c.Checks(t.Context(), checkpoint.LevelRecords) {
		must(t, err)
		must(t, check.Run(t.Context(), func(f checkpoint.Finding) {
			if f.Severity == checkpoint.Error {
				n++
			}
		}))
	}
	return n
}

// Random damage of any file of any sample: the result verifies, the source stays as it
// is, and what is kept is what was there, but for what damage touched.
func TestSalvageSamples(t *testing.T) {
	total := &salvageTotals{}
	for _, s := range oracle.Samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			rounds := 3
			if long() {
				rounds = 30
			}
			r := rand.New(rand.NewPCG(uint64(len(s.Name)), 15))
			j := copied(t, s)
			clean := contentsOf(t, j.open(t, j.chk))
			names := filesOf(t, j.open(t, j.chk))
			for i := range rounds {
				if len(names) == 0 {
					break
				}
				h := harm(t, r, j.root, names[r.IntN(len(names))])
				salvageOne(t, j, clean, h, fmt.Sprint("result-", i), total)
				must(t, os.WriteFile(filepath.Join(j.root, h.name), h.clean, 0o600))
				if t.Failed() {
					t.Fatalf("round %d: %v", i, h)
				}
			}
		})
	}
	fmt.Printf("RESULT flink-salvage-samples %+v\n", *total)
}

type salvageTotals struct{ damaged, unknown, unseen, kept, missing, altered, invented, records, recordsMissing, recordsAltered int }

// salvageOne salvages one damaged checkpoint and compares.
func salvageOne(t *testing.T, j *job, clean *contents, h hurt, dst string, total *salvageTotals) {
	before := sums(t, j.root)
	src := j.open(t, j.chk)
	found := findings(t, src)
	plan, err := j.format.Plan(t.Context(), src, salvageEdit, dst)
	if err != nil {
		t.Fatalf("%v: %v", h, err)
	}
	out := j.apply(t, salvageEdit, dst)
	c := j.open(t, dst)
	if unknown(t, c) {
		total.unknown++
		must(t, os.RemoveAll(filepath.Join(j.root, dst)))
		return
	}
	verified(t, c)
	got := contentsOf(t, c)
	must(t, os.RemoveAll(filepath.Join(j.root, dst)))
	if sums(t, j.root) != before {
		t.Error("the source has changed")
	}
	if len(plan.Losses) != len(out.Losses) {
		t.Errorf("planned %d losses, %d came", len(plan.Losses), len(out.Losses))
	}
	if found == 0 && !unknown(t, src) && slices.ContainsFunc(out.Losses, func(l checkpoint.Loss) bool { return l.Edge == "" }) {
		t.Errorf("nothing is wrong, and lost is %+v", out.Losses)
	}
	if found == 0 {
		total.unseen++
	}
	total.damaged++
	clean.compare(t, got, h, out, total)
}

// unknown reports whether a header names a class that is none any more, so that
// nothing can be compared; or a file is not where any other one is.
func unknown(t testing.TB, c *flink.Checkpoint) (is bool) {
	t.Helper()
	for check, err := range c.Checks(t.Context(), checkpoint.LevelRecords) {
		must(t, err)
		must(t, check.Run(t.Context(), func(f checkpoint.Finding) {
			is = is || errors.Is(f.Err, wire.ErrUnsupported) || errors.Is(f.Err, flink.ErrOutside)
		}))
	}
	return is
}

// hurtHead changes the length of a record so that it is none. It returns false if the
// record's head does not lie in one file.
func hurtHead(t testing.TB, j *job, i item) bool {
	t.Helper()
	if p := i.where[0]; p.name == "" || p.to-p.from < 4 {
		return false
	}
	path := filepath.Join(j.root, i.where[0].name)
	b, err := os.ReadFile(path)
	must(t, err)
	b[i.where[0].from] ^= 0x80
	must(t, os.WriteFile(path, b, 0o600))
	return true
}

// A record that lies in both halves of a channel is lost whole, and told once (R8); all
// others stay.
func TestSalvageStraddling(t *testing.T) {
	n := 0
	for _, s := range oracle.Samples(t) {
		j := copied(t, s)
		all := contentsOf(t, j.open(t, j.chk))
		at := slices.IndexFunc(all.flight, func(i item) bool { return i.straddles })
		if at < 0 || !hurtHead(t, j, all.flight[at]) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			out := j.apply(t, salvageEdit, "result")
			c := j.open(t, "result")
			verified(t, c)
			want := slices.Delete(texts(all.flight), at, at+1)
			got := texts(contentsOf(t, c).flight)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d records of %d, expected %d", len(got), len(all.flight), len(want))
			}
			var lost uint64
			for _, l := range out.Losses {
				lost += l.Records
			}
			if lost != 1 {
				t.Errorf("%d records are told as lost: %+v", lost, out.Losses)
			}
			n++
		})
	}
	fmt.Printf("RESULT flink-salvage-straddling samples=%d\n", n)
	if n < 5 {
		t.Errorf("%d samples have such a record", n)
	}
}

// texts are the contents of items.
func texts(list []item) (all []string) {
	for _, i := range list {
		all = append(all, i.text)
	}
	return all
}

// If writing fails, or is interrupted, wherever that is: there is nothing at the
// destination, and the source is as it was.
func TestSalvageFails(t *testing.T) {
	var s *oracle.Sample
	for _, other := range oracle.Samples(t) {
		if other.Name == "1.20/unaligned-edges" {
			s = other
		}
	}
	j := copied(t, s)
	all := contentsOf(t, j.open(t, j.chk))
	if !hurtHead(t, j, all.flight[1]) {
		t.Fatal("the record is not in a file")
	}
	before := sums(t, j.root)
	ended := 0
	for k := 0; ; k++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		_, err := j.format.Apply(ctx, j.open(t, j.chk), salvageEdit, "result", func(checkpoint.Progress) {
			if steps++; steps > k {
				cancel()
			}
		})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if sums(t, j.root) != before {
			t.Fatalf("after %d steps something is left, or changed", k)
		}
		ended++
	}
	if ended < 3 {
		t.Errorf("interrupted %d times", ended)
	}
	verified(t, j.open(t, "result"))
}
