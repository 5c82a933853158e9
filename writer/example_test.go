package writer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
)

// A checkpoint with one keyed state, written by one subtask.
func Example() {
	ctx := context.Background()
	st := mem.New() // usually local.Open(dir)
	w, err := writer.New(writer.Options{Store: st, Dir: layout.Checkpoint(7), ID: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort(ctx) // does nothing after a successful Commit

	text := &format.Schema{Type: format.TypeString}
	s, err := w.Slice(ctx, writer.SliceSpec{State: 0, Operator: "count", Parallelism: 1, KeyGroups: 128,
		Name: "total", Kind: format.KindKeyed, Key: text, Value: text, Interval: keygroup.All()})
	if err != nil {
		log.Fatal(err)
	}
	key := []byte("\x03SFO") // the canonical encoding: a length and the bytes
	if err := s.Keyed(keyhash.Of(key), key, nil, []byte("\x0242")); err != nil {
		log.Fatal(err)
	}
	slice, err := s.Close()
	if err != nil {
		log.Fatal(err)
	}

	if err := w.Seal(ctx); err != nil {
		log.Fatal(err)
	}
	err = w.Commit(ctx, &format.Manifest{
		Summary:   format.Summary{Kind: format.Checkpoint, Job: "example", Hash: keyhash.Name},
		Operators: []format.Operator{{UID: "count", Parallelism: 1, KeyGroups: 128, KeySchema: 0}},
		States:    []format.State{{Operator: 0, Name: "total", Kind: format.KindKeyed, Edge: format.None, Namespace: format.None, Value: 0}},
		Schemas:   []*format.Schema{text},
		Slices:    []format.Slice{slice},
	})
	fmt.Println("committed:", err == nil)
	// Output:
	// committed: true
}
