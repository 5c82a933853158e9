//go:build unix

package killtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/filesink"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/local"
)

// What the parent tells the child, in environment variables.
const (
	envDir         = "TIDEMARK_KILLTEST_DIR"
	envParallelism = "TIDEMARK_KILLTEST_PARALLELISM"
	envFaults      = "TIDEMARK_KILLTEST_FAULTS"
	envRecords     = "TIDEMARK_KILLTEST_RECORDS" // of each split; 0: without end, and slowly
	envNoLock      = "TIDEMARK_KILLTEST_NOLOCK"
)

// How the child ends if it is not killed.
const (
	exitFailed = 1
	exitFenced = 6
)

const (
	splits = 6
	keys   = 40
)

// Folders below the directory of a test.
const (
	rootDir   = "root"
	outputDir = "output"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child is the process that is killed.
func child(dir string) int {
	run := runJob
	if os.Getenv(envCall) != "" {
		run = generate
	}
	err := run(dir)
	switch {
	case errors.Is(err, engine.ErrFenced):
		fmt.Fprintln(os.Stderr, err)
		return exitFenced
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	default:
		return 0
	}
}

// number is a record of the source.
type number struct {
	Split, Seq, Key int64
}

// line is a record of the output: N counts the records of its key.
type line struct {
	Split int64 `json:"s"`
	Seq   int64 `json:"i"`
	Key   int64 `json:"k"`
	N     int64 `json:"n"`
}

// keyOf is the key of a record.
func keyOf(split, seq int64) int64 {
	h := uint64(split*1_000_003+seq+1) * 0x9E3779B97F4A7C15
	return int64((h >> 33) % keys)
}

func runJob(dir string) error {
	parallelism, err := strconv.Atoi(os.Getenv(envParallelism))
	if err != nil {
		return err
	}
	records, err := strconv.ParseInt(os.Getenv(envRecords), 10, 64)
	if err != nil {
		return err
	}
	disk, err := local.Open(dir+"/"+rootDir, local.WithCreate())
	if err != nil {
		return err
	}
	defer disk.Close()
	st, err := faults.Wrap(disk, os.Getenv(envFaults))
	if err != nil {
		return err
	}
	g := engine.NewGraph("killed")
	numbers := engine.From(g, "numbers", engine.Source[number](source{records}), engine.BoundedDisorder(func(n number) int64 { return n.Seq }, 0))
	byKey := engine.KeyBy(numbers, func(n number) int64 { return n.Key })
	engine.Apply(byKey, "count", func() engine.Process[int64, number, line] { return &counter{} }).
		To("lines", filesink.NewJSONL[line](dir+"/"+outputDir, filesink.Options[line]{}))
	return engine.Run(context.Background(), g, engine.Config{
		Parallelism: parallelism,
		Checkpoints: engine.CheckpointConfig{Store: st, Interval: 40 * time.Millisecond, NoLock: os.Getenv(envNoLock) != ""},
		Restore:     engine.RestoreConfig{From: "latest"},
	})
}

type counter struct{ n engine.Value[int64] }

func (c *counter) Open(b *engine.Binder) error { return c.n.Bind(b, "n") }

func (c *counter) Process(_ *engine.Context[int64], r number, out *engine.Output[line]) error {
	n := c.n.Get() + 1
	c.n.Set(n)
	out.Emit(line{r.Split, r.Seq, r.Key, n})
	return nil
}

// source numbers the records of its splits. Without an end it gives a few at a
// time, so that a run has something to do until it is killed.
type source struct{ records int64 }

func (s source) Splits(context.Context) ([]engine.Split, error) {
	list := make([]engine.Split, splits)
	for i := range list {
		list[i] = engine.Split{ID: fmt.Sprintf("split-%d", i), Data: []byte{byte(i)}}
	}
	return list, nil
}

func (s source) Open(_ context.Context, sp engine.Split, position []byte) (engine.SplitReader[number], error) {
	r := &splitReader{records: s.records, split: int64(sp.Data[0])}
	if position != nil {
		r.at = int64(binary.BigEndian.Uint64(position))
	}
	return r, nil
}

type splitReader struct {
	records, split, at int64
	pause              bool
}

// few is what a slow source gives at once.
const few = 20

func (r *splitReader) Read(_ context.Context, batch []number) (int, error) {
	n := int64(len(batch))
	if r.records == 0 {
		if r.pause = !r.pause; !r.pause {
			return 0, nil
		}
		n = min(n, few)
	} else {
		n = min(n, r.records-r.at)
	}
	for i := range n {
		batch[i] = number{r.split, r.at, keyOf(r.split, r.at)}
		r.at++
	}
	if r.records != 0 && r.at == r.records {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (r *splitReader) Position(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(r.at))
}

func (r *splitReader) Close() error { return nil }
