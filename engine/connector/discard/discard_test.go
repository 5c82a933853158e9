package discard

import (
	"context"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
)

func TestCount(t *testing.T) {
	s := New[string]()
	for i := range 3 {
		w, err := s.Open(context.Background(), engine.SinkContext{Subtask: i, Parallelism: 3})
		if err != nil {
			t.Fatal(err)
		}
		for range lag + i {
			if err := w.Write("x", 0); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Count(); got < uint64(i+1)*lag {
			t.Errorf("%d before Flush lags too much", got)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Count(); got != 3*lag+3 {
		t.Errorf("count %d, want %d", got, 3*lag+3)
	}
}
