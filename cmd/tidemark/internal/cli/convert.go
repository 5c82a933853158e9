package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/convert"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/reader"
)

// converter is one call of convert, with its flags.
type converter struct {
	*app
	to, like, external string
	parallelism        uint32
	groups             uint32
	structs, drop      []string
	hashes             []string
	dry, nullable      bool
}

func (a *app) convert() *cobra.Command {
	c := &converter{app: a}
	cmd := &cobra.Command{
		Use:   "convert SRC DST",
		Short: "Make a savepoint of Flink of one of ours, or the other way round",
		Long: `Move a job to Apache Flink or from there. --to flink makes a canonical
savepoint, which Flink 1.20 and 2.x restore with any state backend. --to
tidemark makes a savepoint of ours of a savepoint or a checkpoint of Flink
(heap, RocksDB).

Keyed state, timers, lists and broadcast state are converted, with their types;
"tidemark convert -n" shows which type becomes which. A struct becomes a Row,
unless --struct says tuple, or the class of a POJO: uid=... for the operator's
key, uid/state=... for a state's values, .field behind it for a struct inside.
A POJO as key needs --key-hash, too: how its hashCode is computed, on which
Flink's key groups depend ("tidemark help key-hash"). Nothing here can prove it.
The other way, --like names a checkpoint of the job that shall go on: its types
are taken where they fit. Flink's files often have hashes of uids only; --uid
names them.

What cannot be converted is refused (exit code 6): in-flight data, which
"tidemark strip" leaves out, keys whose hash code in Java is not known, values
of unknown serialisers. --drop leaves a state or an operator out; sources and
sinks hold state that means something to their own connector only.

DST must not exist, and the directory that it is in must. If the command fails
or is interrupted, nothing is left there.`,
		Example: "  tidemark convert --to flink jobs/ck/savepoint-7 flink/savepoint-7\n" +
			"  tidemark convert --to flink --struct count=tuple -n jobs/ck savepoint\n" +
			"  tidemark convert --to flink --struct count=com.acme.Key \\\n" +
			"    --key-hash 'count=objects-hash(name,number)' jobs/ck savepoint\n" +
			"  tidemark convert --to tidemark --uid count flink/savepoint-ab12 savepoint-1",
		Args: exactly(2, "SRC and DST"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1]) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&c.to, "to", "", "`format` of the result: flink, tidemark")
	f.Uint32Var(&c.parallelism, "parallelism", 0, "parallelism `n` of the operators")
	f.Uint32Var(&c.groups, "key-groups", 0, "`n` key groups (Flink: maximum parallelism)")
	f.StringArrayVar(&c.structs, "struct", nil, "`path=choice` for Flink: row, tuple or a class")
	f.StringArrayVar(&c.hashes, "key-hash", nil, "`uid=formula` of the hash codes of POJOs as keys")
	f.StringVar(&c.like, "like", "", "take types from this `checkpoint` of ours")
	f.BoolVar(&c.nullable, "nullable", false, "make fields of rows and POJOs optional")
	f.StringArrayVar(&c.drop, "drop", nil, "leave out state: a `selector`")
	f.StringVar(&c.external, "external-files", "", "`what` to do with files outside: keep, drop")
	a.flinkFlags(cmd)
	f.BoolVarP(&c.dry, "dry-run", "n", false, "say what would be done and do nothing")
	return cmd
}

// options reads the flags.
func (c *converter) options() (convert.Options, error) {
	o := convert.Options{Parallelism: c.parallelism, KeyGroups: c.groups, DryRun: c.dry, Nullable: c.nullable, Structs: map[string]string{},
		Software: "tidemark " + newVersion().Version + " convert"}
	var ok bool
	if o.External, ok = externalChoices[c.external]; !ok || o.External == checkpoint.ExternalCopy {
		return o, usage("--external-files %q is none of keep, drop", c.external)
	}
	for _, text := range c.structs {
		path, choice, ok := strings.Cut(text, "=")
		if !ok || path == "" || choice == "" {
			return o, usage("--struct %q is not of the form path=choice", text)
		}
		o.Structs[path] = choice
	}
	var err error
	if o.KeyHash, err = keyHashes(c.hashes); err != nil {
		return o, err
	}
	if len(c.hashes) > 0 && c.to != "flink" {
		return o, usage("--key-hash is for --to flink: Tidemark hashes the bytes of keys")
	}
	for _, text := range c.drop {
		sel, err := checkpoint.ParseSelector(text)
		if err == nil && sel.IsZero() {
			err = errors.New("the selector is empty")
		}
		if err != nil {
			return o, usage("--drop: %w", err)
		}
		o.Drop = append(o.Drop, sel)
	}
	return o, nil
}

