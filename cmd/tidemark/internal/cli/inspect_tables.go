package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
)

func table(head ...out.Column) *out.Table { return &out.Table{Head: head} }

func left(name string) out.Column  { return out.Column{Name: name} }
func right(name string) out.Column { return out.Column{Name: name, Align: out.Right} }
func path(name string) out.Column  { return out.Column{Name: name, Align: out.Path} }
func keep(name string) out.Column  { return out.Column{Name: name, Align: out.Keep} }

func (a *app) operatorTable(d *document.Inspect) *out.Table {
	t := table(left("OPERATOR"), left("NAME"), right("PARALLELISM"), right("KEY GROUPS"), left("KEY"), right("TASK"))
	for _, o := range d.Operators {
		groups := out.Unknown
		if o.KeyGroups != nil {
			groups = out.Number(uint64(*o.KeyGroups))
		}
		t.Row(o.UID, o.Name, out.Number(uint64(o.Parallelism)), groups, dash(o.KeyType), fmt.Sprint(o.Task))
	}
	return t
}

func (a *app) stateTable(d *document.Inspect) *out.Table {
	t := table(keep("OPERATOR"), keep("STATE"), keep("KIND"), left("TYPE"), right("ENTRIES"), right("BYTES"))
	for _, o := range d.Operators {
		for _, s := range o.States {
			t.Row(o.UID, s.Name, string(s.Kind), typeOf(s), countOf(checkpoint.Count(s.Entries)), bytesOf(checkpoint.Count(s.Bytes)))
		}
	}
	return t
}

// typeOf writes the types of a state's namespace and value, as far as it has
// them.
func typeOf(s document.State) string {
	return cmp.Or(strings.TrimSpace(string(s.Schema.Namespace+" "+s.Schema.Value)), out.Unknown)
}

func (a *app) edgeTable(d *document.Inspect) *out.Table {
	t := table(left("FROM"), left("TO"), left("PARTITIONER"), left("ALIGNMENT"), right("RECORDS"), right("BYTES"))
	for _, e := range d.Edges {
		t.Row(e.From, e.To, string(e.Partitioner), alignment(e), countOf(checkpoint.Count(e.InFlight.Records)), bytesOf(checkpoint.Count(e.InFlight.Bytes)))
	}
	return t
}

// alignment writes how barriers crossed a connection, with the reason if they
// waited, and with the operator whose keys its records have.
func alignment(e document.Edge) string {
	text := string(e.Alignment)
	if e.Keys != "" {
		text += " by key of " + string(e.Keys)
	}
	switch e.Reason {
	case "":
		return text
	case document.Text(checkpoint.ReasonOff):
		return text + ": unaligned is off"
	default:
		return text + ": " + strings.ReplaceAll(string(e.Reason), "-", " ")
	}
}

func (a *app) lossTable(d *document.Inspect) *out.Table {
	t := table(left("LOST FROM"), left("STATE"), left("BY"), left("REASON"), right("RECORDS"), right("BYTES"))
	for _, l := range d.Losses {
		from := dash(l.Operator)
		if l.Edge != "" {
			from = string(l.Edge)
		}
		t.Look(a.paint(yellow), from, dash(l.State), l.Tool, l.Reason, countOf(checkpoint.Count(l.Records)), bytesOf(checkpoint.Count(l.Bytes)))
	}
	return t
}

// listTables are the long lists, as far as they were asked for.
func (a *app) listTables(d *document.Inspect) []*out.Table {
	var tables []*out.Table
	if d.Settings != nil {
		t := table(path("SETTING"), left("VALUE"), left("ORIGIN"))
		for _, s := range *d.Settings {
			t.Row(s.Key, s.Value, s.Origin)
		}
		tables = append(tables, t)
	}
	if d.Subtasks != nil {
		t := table(left("OPERATOR"), left("STATE"), right("SUBTASK"), path("OBJECT"), right("OFFSET"), right("ENTRIES"), right("BYTES"))
		for _, s := range *d.Subtasks {
			t.Row(s.Operator, cmp.Or(s.State, string(s.Kind)), fmt.Sprint(s.Subtask), s.Object, fmt.Sprint(uint64(s.Offset)), countOf(checkpoint.Count(s.Entries)), bytesOf(checkpoint.Count(s.Bytes)))
		}
		tables = append(tables, t)
	}
	if d.Objects != nil {
		t := table(path("OBJECT"), right("BYTES"), left("CRC-32C"), left("SHARED"))
		for _, o := range *d.Objects {
			t.Row(o.Name, bytesOf(checkpoint.Count(o.Bytes)), dash(o.CRC32C), fmt.Sprint(o.Shared))
		}
		tables = append(tables, t)
	}
	if d.KeyGroups != nil {
		t := table(left("OPERATOR"), right("SUBTASK"), left("KEY GROUPS"), right("ENTRIES"), right("BYTES"))
		for _, g := range *d.KeyGroups {
			t.Row(g.Operator, fmt.Sprint(g.Subtask), fmt.Sprintf("%d-%d", g.First, g.Last), countOf(checkpoint.Count(g.Entries)), bytesOf(checkpoint.Count(g.Bytes)))
		}
		tables = append(tables, t)
	}
	return tables
}

func dash(t document.Text) string {
	if t == "" {
		return out.Unknown
	}
	return string(t)
}
