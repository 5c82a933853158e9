// Package progress shows on stderr how far a command is that takes longer than a
// second: bytes, rate, time left. On a terminal it is one line that is written
// over and over; elsewhere a line in ten seconds; or JSON lines for programs.
//
//	p := progress.Start(progress.Options{W: os.Stderr, Mode: progress.Auto(os.Stderr), What: "verify chk-7", Total: bytes})
//	defer p.Stop()
//	p.Add(n) // from any goroutine
//
// Non-goals: several tasks at once, colours, and anything on stdout.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
)

// Schema names the lines of the mode [JSON].
const Schema = "tidemark.progress/1"

// Mode is how progress is shown.
type Mode uint8

// Modes. The zero mode shows nothing.
const (
	Off  Mode = iota
	Live      // one line on a terminal, after a second and then each half second
	Log       // a line every ten seconds
	JSON      // a JSON line each second
)

// How often a line is written.
const (
	liveEvery = 500 * time.Millisecond
	jsonEvery = time.Second
	logEvery  = 10 * time.Second
)

// Auto is the mode for a stream: Live on a terminal, else Log.
func Auto(w io.Writer) Mode {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return Live
	}
	return Log
}

// Options configure Start.
type Options struct {
	W     io.Writer
	Mode  Mode
	What  string // what is being done: "verify ck/chk-7"; escaped before it is shown
	Total uint64 // bytes to do, 0 if not known
}

// Progress counts the bytes done. A nil Progress counts nothing, so that
// callers need not ask. All methods may be called from any goroutine.
type Progress struct {
	opts  Options
	done  atomic.Uint64
	total atomic.Uint64
	begin time.Time

	mu    sync.Mutex
	what  string
	shown bool // a live line stands on the terminal
	quit  chan struct{}
	over  sync.WaitGroup
	once  sync.Once
}

// Start begins to show progress. The caller calls Stop.
func Start(o Options) *Progress {
	p := &Progress{opts: o, begin: time.Now(), what: o.What, quit: make(chan struct{})}
	p.total.Store(o.Total)
	every := map[Mode]time.Duration{Live: liveEvery, Log: logEvery, JSON: jsonEvery}[o.Mode]
	if every == 0 || o.W == nil {
		p.opts.Mode = Off
		return p
	}
	p.over.Go(func() { p.run(every) })
	return p
}

// Add counts n more bytes as done.
func (p *Progress) Add(n uint64) {
	if p != nil {
		p.done.Add(n)
	}
}

// AddTotal makes the total larger: what is to be done is often found out piece
// by piece.
func (p *Progress) AddTotal(n uint64) {
	if p != nil {
		p.total.Add(n)
	}
}

// Now says what is being done from here on.
func (p *Progress) Now(what string) {
	if p != nil {
		p.mu.Lock()
		p.what = what
		p.mu.Unlock()
	}
}

// Clear removes the live line, so that something else can be printed there. The
// next one comes by itself.
func (p *Progress) Clear() {
	if p == nil || p.opts.Mode != Live {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if p.shown {
		fmt.Fprint(p.opts.W, "\r\x1b[K")
		p.shown = false
	}
}

// Stop ends the display; in the mode JSON with a last line that says so. It may
// be called twice.
func (p *Progress) Stop() {
	if p == nil {
		return
	}
	p.once.Do(func() {
		close(p.quit)
		p.over.Wait()
		p.Clear()
		if p.opts.Mode == JSON {
			p.print(true)
		}
	})
}

func (p *Progress) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			if p.opts.Mode != Live || time.Since(p.begin) >= time.Second {
				p.print(false)
			}
		}
	}
}

// line is one line of the mode JSON.
type line struct {
	Schema  string   `json:"schema"`
	What    string   `json:"what"`
	Bytes   uint64   `json:"bytes"`
	Total   *uint64  `json:"total"`   // null if not known
	Rate    uint64   `json:"rate"`    // bytes in a second, since the beginning
	Seconds float64  `json:"seconds"` // since the beginning
	Left    *float64 `json:"left"`    // seconds, estimated; null if not known
	Done    bool     `json:"done"`
}

// print writes one line.
func (p *Progress) print(last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(p.begin)
	l := line{Schema: Schema, What: p.what, Bytes: p.done.Load(), Seconds: round(took), Done: last}
	if took > 0 {
		l.Rate = uint64(float64(l.Bytes) / took.Seconds())
	}
	if total := p.total.Load(); total > 0 {
		l.Total = &total
		if left := total - min(total, l.Bytes); l.Rate > 0 {
			seconds := round(time.Duration(float64(left) / float64(l.Rate) * float64(time.Second)))
			l.Left = &seconds
		}
	}
	switch p.opts.Mode {
	case JSON:
		if text, err := json.Marshal(l); err == nil {
			fmt.Fprintf(p.opts.W, "%s\n", text)
		}
	case Live:
		fmt.Fprintf(p.opts.W, "\r\x1b[K%s", clip(l.text(), out.Columns-1))
		p.shown = true
	case Log:
		fmt.Fprintln(p.opts.W, "tidemark: "+clip(l.text(), out.Columns-len("tidemark: ")))
	}
}

func round(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }

// text is the line for people. What is being done comes last, so that it is what
// gets cut.
func (l line) text() string {
	text := out.Bytes(l.Bytes)
	if l.Total != nil {
		text += fmt.Sprintf(" of %s (%d %%)", out.Bytes(*l.Total), percent(l.Bytes, *l.Total))
	}
	text += fmt.Sprintf("  %s/s", out.Bytes(l.Rate))
	if l.Left != nil {
		text += fmt.Sprintf("  %s left", time.Duration(*l.Left*float64(time.Second)).Round(time.Second))
	}
	return text + "  " + out.Escape(l.What)
}

func percent(n, of uint64) uint64 { return uint64(100 * float64(min(n, of)) / float64(of)) }

// clip cuts text to n runes.
func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}
