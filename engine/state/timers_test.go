package state

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// modelTimer is a timer of the model.
type modelTimer struct {
	modelKey
	time int64
}

func (x modelTimer) String() string { return fmt.Sprintf("%v@%d", x.modelKey, x.time) }

// byTime is the order of firing, byKey that of a snapshot.
func byTime(a, b modelTimer) int {
	return cmp.Or(cmp.Compare(a.time, b.time), compareModelKeys(a.modelKey, b.modelKey))
}

func byKey(a, b modelTimer) int {
	return cmp.Or(compareModelKeys(a.modelKey, b.modelKey), cmp.Compare(a.time, b.time))
}

// timerModel is a set of timers and the Timers that must equal it.
type timerModel struct {
	t    *Timers
	want map[modelTimer]bool
	s    *source
	now  int64
}

func newTimerModel(s *source) (*timerModel, error) {
	t, err := NewTimers(s.o)
	return &timerModel{t: t, want: map[modelTimer]bool{}, s: s}, err
}

// random is a timer near the present, or at an end of time.
func (m *timerModel) random() modelTimer {
	k := m.s.key()
	time := m.now + m.s.r.Int64N(40) - 5
	switch m.s.r.IntN(50) {
	case 0:
		time = math.MaxInt64
	case 1:
		time = math.MinInt64
	}
	return modelTimer{modelKey{keygroup.Hash(m.s.sum(k) >> 32), string(k), string(m.s.ns())}, time}
}

func (m *timerModel) step() error {
	x := m.random()
	key, ns := []byte(x.key), []byte(x.ns)
	sum := m.s.sum(key)
	switch op := m.s.r.IntN(10); {
	case op < 5:
		isNew, err := m.t.Register(sum, key, ns, x.time)
		if err != nil || isNew == m.want[x] {
			return fmt.Errorf("Register %v: %v, %v", x, isNew, err)
		}
		m.want[x] = true
	case op < 8:
		if m.t.Delete(sum, key, ns, x.time) != m.want[x] {
			return fmt.Errorf("Delete %v: not %v", x, m.want[x])
		}
		delete(m.want, x)
	default:
		m.now++
		return m.fire(m.now, m.s.r.IntN(20))
	}
	if m.t.Len() != len(m.want) {
		return fmt.Errorf("Len %d, want %d", m.t.Len(), len(m.want))
	}
	return nil
}

// fire pops at most n timers up to a time and compares them with the model's
// first, registering timers from within as a callback does.
func (m *timerModel) fire(upTo int64, n int) error {
	due := make([]modelTimer, 0, len(m.want))
	for x := range m.want {
		due = append(due, x)
	}
	slices.SortFunc(due, byTime)
	next, ok := m.t.Next()
	if ok != (len(due) > 0) || ok && next != due[0].time {
		return fmt.Errorf("Next is %d, %v", next, ok)
	}
	for _, want := range due[:min(n, len(due))] {
		got, ok := m.t.Pop(upTo)
		if ok != (want.time <= upTo) {
			return fmt.Errorf("Pop(%d) is %v for the time %d", upTo, ok, want.time)
		}
		if !ok {
			return nil
		}
		// The slices must outlive what a callback does.
		if _, err := m.t.Register(got.Sum, got.Key, got.Namespace, math.MaxInt64); err != nil {
			return err
		}
		m.want[modelTimer{want.modelKey, math.MaxInt64}] = true
		if want.time != math.MaxInt64 {
			if m.t.Delete(got.Sum, got.Key, got.Namespace, want.time) {
				return fmt.Errorf("the timer %v is still there after it fired", want)
			}
			delete(m.want, want)
		}
		x := modelTimer{modelKey{keygroup.Hash(got.Sum >> 32), string(got.Key), string(got.Namespace)}, got.Time}
		if x != want {
			return fmt.Errorf("Pop is %v, want %v", x, want)
		}
	}
	return nil
}

