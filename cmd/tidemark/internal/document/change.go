package document

import (
	"math"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/recovery"
)

// ChangeSchema names the document of the commands that make one checkpoint of
// another.
const ChangeSchema = "tidemark.change/1"

// Change is what such a command did, or with --dry-run would do.
type Change struct {
	Schema      string           `json:"schema"`
	Command     string           `json:"command"`
	Source      string           `json:"source"`
	Destination string           `json:"destination"`
	DryRun      bool             `json:"dryRun"`
	Operators   []Relayout       `json:"operators"` // whose layout changes
	Channels    []Channel        `json:"channels"`
	Objects     Volumes          `json:"objects"`
	Losses      []Loss           `json:"losses"`
	External    []string         `json:"externalFiles"`
	Result      *recovery.Result `json:"-"`
}

// Relayout is the plan of an operator. Skew is the largest share of state of a
// subtask divided by the mean; null without keyed state. KeyHash says how the hash
// codes of the keys' classes are computed; null where that was not asked.
type Relayout struct {
	Operator    string   `json:"operator"`
	Parallelism [2]int   `json:"parallelism"` // before, after
	KeyGroups   *[2]int  `json:"keyGroups"`
	Skew        *Skew    `json:"skew"`
	Subtasks    []Shared `json:"subtasks"`
	KeyHash     *string  `json:"keyHash"`
}

// Skew is that before and after.
type Skew struct {
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Shared is what a subtask of the new layout gets: its key groups, its hashes
// and about how many bytes of keyed state and timers.
type Shared struct {
	Subtask    int     `json:"subtask"`
	FirstGroup int     `json:"firstGroup"`
	LastGroup  int     `json:"lastGroup"`
	Hashes     *string `json:"hashes"` // "[00000000,56000000)"; null if they are no interval
	Bytes      Number  `json:"bytes"`
}

// Channel is what becomes of the in-flight data of an edge.
type Channel struct {
	Edge   string                 `json:"edge"`
	From   string                 `json:"from"`
	To     string                 `json:"to"`
	Fate   checkpoint.ChannelFate `json:"fate"`
	Before InFlight               `json:"before"`
	After  InFlight               `json:"after"`
}

// Volumes say how objects come to the destination.
type Volumes struct {
	Linked    Volume `json:"linked"`
	Copied    Volume `json:"copied"`
	Rewritten Volume `json:"rewritten"`
}

// Volume is a number of objects and their bytes.
type Volume struct {
	Objects int    `json:"objects"`
	Bytes   Number `json:"bytes"`
}

// NewChange describes a result.
func NewChange(command, source, destination string, dry bool, r *recovery.Result) Change {
	d := Change{Schema: ChangeSchema, Command: command, Source: source, Destination: destination, DryRun: dry, Result: r,
		Operators: []Relayout{}, Channels: []Channel{}, Losses: []Loss{}, External: append([]string{}, r.External...),
		Objects: Volumes{Linked: volume(r.Linked), Copied: volume(r.Copied), Rewritten: volume(r.Rewritten)}}
	for i := range r.Operators {
		o := relayout(&r.Operators[i])
		if text, ok := r.KeyHash[o.Operator]; ok {
			o.KeyHash = &text
		}
		d.Operators = append(d.Operators, o)
	}
	for _, c := range r.Channels {
		d.Channels = append(d.Channels, Channel{Edge: c.Edge, From: c.From, To: c.To, Fate: c.Fate,
			Before: InFlight{Number(c.Before.Bytes), Number(c.Before.Records)}, After: InFlight{Number(c.After.Bytes), Number(c.After.Records)}})
	}
	for _, l := range r.Losses {
		d.Losses = append(d.Losses, newLoss(l))
	}
	return d
}

func volume(v checkpoint.Volume) Volume { return Volume{v.Objects, Number(v.Bytes)} }

// relayout describes an operator's plan.
func relayout(p *recovery.OperatorPlan) Relayout {
	d := Relayout{Operator: p.UID, Parallelism: [2]int{p.Old.Parallelism, p.New.Parallelism}, Subtasks: []Shared{}}
	if p.New.Groups == 0 {
		return d
	}
	d.KeyGroups = &[2]int{p.Old.Groups, p.New.Groups}
	if before, after := p.SkewBefore(), p.SkewAfter(); after > 0 {
		d.Skew = &Skew{hundredths(before), hundredths(after)}
	}
	intervals := p.Intervals()
	for i := range p.New.Parallelism {
		groups := keygroup.RangeOf(i, p.New.Groups, p.New.Parallelism)
		s := Shared{Subtask: i, FirstGroup: groups.First, LastGroup: groups.Last, Bytes: Number(checkpoint.UnknownCount)}
		if i < len(intervals) {
			text := intervals[i].String()
			s.Hashes = &text
		}
		if i < len(p.After) {
			s.Bytes = Number(p.After[i])
		}
		d.Subtasks = append(d.Subtasks, s)
	}
	return d
}

func hundredths(f float64) float64 { return math.Round(f*100) / 100 }
