package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/recovery"
)

// shower is one call of show.
type shower struct {
	*app
	key    string
	hasKey bool
	limit  uint64
	raw    bool
}

func (a *app) show() *cobra.Command {
	s := shower{app: a}
	cmd := &cobra.Command{
		Use:   "show PATH [SELECTOR]",
		Short: "Show entries of states and in-flight records, or one key",
		Long: `Show the entries of a checkpoint's states and its in-flight records, typed as
the checkpoint itself says. "tidemark help selectors" explains SELECTOR; without
one everything is shown.

--key finds one key: in keyed state and timers by its hash, whatever the size of
the state; in lists, broadcast state and in-flight records by reading them. The
key is written as its type is printed, as JSON, or as bare text: --key JFK,
--key 17, --key '{"origin":"JFK","day":3}'.`,
		Example: "  tidemark show jobs/ck operator=count,state=counter,keygroup=0-3\n" +
			"  tidemark show --key JFK jobs/ck/chk-7\n  tidemark show --limit 0 -o jsonl jobs/ck kind=input-channel",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("want one PATH and at most one SELECTOR, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s.hasKey = cmd.Flags().Changed("key")
			return s.run(cmd.Context(), append(args, "")[0], append(args, "")[1])
		},
		ValidArgsFunction: a.completeSelector,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	a.flinkFlags(cmd)
	flags.StringVar(&s.key, "key", "", "show what concerns this `key` only")
	flags.Uint64Var(&s.limit, "limit", 100, "show at most `n` rows; 0: all")
	flags.BoolVar(&s.raw, "raw", false, "bytes as hexadecimal digits, channels buffer by buffer")
	return cmd
}

func (s *shower) run(ctx context.Context, path, selector string) error {
	sel, err := checkpoint.ParseSelector(selector)
	if err != nil {
		return usageError{err}
	}
	o, err := s.openNewest(ctx, path)
	if err != nil {
		return err
	}
	defer o.Close()
	c, shown := o.c, o.shown
	if err := selects(ctx, c, sel); err != nil {
		return err
	}
	rows := recovery.Rows(ctx, c, sel, recovery.RowOptions{Raw: s.raw})
	if s.hasKey {
		rows = s.found(ctx, c, sel)
	}
	p := s.watchBytes("show "+shown, 0)
	defer p.Stop()
	d := document.Show{Schema: document.ShowSchema, Path: shown, Rows: []document.Row{}}
	table := rowTables{app: s.app}
	n := uint64(0)
	for row, rowErr := range rows {
		if rowErr != nil {
			err = rowErr
			break
		}
		if n++; s.limit > 0 && n > s.limit {
			d.More = true
			break
		}
		p.Add(uint64(len(row.Key) + len(row.Namespace) + len(row.Value)))
		switch s.output {
		case asJSON, asYAML:
			d.Rows = append(d.Rows, document.NewRow(&row))
		case asLines:
			err = out.JSONLine(s.stdout, struct {
				Schema string `json:"schema"`
				document.Row
			}{d.Schema, document.NewRow(&row)})
		default:
			err = table.add(&row)
		}
		if err != nil {
			break
		}
	}
	p.Stop()
	switch s.output {
	case asJSON, asYAML:
		err = errors.Join(err, s.document(d))
	default:
		err = errors.Join(err, table.flush())
	}
	return s.end(err, d.More, n)
}

// end says what the rows themselves do not show.
func (s *shower) end(err error, more bool, n uint64) error {
	switch {
	case errors.Is(err, recovery.ErrKey):
		return usageError{err}
	case err != nil:
		return err
	case more:
		s.say("the first %d rows are shown; --limit 0 shows all", s.limit)
	case n == 0 && s.hasKey:
		s.say("the key is nowhere in it")
		return codeError{code: exitNone}
	case n == 0:
		s.say("there are no entries")
	}
	return nil
}

// found prints what concerns the key.
func (s *shower) found(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector) iter.Seq2[recovery.Row, error] {
	p := recovery.NewRowPrinter(c, recovery.RowOptions{Raw: s.raw})
	return func(yield func(recovery.Row, error) bool) {
		for hit, err := range recovery.Find(ctx, c, sel, s.key) {
			var row recovery.Row
			switch {
			case err != nil:
			case hit.Record != nil:
				row = p.Record(hit.Record)
			default:
				row = p.Entry(hit.Entry)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// selects requires that the selector's operator and state are there: a slip in a
// name is not to look like an empty state.
func selects(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector) error {
	if sel.IsZero() {
		return nil
	}
	for o, err := range c.Operators(ctx) {
		if err != nil {
			return err
		}
		if sel.Operator == o.UID && sel.State == "" {
			return nil
		}
	}
	any := sel.Operator == "" && sel.State == ""
	var known []string
	for st, err := range c.States(ctx) {
		if err != nil {
			return err
		}
		if any || sel.Matches(st.Operator, st.Name) {
			return nil
		}
		if name := (checkpoint.Selector{Operator: st.Operator, State: st.Name}).String(); len(known) < 20 {
			known = append(known, name)
		}
	}
	return usage("nothing is named %q; there is: %s", checkpoint.Selector{Operator: sel.Operator, State: sel.State}, strings.Join(known, "  "))
}

// rowsAtOnce is how many rows have the widths of their columns in common.
const rowsAtOnce = 1000

// rowTables prints rows as tables, one for each state.
type rowTables struct {
	*app
	state checkpoint.State
	t     *out.Table
	any   bool
	same  bool // the next table goes on with the same state
}

// add takes a row.
func (r *rowTables) add(row *recovery.Row) error {
	if r.t != nil && (row.State.Row != r.state.Row || row.State.Operator != r.state.Operator || r.t.Len() >= rowsAtOnce) {
		if err := r.flush(); err != nil {
			return err
		}
		r.same = row.State == r.state
	}
	if r.t == nil {
		r.state = row.State
		r.t = rowTable(row.State.Kind)
	}
	r.t.Row(rowCells(row)...)
	return nil
}

// flush prints what there is.
func (r *rowTables) flush() error {
	if r.t == nil {
		return nil
	}
	var head string
	if !r.same {
		head = out.Escape(fmt.Sprintf("%s %s", checkpoint.Selector{Operator: r.state.Operator, State: r.state.Name}, r.state.Kind)) + "\n"
		if r.state.Edge != "" {
			head = out.Escape(fmt.Sprintf("%s %s of %s", checkpoint.Selector{Operator: r.state.Operator}, r.state.Kind, r.state.Edge)) + "\n"
		}
		if r.any {
			head = "\n" + head
		}
	}
	r.any = true
	if _, err := fmt.Fprint(r.stdout, head); err != nil {
		return err
	}
	t := r.t
	t.Wide = r.output == asWide
	r.t = nil
	return t.Write(r.stdout)
}

// rowTable has the columns of a kind of state.
func rowTable(kind checkpoint.StateKind) *out.Table {
	switch kind {
	case checkpoint.Keyed:
		return table(right("GROUP"), left("KEY"), left("NAMESPACE"), left("VALUE"))
	case checkpoint.Timers:
		return table(right("GROUP"), left("KEY"), left("NAMESPACE"), keep("TIME"))
	case checkpoint.BroadcastState:
		return table(right("SUBTASK"), left("KEY"), left("VALUE"))
	case checkpoint.SplitList, checkpoint.UnionList, checkpoint.Coordinator, checkpoint.RawOperator:
		return table(right("SUBTASK"), left("VALUE"))
	case checkpoint.RawKeyed:
		return table(right("GROUP"), left("VALUE"))
	case checkpoint.SplitWatermarks:
		return table(right("SUBTASK"), left("SPLIT"), left("GENERATOR"), keep("WATERMARK"), left("DETAIL"))
	case checkpoint.Floors:
		return table(right("SUBTASK"), keep("HASHES"), keep("WATERMARK"), left("DETAIL"))
	case checkpoint.InputChannel, checkpoint.OutputChannel:
		return table(keep("HASH"), keep("FROM"), keep("TO"), keep("ELEMENT"), left("VALUE"), keep("TIME"))
	}
	return table(right("SUBTASK"), keep("WATERMARK"), left("DETAIL"))
}

// rowCells are the cells of rowTable.
func rowCells(r *recovery.Row) []string {
	subtask, when := fmt.Sprint(r.Subtask), moment(r.Time)
	value := cmp.Or(printed(r.Value), out.Unknown)
	if r.Problem != nil {
		value = "(" + r.Problem.Error() + ")"
	}
	switch r.State.Kind {
	case checkpoint.Keyed:
		return []string{group(r), printed(r.Key), cmp.Or(printed(r.Namespace), out.Unknown), value}
	case checkpoint.Timers:
		return []string{group(r), printed(r.Key), cmp.Or(printed(r.Namespace), out.Unknown), when}
	case checkpoint.BroadcastState:
		return []string{subtask, printed(r.Key), value}
	case checkpoint.SplitList, checkpoint.UnionList, checkpoint.Coordinator, checkpoint.RawOperator:
		return []string{subtask, value}
	case checkpoint.RawKeyed:
		return []string{group(r), value}
	case checkpoint.SplitWatermarks:
		return []string{subtask, printed(r.Key), value, when, details(r)}
	case checkpoint.Floors:
		return []string{subtask, fmt.Sprintf("%08x-%08x", r.Interval[0], r.Interval[1]-1), when, details(r)}
	case checkpoint.InputChannel, checkpoint.OutputChannel:
		hash := out.Unknown
		if r.HasHash {
			hash = fmt.Sprintf("%08x", r.Hash)
		}
		return []string{hash, detail(r, "sender"), detail(r, "receiver"), cmp.Or(detail(r, "element"), "buffer "+detail(r, "sequence")), value, when}
	}
	return []string{subtask, when, details(r)}
}

func group(r *recovery.Row) string {
	if r.KeyGroup == checkpoint.NoKeyGroup {
		return out.Unknown
	}
	return fmt.Sprint(r.KeyGroup)
}

// printed shows a JSON value for people: a string without its quotes.
func printed(text []byte) string {
	if len(text) > 1 && text[0] == '"' {
		var s string
		if json.Unmarshal(text, &s) == nil {
			return s
		}
	}
	return string(text)
}

// detail is one detail by its name, "" if the row does not have it.
func detail(r *recovery.Row, name string) string {
	for _, d := range r.Detail {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

func details(r *recovery.Row) string {
	words := make([]string, len(r.Detail))
	for i, d := range r.Detail {
		words[i] = d.Name + " " + d.Value
	}
	return strings.Join(words, ", ")
}