// check compares a snapshot with the model and restores it elsewhere.
func (m *timerModel) check(groups int) error {
	s, err := m.t.Snapshot()
	if err != nil {
		return err
	}
	defer s.Release()
	want := make([]modelTimer, 0, len(m.want))
	for x := range m.want {
		want = append(want, x)
	}
	slices.SortFunc(want, byKey)
	o := m.s.o
	o.Groups, o.Range = groups, whole(groups)
	other, err := NewTimers(o)
	if err != nil {
		return err
	}
	if s.Len() != len(want) {
		return fmt.Errorf("snapshot Len %d, want %d", s.Len(), len(want))
	}
	l := other.Load(s.Len())
	i := 0
	for e := range s.Entries() {
		x := modelTimer{modelKey{e.Hash, string(e.Key), string(e.Namespace)}, e.Time}
		if i >= len(want) || x != want[i] {
			return fmt.Errorf("snapshot has %v, want %v", x, want[min(i, len(want)-1)])
		}
		i++
		if err := l.Append(sumOf(x.modelKey), e.Key, e.Namespace, e.Time); err != nil {
			return err
		}
	}
	if i != len(want) {
		return fmt.Errorf("snapshot of %d timers, want %d", i, len(want))
	}
	l.Finish()
	slices.SortFunc(want, byTime)
	for _, x := range want {
		got, ok := other.Pop(math.MaxInt64)
		if !ok || (modelTimer{modelKey{keygroup.Hash(got.Sum >> 32), string(got.Key), string(got.Namespace)}, got.Time}) != x {
			return fmt.Errorf("restored timers fire %+v, want %v", got, x)
		}
	}
	if _, ok := other.Pop(math.MaxInt64); ok || other.Len() != 0 {
		return fmt.Errorf("restored timers do not end")
	}
	return nil
}

func TestTimersAgainstModel(t *testing.T) {
	const operations = 1500
	for i, o := range modelOptions {
		if o.Groups > 1000 {
			o.Groups, o.Range = 1000, whole(1000)
		}
		for _, collide := range []int{0, 2} {
			s := &source{r: rand.New(rand.NewPCG(uint64(i), 11)), o: o, keys: 40, collide: collide}
			m, err := newTimerModel(s)
			if err != nil {
				t.Fatal(err)
			}
			for n := range operations {
				err := m.step()
				if err == nil && n%500 == 499 {
					err = m.check(1 + n%13)
				}
				if err != nil {
					t.Fatalf("%+v, collide %d, operation %d: %v", o, collide, n, err)
				}
			}
		}
	}
	fmt.Printf("RESULT timers-model shapes=%d operations=%d wrong=0\n", 2*len(modelOptions), 2*len(modelOptions)*operations)
}

// TestTimersOrder: the order of registration does not show, times of equal
// value fire by hash, and namespaces that begin alike are kept apart from the
// time behind them.
func TestTimersOrder(t *testing.T) {
	var want []modelTimer
	for i := range uint64(200) {
		k := key8(i % 50)
		for _, ns := range []string{"", "a", "a\x80", "ab"} {
			want = append(want, modelTimer{modelKey{keyhash.Of(k), string(k), ns}, int64(i % 3)})
		}
	}
	slices.SortFunc(want, byTime)
	want = slices.Compact(want)
	for seed := range uint64(5) {
		timers, err := NewTimers(Options{Groups: 16, Range: whole(16), KeyWidth: 8, NamespaceWidth: Variable})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(want)) {
			x := want[i]
			if _, err := timers.Register(keyhash.Sum64([]byte(x.key)), []byte(x.key), []byte(x.ns), x.time); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range want {
			got, ok := timers.Pop(5)
			if !ok || string(got.Key) != x.key || string(got.Namespace) != x.ns || got.Time != x.time {
				t.Fatalf("seed %d: Pop is %+v, want %v", seed, got, x)
			}
		}
	}
}

// TestTimersForget: timers that are moved over and over, as the ends of
// sessions are, do not pile up.
func TestTimersForget(t *testing.T) {
	timers, err := NewTimers(Options{Groups: 4, Range: whole(4), KeyWidth: 8})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(50_000) {
		k := key8(uint64(i % 10))
		sum := keyhash.Sum64(k)
		timers.Delete(sum, k, nil, i-10+1_000_000)
		if _, err := timers.Register(sum, k, nil, i+1_000_000); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(50_000) { // the same timers, over and over
		k := key8(100 + i%20)
		sum := keyhash.Sum64(k)
		timers.Delete(sum, k, nil, 5_000_000)
		if _, err := timers.Register(sum, k, nil, 5_000_000); err != nil {
			t.Fatal(err)
		}
	}
	if timers.Len() != 30 || timers.Bytes() > 100_000 {
		t.Errorf("%d timers take %d bytes", timers.Len(), timers.Bytes())
	}
	if next, ok := timers.Next(); !ok || next != 1_000_000+50_000-10 {
		t.Errorf("Next is %d, %v", next, ok)
	}
}
