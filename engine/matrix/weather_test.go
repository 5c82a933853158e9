package matrix_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// weather is the store of a simulation as one member sees it: slow, and failing as
// chance has it, before or after a call has had its effect. It notes what changes the
// store, and what nobody may do.
type weather struct {
	disk bare
	m    *member
	calm *atomic.Bool // no failures any more

	mu      sync.Mutex
	checked map[context.Context]uint64 // newest run that its owner has seen
	tried   map[string]bool            // manifests
}

// bare hides the abilities of a store, its lock among them.
type bare struct{ store.Store }

// What a call comes to.
type fate uint8

const (
	fine   fate = iota
	failed      // without an effect
	busy        // likewise, and it is worth trying again
	lost        // it had its effect, and the reply did not come
	cut         // likewise, and nobody is to try again
)

var (
	errWeather = errors.New("the store has failed as planned")
	errDead    = errors.New("the process is dead")
)

// slow tells calls that take time: what changes the store, and the question whether
// another run has begun. For other reading the clock stands still.
func slow(op, name string) bool {
	if op == "list" {
		return name == layout.Runs+"/"
	}
	return op == "create" || op == "commit" || op == "remove"
}

// call waits as long as the way to the store takes, and decides.
func (s *weather) call(op, name string) (f fate, back time.Duration, err error) {
	if s.m.dead.Load() {
		return failed, 0, &store.Error{Op: op, Name: name, Err: errDead}
	}
	r := s.m.w.chance(fmt.Sprint(s.m.number, op, name))
	there, back := time.Duration(r.IntN(1_500_000)), time.Duration(r.IntN(1_500_000))
	dice := r.IntN(200)
	if path.Base(name) == layout.Manifest { // where it matters most
		dice /= 3
	}
	if slow(op, name) {
		s.travel(name, there) // also while the member stands still
	} else {
		back = 0
	}
	switch {
	case s.calm.Load():
	case dice < 2:
		f = failed
	case dice < 4:
		f = busy
	case dice < 7 && (op == "commit" || op == "remove"):
		f = lost
	case dice < 10 && (op == "commit" || op == "remove"):
		f = cut
	case dice < 10 && op == "create":
		f = failed
	}
	if s.m.dead.Load() {
		f = failed
	}
	if f == failed || f == busy {
		err = &store.Error{Op: op, Name: name, Transient: f == busy, Err: errWeather}
		s.m.w.note("%s %s %s: %v", s.m.name, op, name, f)
	}
	return f, back, err
}

// travel is the way to the store. Data objects are sealed at once, so each has a
// place: a number, which is the end of its name.
func (s *weather) travel(name string, d time.Duration) {
	base, data := strings.CutSuffix(name, layout.DataSuffix)
	if !data {
		s.m.w.sleep(d)
		return
	}
	number, err := strconv.Atoi(base[strings.LastIndexByte(base, '-')+1:])
	if err != nil || number >= dataPlaces {
		panic("no place for " + name)
	}
	s.m.w.until(s.m.w.place(s.m.w.now()+d, dataPlace+s.m.number*dataPlaces+number))
}

// reply is what the caller hears of a call that had its effect.
func (s *weather) reply(op, name string, f fate, back time.Duration, err error) error {
	s.m.w.note("%s %s %s: %v %v", s.m.name, op, name, f, err)
	if back > 0 {
		s.m.sleep(back)
	}
	if err == nil && (f == lost || f == cut) {
		err = &store.Error{Op: op, Name: name, Transient: f == lost, Err: errWeather}
	}
	return err
}

func (s *weather) Open(ctx context.Context, name string) (store.Object, error) {
	if _, _, err := s.call("open", name); err != nil {
		return nil, err
	}
	return s.disk.Open(ctx, name)
}

func (s *weather) Stat(ctx context.Context, name string) (store.Info, error) {
	if _, _, err := s.call("stat", name); err != nil {
		return store.Info{}, err
	}
	return s.disk.Stat(ctx, name)
}

func (s *weather) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		_, back, err := s.call("list", prefix)
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		var infos []store.Info
		for info, err := range s.disk.List(ctx, prefix) {
			if err != nil {
				yield(store.Info{}, err)
				return
			}
			infos = append(infos, info)
		}
		if prefix == layout.Runs+"/" {
			s.mu.Lock()
			s.checked[ctx] = newestRun(infos)
			s.mu.Unlock()
			s.halt(ctx)
		}
		if back > 0 {
			s.m.sleep(back)
		}
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// halt stops the process sometimes between a check and what follows from it.
func (s *weather) halt(ctx context.Context) {
	r := s.m.w.chance(fmt.Sprint(s.m.number, "halt"))
	if d := time.Duration(r.IntN(60_000_000)); r.IntN(30) == 0 && !s.calm.Load() && ctx.Err() == nil {
		s.m.halt(d)
	}
}

func newestRun(infos []store.Info) (newest uint64) {
	for _, info := range infos {
		if n, ok := layout.ParseRun(info.Name); ok {
			newest = max(newest, n)
		}
	}
	return newest
}

func (s *weather) Remove(ctx context.Context, name, version string) error {
	f, back, err := s.call("remove", name)
	if err != nil {
		return err
	}
	return s.reply("remove", name, f, back, s.disk.Remove(ctx, name, version))
}

func (s *weather) Create(ctx context.Context, name string) (store.Upload, error) {
	s.guard(ctx, name)
	if _, _, err := s.call("create", name); err != nil {
		return nil, err
	}
	up, err := s.disk.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	return &weatherUpload{Upload: up, s: s, name: name}, nil
}

// guard looks whether somebody who begins to write a manifest may: it has just asked
// whether a later run has begun, and the answer was no (R11), and its checkpoint is
// not older than its timeout (R12). A try that follows another need not ask again.
func (s *weather) guard(ctx context.Context, name string) {
	dir, base := path.Split(name)
	if base != layout.Manifest && base != layout.ManifestCopy || ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	newest, asked := s.checked[ctx]
	again := s.tried[name]
	s.tried[name] = true
	s.mu.Unlock()
	s.m.mu.Lock()
	run, age := s.m.run, s.m.w.now()-s.m.triggered[strings.TrimSuffix(dir, "/")]
	s.m.mu.Unlock()
	switch {
	case again:
	case !asked:
		s.m.w.violation("%s writes %s without asking for later runs", s.m.name, name)
	case newest > run:
		s.m.w.violation("%s, run %d, writes %s although it has seen run %d", s.m.name, run, name, newest)
	case age > s.m.limit:
		s.m.w.violation("%s begins to write %s %v after its trigger, the limit is %v", s.m.name, name, age, s.m.limit)
	}
}

// weatherUpload is an upload that sums up what it is given.
type weatherUpload struct {
	store.Upload
	s    *weather
	name string
	size int
	crc  uint32
}

func (u *weatherUpload) Write(p []byte) (int, error) {
	u.size += len(p)
	u.crc = crc32.Update(u.crc, crc32.IEEETable, p)
	return u.Upload.Write(p)
}

func (u *weatherUpload) Commit() (store.Info, error) {
	f, back, err := u.s.call("commit", u.name)
	if err != nil {
		return store.Info{}, errors.Join(err, u.Abort())
	}
	info, err := u.Upload.Commit()
	return info, u.s.reply("commit", fmt.Sprintf("%s (%d bytes, %08x)", u.name, u.size, u.crc), f, back, err)
}

func (f fate) String() string { return [...]string{"fine", "failed", "busy", "lost", "cut off"}[f] }
