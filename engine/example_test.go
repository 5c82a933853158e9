package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store/mem"
)

// WordCount is a word and how often it came until now.
type WordCount struct {
	Word string
	N    int64
}

// wordCounter counts the words of one subtask; its state follows the key.
type wordCounter struct{ n engine.Value[int64] }

func (c *wordCounter) Open(b *engine.Binder) error { return c.n.Bind(b, "n") }

func (c *wordCounter) Process(ctx *engine.Context[string], _ string, out *engine.Output[WordCount]) error {
	n := c.n.Get() + 1
	c.n.Set(n)
	out.Emit(WordCount{ctx.Key(), n})
	return nil
}

// countWords is the job of several examples.
func countWords(lines engine.Source[string], sink engine.Sink[WordCount]) *engine.Graph {
	g := engine.NewGraph("word count")
	text := engine.From(g, "lines", lines, engine.Watermarks[string]{})
	words := engine.FlatMap(text, func(line string, out *engine.Output[string]) {
		for word := range strings.FieldsSeq(line) {
			out.Emit(word)
		}
	})
	byWord := engine.KeyBy(words, func(w string) string { return w })
	engine.Apply(byWord, "count", func() engine.Process[string, string, WordCount] { return &wordCounter{} }).To("out", sink)
	return g
}

