package recovery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// uuid is the n-th of some names as Flink gives them to files.
func uuid(n int) string { return fmt.Sprintf("%08d-1111-4222-8333-%012d", n, n) }

// flinkPile is a root with two jobs of Flink: what nobody uses of it has numbers above
// 50, what gc must not touch in spite of that numbers above 70.
func flinkPile(t *testing.T) *pile {
	t.Helper()
	p := newPile()
	p.kind = checkpoint.KindFlinkCheckpoint
	p.uses["a/chk-7"] = []string{"a/chk-7/" + uuid(1), "a/shared/" + uuid(2), "a/taskowned/" + uuid(3), "a/shared/dir/" + uuid(4)}
	// A file named by the place it had where the job ran.
	p.uses["b/chk-1"] = []string{"b/chk-1/" + uuid(5), "hdfs://there/b/shared/" + uuid(6)}
	p.partial = []string{"a/chk-6"}
	for path, uses := range p.uses {
		p.add(t, 0, path+"/_metadata")
		for _, name := range uses {
			if !strings.Contains(name, ":") {
				p.add(t, 0, name)
			}
		}
	}
	p.add(t, 0, "b/shared/"+uuid(6))
	p.add(t, 0, "a/shared/"+uuid(51), "a/shared/dir/"+uuid(52), "a/chk-6/"+uuid(53), "a/chk-7/"+uuid(54), "b/shared/"+uuid(55))
	p.add(t, 0, "a/taskowned/"+uuid(71), "a/chk-7/_tidemark-losses.json", "a/chk-7/notes.txt", "a/shared/readme", "a/savepoint-1-2/"+uuid(72), uuid(73),
		"c/shared/"+uuid(74), "a/dstl/"+uuid(75))
	p.now = p.now.Add(48 * time.Hour)
	p.add(t, 0, "a/shared/"+uuid(76))
	return p
}

// Of Flink's folders only files that it has named go, from the shared folders and from
// those of checkpoints: not what tasks own, not savepoints, nothing of somebody else's.
func TestGCFlink(t *testing.T) {
	p := flinkPile(t)
	g, err := p.collect(t, true, 0)
	want := fmt.Sprintf("a/chk-6/%s a/chk-7/%s a/shared/%s a/shared/dir/%s b/shared/%s", uuid(53), uuid(54), uuid(51), uuid(52), uuid(55))
	if err != nil || g.names() != want || g.Deleted != 5 || g.Young != 1 {
		t.Fatalf("%s\nwant %s\n%+v, %v", g.names(), want, g, err)
	}
	for _, uses := range p.uses {
		for _, name := range uses {
			if _, err := p.Stat(t.Context(), name); err != nil && !strings.Contains(name, ":") {
				t.Error(err)
			}
		}
	}
	if _, err := p.Stat(t.Context(), "b/shared/"+uuid(6)); err != nil {
		t.Errorf("a file that a checkpoint uses by another path: %v", err)
	}
}

// If one metadata does not read nothing goes.
func TestGCFlinkUncertain(t *testing.T) {
	p := flinkPile(t)
	p.broken = "b/chk-1"
	if g, err := p.collect(t, true, 0); !errors.Is(err, ErrUncertain) || g.Deleted != 0 {
		t.Errorf("%+v, %v", g, err)
	}
}

// A checkpoint that completes while gc is at work keeps what it uses.
func TestGCFlinkWhileCheckpointsComplete(t *testing.T) {
	for at := 2; at <= 3; at++ {
		p := flinkPile(t)
		p.listed = func(n int) {
			if n == at {
				p.partial = nil
				p.uses["a/chk-6"] = []string{"a/chk-6/" + uuid(53), "a/shared/" + uuid(51)}
			}
		}
		g, err := p.collect(t, true, 0)
		want := fmt.Sprintf("a/chk-7/%s a/shared/dir/%s b/shared/%s", uuid(54), uuid(52), uuid(55))
		if err != nil || g.names() != want {
			t.Errorf("at listing %d: %s, %v", at, g.names(), err)
		}
		for _, name := range p.uses["a/chk-6"] {
			if _, err := p.Stat(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}
}
