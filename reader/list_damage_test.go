package reader_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// A listing calls no checkpoint complete whose manifest has a damaged byte
// anywhere, although it shows no more of it than the summary.
func TestListFindsDamagedManifests(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Keys: 20, Flight: 5}
	if _, err := j.Write(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	name := layout.Join(j.Dir(), layout.Manifest)
	intact, err := store.ReadAll(t.Context(), st, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	put := func(data []byte) {
		t.Helper()
		if err := st.Remove(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := store.WriteAll(t.Context(), st, name, data); err != nil {
			t.Fatal(err)
		}
	}
	status := func() checkpoint.Info {
		t.Helper()
		var all []checkpoint.Info
		for info, err := range reader.NewFormat(st).List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, info)
		}
		if len(all) != 1 {
			t.Fatalf("%d checkpoints", len(all))
		}
		return all[0]
	}
	if info := status(); info.Status != checkpoint.Complete {
		t.Fatalf("intact: %v, %v", info.Status, info.Reason)
	}
	for at := range intact {
		bad := bytes.Clone(intact)
		bad[at] ^= 1 << (at % 8)
		put(bad)
		if info := status(); info.Status == checkpoint.Complete || info.Reason == nil {
			t.Errorf("byte %d of %d: %v, %v", at, len(intact), info.Status, info.Reason)
		}
	}
	fmt.Printf("RESULT list-damage manifests=%d\n", len(intact))
}