// final prints the last count of each word.
func final(counts []WordCount) {
	last := map[string]int64{}
	for _, c := range counts {
		last[c.Word] = max(last[c.Word], c.N)
	}
	var lines []string
	for word, n := range last {
		lines = append(lines, fmt.Sprintf("%s %d", word, n))
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

// Counting words: a source, a function from lines to words, state per word.
func Example() {
	lines := slice.New([]string{"to be or not to be", "that is the question"}, 2)
	out := collect.New[WordCount]()
	if err := engine.Run(context.Background(), countWords(lines, out), engine.Config{Parallelism: 2}); err != nil {
		fmt.Println(err)
	}
	final(out.Records())
	// Output:
	// be 2
	// is 1
	// not 1
	// or 1
	// question 1
	// that 1
	// the 1
	// to 2
}

// fibonacci is a source with one split. Its position is the index of the next
// number, so that a restored job goes on where the checkpoint was.
type fibonacci struct{ n uint64 }

func (f fibonacci) Splits(context.Context) ([]engine.Split, error) {
	return []engine.Split{{ID: "numbers"}}, nil
}

func (f fibonacci) Open(_ context.Context, _ engine.Split, position []byte) (engine.SplitReader[uint64], error) {
	r := &fibonacciReader{n: f.n, b: 1}
	if position != nil { // nil is the beginning
		for at := binary.BigEndian.Uint64(position); r.at < at; {
			r.next()
		}
	}
	return r, nil
}

type fibonacciReader struct{ n, at, a, b uint64 }

func (r *fibonacciReader) next() uint64 {
	r.a, r.b, r.at = r.b, r.a+r.b, r.at+1
	return r.a
}

func (r *fibonacciReader) Read(_ context.Context, batch []uint64) (int, error) {
	for i := range batch {
		if r.at == r.n {
			return i, io.EOF
		}
		batch[i] = r.next()
	}
	return len(batch), nil
}

func (r *fibonacciReader) Position(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, r.at)
}

func (r *fibonacciReader) Close() error { return nil }

// A source of one's own says what its splits are, and for each where it stands.
func ExampleSource() {
	g := engine.NewGraph("fibonacci")
	numbers := engine.From(g, "fibonacci", engine.Source[uint64](fibonacci{n: 12}), engine.Watermarks[uint64]{})
	out := collect.New[uint64]()
	numbers.Filter(func(n uint64) bool { return n%2 == 1 }).To("out", out)
	if err := engine.Run(context.Background(), g, engine.Config{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(out.Records())
	// Output: [1 1 3 5 13 21 55 89]
}

// printer is a sink whose writers print at each flush. It has no part in
// checkpoints: after a failure it may print a record again. A sink that must
// not implements engine.Committer, too; see package filesink.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) Open(_ context.Context, sc engine.SinkContext) (engine.SinkWriter[uint64], error) {
	return &printerWriter{p: p, subtask: sc.Subtask}, nil
}

type printerWriter struct {
	p       *printer
	subtask int
	lines   []string
}

func (w *printerWriter) Write(n uint64, _ int64) error {
	w.lines = append(w.lines, strconv.FormatUint(n, 10))
	return nil
}

func (w *printerWriter) Flush() error {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	if len(w.lines) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w.p.out, "subtask %d: %s\n", w.subtask, strings.Join(w.lines, ", "))
	w.lines = nil
	return err
}

func (w *printerWriter) Close() error { return nil }

// A sink of one's own makes a writer for each subtask.
func ExampleSink() {
	g := engine.NewGraph("printer")
	engine.From(g, "fibonacci", engine.Source[uint64](fibonacci{n: 7}), engine.Watermarks[uint64]{}).
		To("print", &printer{out: os.Stdout})
	if err := engine.Run(context.Background(), g, engine.Config{}); err != nil {
		fmt.Println(err)
	}
	// Output: subtask 0: 1, 1, 2, 3, 5, 8, 13
}

// bigCodec encodes numbers of any size, for which no codec can be derived, as
// text that tools can show.
var bigCodec = codec.Framed(
	func(dst []byte, n *big.Int) ([]byte, error) { return n.Append(dst, 10), nil },
	func(src []byte) (*big.Int, error) {
		n, ok := new(big.Int).SetString(string(src), 10)
		if !ok {
			return nil, fmt.Errorf("%q is not a number", src)
		}
		return n, nil
	},
	&format.Schema{Type: format.TypeString})

// product multiplies the numbers of a key.
type product struct{ so engine.Value[*big.Int] }

func (p *product) Open(b *engine.Binder) error { return p.so.BindCodec(b, "product", bigCodec) }

func (p *product) Process(_ *engine.Context[bool], n *big.Int, out *engine.Output[string]) error {
	so, ok := p.so.Lookup()
	if !ok {
		so = big.NewInt(1)
	}
	so = new(big.Int).Mul(so, n)
	p.so.Set(so)
	out.Emit(so.String())
	return nil
}

// A codec of one's own carries a type through exchanges and state.
func ExampleCodec() {
	g := engine.NewGraph("products")
	numbers := engine.From(g, "fibonacci", engine.Source[uint64](fibonacci{n: 100}), engine.Watermarks[uint64]{})
	large := engine.Map(numbers, func(n uint64) *big.Int { return new(big.Int).SetUint64(n | 1) }).WithCodec(bigCodec)
	together := engine.KeyBy(large, func(*big.Int) bool { return true })
	out := collect.New[string]()
	engine.Apply(together, "product", func() engine.Process[bool, *big.Int, string] { return &product{} }).To("out", out)
	if err := engine.Run(context.Background(), g, engine.Config{Parallelism: 1}); err != nil {
		fmt.Println(err)
	}
	all := out.Records()
	fmt.Println(all[9])
	fmt.Println(len(all[99]), "digits")
	// Output:
	// 212837625
	// 1014 digits
}

// visit is a page view.
type visit struct {
	User string
	At   int64 // ms
}

// sessions counts the visits of each user until none came for a while. The
// timer of the last visit ends the session.
type sessions struct {
	visits, ends engine.Value[int64]
}

const silence = 1000 // ms

func (s *sessions) Open(b *engine.Binder) error {
	return errors.Join(s.visits.Bind(b, "visits"), s.ends.Bind(b, "ends"))
}

func (s *sessions) Process(ctx *engine.Context[string], v visit, _ *engine.Output[string]) error {
	s.visits.Set(s.visits.Get() + 1)
	if end, ok := s.ends.Lookup(); ok {
		ctx.DeleteTimer(end)
	}
	s.ends.Set(v.At + silence)
	ctx.RegisterTimer(v.At + silence)
	return nil
}

func (s *sessions) OnTimer(ctx *engine.Context[string], at int64, out *engine.Output[string]) error {
	out.Emit(fmt.Sprintf("%s made %d visits until %d", ctx.Key(), s.visits.Get(), at-silence))
	s.visits.Clear()
	s.ends.Clear()
	return nil
}

// Timers act when event time reaches them, whatever the clock says.
func ExampleTimerHandler() {
	visits := slice.New([]visit{{"ann", 100}, {"bob", 200}, {"ann", 700}, {"cat", 2500}, {"bob", 2900}, {"ann", 3000}}, 1)
	g := engine.NewGraph("sessions")
	s := engine.From(g, "visits", visits, engine.BoundedDisorder(func(v visit) int64 { return v.At }, time.Millisecond).EveryRecords(1))
	byUser := engine.KeyBy(s, func(v visit) string { return v.User })
	out := collect.New[string]()
	engine.Apply(byUser, "sessions", func() engine.Process[string, visit, string] { return &sessions{} }).To("out", out)
	if err := engine.Run(context.Background(), g, engine.Config{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Join(out.Records(), "\n"))
	// Output:
	// bob made 1 visits until 200
	// ann made 2 visits until 700
	// cat made 1 visits until 2500
	// bob made 1 visits until 2900
	// ann made 1 visits until 3000
}

// A job that was stopped continues from its last checkpoint, with another
// parallelism if that is wanted. No record is lost and none is counted twice.
func ExampleRestoreConfig() {
	root, out := mem.New(), collect.New[WordCount]()
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: root}}

	// The source has more to come, so the job ends by being stopped.
	src := newSeries(1, 9, 4, func(_ int, i uint64) string {
		return strings.Fields("one two two three three three four four four")[i]
	})
	job, err := engine.Start(context.Background(), countWords(src, out), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	src.rest()
	job.Stop()
	if err := job.Wait(); err != nil {
		fmt.Println(err)
	}
	final(out.Records())

	src.free()
	cfg.Parallelism = 5
	cfg.Restore.From = "latest"
	if err := engine.Run(context.Background(), countWords(src, out), cfg); err != nil {
		fmt.Println(err)
	}
	fmt.Println("after the restore:")
	final(out.Records())
	fmt.Println(len(out.Records()), "records")
	// Output:
	// one 1
	// three 1
	// two 2
	// after the restore:
	// four 3
	// one 1
	// three 3
	// two 2
	// 9 records
}