// run opens both ends, converts and prints what was done.
func (c *converter) run(ctx context.Context, src, dst string) (err error) {
	if c.to != "flink" && c.to != "tidemark" {
		return usage("--to %q is none of flink, tidemark", c.to)
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	o, err := c.openNewest(ctx, src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	to, err := o.place.Destination(ctx, o.below, dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if c.like != "" {
		like, err := c.openNewest(ctx, c.like)
		if err != nil {
			return err
		}
		defer func() { _ = like.Close() }() // only read
		m, ok := like.c.(*reader.Model)
		if !ok {
			return usage("--like %s is no checkpoint of ours", c.like)
		}
		opts.Like = m.Checkpoint()
	}
	p := c.watchBytes("convert "+o.shown, 0)
	defer p.Stop()
	opts.Progress = follow(p)
	r, err := c.work(ctx, o, to.Shown, func(src *reader.Checkpoint) (*convert.Result, error) {
		return convert.ToFlink(ctx, src, to.Store, to.Path, opts)
	}, func(src *flink.Checkpoint) (*convert.Result, error) {
		return convert.ToNative(ctx, src, to.Store, to.Path, opts)
	})
	p.Stop()
	if err != nil {
		return err
	}
	d := document.NewConvert(o.shown, to.Shown, c.to, c.dry, r)
	switch c.output {
	case asJSON, asYAML:
		return c.document(d)
	case asLines:
		return out.JSONLine(c.stdout, d)
	}
	return c.tables(&d, r)
}

// work converts in the direction that was asked for.
func (c *converter) work(ctx context.Context, o *opened, shown string, toFlink func(*reader.Checkpoint) (*convert.Result, error), toNative func(*flink.Checkpoint) (*convert.Result, error)) (*convert.Result, error) {
	var r *convert.Result
	var err error
	switch src := o.c.(type) {
	case *reader.Model:
		if c.to == "tidemark" {
			return nil, usage("%s is a checkpoint of ours already", o.shown)
		}
		r, err = toFlink(src.Checkpoint())
	case *flink.Checkpoint:
		if c.to == "flink" {
			return nil, usage("%s is a checkpoint of Flink already", o.shown)
		}
		r, err = toNative(src)
	default:
		return nil, fmt.Errorf("%s: %w", o.shown, checkpoint.ErrUnsupported)
	}
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("nothing is left at %s: %w", shown, context.Cause(ctx))
	}
	return r, err
}

// tables prints a result for people.
func (c *converter) tables(d *document.Convert, r *convert.Result) error {
	fields := [][2]string{{"source", d.Source}, {"destination", d.Destination}}
	if d.DryRun {
		fields = append(fields, [2]string{"dry run", "nothing was written"})
	} else {
		fields = append(fields, [2]string{"written", fmt.Sprintf("%d objects, %s", r.Written.Objects, out.Bytes(r.Written.Bytes))})
	}
	if err := out.Fields(c.stdout, fields...); err != nil {
		return err
	}
	t := table(left("OPERATOR"), left("STATE"), left("KIND"), left("KEY"), left("FROM"), left("INTO"), right("ENTRIES"))
	for i, s := range r.States {
		n := checkpoint.Count(s.Entries)
		if d.DryRun {
			n = checkpoint.UnknownCount
		}
		t.Row(s.Operator, s.Name, string(s.Kind), s.Key, s.From, d.States[i].Into, countOf(n))
	}
	for _, t := range []*out.Table{t, c.lossTable(&document.Inspect{Losses: d.Losses})} {
		if err := c.printTable(t); err != nil {
			return err
		}
	}
	return nil
}
