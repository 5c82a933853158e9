package cli

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/recovery"
)

func (a *app) rescale() *cobra.Command {
	var parallelism uint32
	var rekey bool
	var operators, groups, strip, hashes []string
	c := &changer{app: a}
	c.work = func(ctx context.Context, src checkpoint.Checkpoint, to recovery.Target) (*recovery.Result, error) {
		if rekey {
			return nil, usage("--rekey: there is one hash function, so no checkpoint has keys of another; entries under a wrong hash are damage, which " +
				"\"tidemark verify\" finds and \"tidemark salvage\" leaves out. For another number of key groups: --key-groups")
		}
		r := recovery.Rescaling{Parallelism: parallelism, Operators: map[string]uint32{}, GroupsOf: map[string]uint32{}}
		for _, text := range operators {
			if err := assign("--operator", text, nil, r.Operators); err != nil {
				return nil, err
			}
		}
		for _, text := range groups {
			if err := assign("--key-groups", text, &r.KeyGroups, r.GroupsOf); err != nil {
				return nil, err
			}
		}
		var err error
		if r.KeyHash, err = keyHashes(hashes); err != nil {
			return nil, err
		}
		for _, text := range strip {
			sel, err := inFlightSelector("--strip", text)
			if err != nil {
				return nil, err
			}
			r.Strip = append(r.Strip, sel)
		}
		return recovery.Rescale(ctx, src, r, to)
	}
	cmd := c.changing(&cobra.Command{
		Use:   "rescale SRC DST",
		Short: "Change the parallelism or the number of key groups",
		Long: `Make a checkpoint as if the job had run at another parallelism, or with another
number of key groups. No key is read: keyed state lies in the order of hashes,
and only the cut points move. In-flight records go to the new owners of their
keys. Where the data in flight on a connection cannot be redistributed this is
refused (exit code 6), unless --strip leaves it out.

--parallelism is for all operators but those to which the job gave one of their
own; --operator names one. A job takes the number of key groups from what it is
restored from, unless it is configured.

Of Flink's checkpoints the state is written again, as a canonical savepoint, and
another number of key groups takes the hash code of each key. Where a class of
the job's computes it (a POJO as key) the way is found out from the keys and the
key groups that they lie in; --key-hash names it where they are too few:
objects-hash(name,number) is Objects.hash(name, number). "tidemark help
key-hash" lists the ways.`,
		Example: "  tidemark rescale --parallelism 8 jobs/ck jobs/ck/savepoint-40\n" +
			"  tidemark rescale -n --operator count=12 --key-groups 4096 jobs/ck/chk-7 wide",
	})
	f := cmd.Flags()
	f.Uint32Var(&parallelism, "parallelism", 0, "parallelism `n` of the operators")
	f.StringArrayVar(&operators, "operator", nil, "`uid=n`: parallelism of one operator")
	f.StringArrayVar(&groups, "key-groups", nil, "`n` key groups, or uid=n for one operator")
	f.StringArrayVar(&hashes, "key-hash", nil, "`uid=formula` of the hash codes of its keys (Flink)")
	f.StringArrayVar(&strip, "strip", nil, "leave out in-flight data: a `selector`, or all")
	f.BoolVar(&rekey, "rekey", false, "")
	_ = f.MarkHidden("rekey") // it only says why there is none
	_ = cmd.RegisterFlagCompletionFunc("operator", a.completeUIDs("="))
	_ = cmd.RegisterFlagCompletionFunc("key-groups", a.completeUIDs("="))
	_ = cmd.RegisterFlagCompletionFunc("key-hash", a.completeUIDs("="))
	return cmd
}

// keyHashes reads "uid=formula", once for each operator.
func keyHashes(texts []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range texts {
		uid, formula, ok := cutLast(text, "=")
		if !ok || all[uid] != "" {
			return nil, usage("--key-hash %q is not of the form uid=style(field,field), once for each operator", text)
		}
		all[uid] = formula
	}
	return all, nil
}

// assign reads "uid=n" into a map, or "n" into all if that is allowed.
func assign(flag, text string, all *uint32, of map[string]uint32) error {
	uid, number := "", text
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		uid, number = text[:i], text[i+1:]
	}
	n, err := strconv.ParseUint(number, 10, 32)
	switch {
	case err != nil || n == 0:
		return usage("%s %q: %q is no number of 1 or more", flag, text, number)
	case uid != "":
		of[uid] = uint32(n)
	case all == nil || strings.Contains(text, "="):
		return usage("%s %q is not of the form uid=n", flag, text)
	default:
		*all = uint32(n)
	}
	return nil
}

// cutLast cuts a text at the last of a separator: uids may have some.
func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i <= 0 || i+len(sep) == len(text) {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// inFlightSelector reads what in-flight data is meant; "all" is all of it.
func inFlightSelector(flag, text string) (checkpoint.Selector, error) {
	if text == "all" {
		return checkpoint.Selector{}, nil
	}
	sel, err := checkpoint.ParseSelector(text)
	if err == nil && sel.IsZero() {
		err = errors.New(`the selector is empty; "all" selects everything`)
	}
	if err != nil {
		return sel, usage("%s: %w", flag, err)
	}
	return sel, nil
}

func (a *app) strip() *cobra.Command {
	var inFlight, states, operators []string
	var upstream string
	c := &changer{app: a}
	c.work = func(ctx context.Context, src checkpoint.Checkpoint, to recovery.Target) (*recovery.Result, error) {
		var drop []checkpoint.Drop
		for _, text := range inFlight {
			sel, err := inFlightSelector("--in-flight", text)
			if err != nil {
				return nil, err
			}
			drop = append(drop, checkpoint.Drop{Kind: checkpoint.DropInFlight, Selector: sel, Upstream: upstream})
		}
		for _, text := range states {
			sel, err := checkpoint.ParseSelector(text)
			if err != nil {
				return nil, usage("--state: %w", err)
			}
			drop = append(drop, checkpoint.Drop{Kind: checkpoint.DropState, Selector: sel})
		}
		for _, uid := range operators {
			drop = append(drop, checkpoint.Drop{Kind: checkpoint.DropOperator, Selector: checkpoint.Selector{Operator: uid}})
		}
		return recovery.Strip(ctx, src, drop, to)
	}
	cmd := c.changing(&cobra.Command{
		Use:   "strip SRC DST",
		Short: "Leave out in-flight data, a state or an operator",
		Long: `Make a checkpoint without something. What is lost is printed, and stands in the
result: "tidemark inspect" shows it. In-flight data is left out by whole
channels, both halves of each. Damage in it does no harm then.

Flink's checkpoints do not say which operators are connected. Leaving out only a
part of their in-flight data is refused (exit code 6) if a record begins in it
and ends in what would stay; --with-upstream names the operator that sends the
part, whose half then goes too.`,
		Example: "  tidemark strip --in-flight all jobs/ck jobs/ck/savepoint-40\n" +
			"  tidemark strip --in-flight operator=count,channel=gate0/3 jobs/ck/chk-7 less\n" +
			"  tidemark strip --state operator=count,state=cache jobs/ck/chk-7 less",
	})
	f := cmd.Flags()
	f.StringArrayVar(&inFlight, "in-flight", nil, "in-flight data: a `selector`, or all")
	f.StringVar(&upstream, "with-upstream", "", "`uid` of the sender of that data (Flink)")
	f.StringArrayVar(&states, "state", nil, "a state: `operator=U,state=S`")
	f.StringArrayVar(&operators, "operator", nil, "an operator and its connections, by `uid`")
	_ = cmd.RegisterFlagCompletionFunc("operator", a.completeUIDs(""))
	return cmd
}

func (a *app) remap() *cobra.Command {
	var uids []string
	c := &changer{app: a}
	c.work = func(ctx context.Context, src checkpoint.Checkpoint, to recovery.Target) (*recovery.Result, error) {
		rename := map[string]string{}
		for _, text := range uids {
			from, to, ok := strings.Cut(text, "=")
			if !ok || from == "" || to == "" {
				return nil, usage("--uid %q is not of the form old=new", text)
			}
			if _, twice := rename[from]; twice {
				return nil, usage("--uid: %q is given two new uids", from)
			}
			rename[from] = to
		}
		return recovery.Remap(ctx, src, rename, to)
	}
	cmd := c.changing(&cobra.Command{
		Use:   "remap SRC DST",
		Short: "Give operators new uids",
		Long: `Make a checkpoint whose operators have other uids, for a job in which they have
been renamed. A restore finds state by uid. Connections are renamed with their
ends; two operators can exchange their uids.`,
		Example: "  tidemark remap --uid count=count-by-origin jobs/ck jobs/ck/savepoint-40",
	})
	cmd.Flags().StringArrayVar(&uids, "uid", nil, "`old=new`, once for each operator")
	_ = cmd.RegisterFlagCompletionFunc("uid", a.completeUIDs("="))
	return cmd
}

// externalChoices are the words of --external-files.
var externalChoices = map[string]checkpoint.ExternalFiles{"": checkpoint.ExternalRefuse, "keep": checkpoint.ExternalKeep, "drop": checkpoint.ExternalDrop,
	"copy": checkpoint.ExternalCopy}

func (a *app) cp() *cobra.Command {
	var external, version string
	c := &changer{app: a}
	c.work = func(ctx context.Context, src checkpoint.Checkpoint, to recovery.Target) (*recovery.Result, error) {
		choice, ok := externalChoices[external]
		if !ok {
			return nil, usage("--external-files %q is none of keep, copy, drop", external)
		}
		if choice != checkpoint.ExternalCopy {
			return recovery.CopyAs(ctx, src, choice, version, to)
		}
		if place.IsAddress(c.dst) {
			return nil, usage("--external-files copy needs a DST in a local directory, where a sink can publish them")
		}
		shown := filepath.Clean(c.dst) + filesSuffix // beside DST, also if that ends in a slash
		dir, err := filepath.Abs(shown)
		if err != nil {
			return nil, err
		}
		files := &externalFiles{dir: dir}
		to.CopyExternal = files.copy
		r, err := recovery.CopyAs(ctx, src, choice, version, to)
		if err = files.end(err); err == nil && files.made {
			a.say("%s: the job that is restored must have its sinks there, one in each folder", shown)
		}
		return r, err
	}
	cmd := c.changing(&cobra.Command{
		Use:   "cp SRC DST",
		Short: "Copy a checkpoint, with all that it uses",
		Long: `Copy a checkpoint to another place, in the same root or in another one, with
what it uses of shared objects. Every byte is compared with its checksum on the
way. chk-N copied to another directory's chk-N stays a checkpoint.

A sink may have completed files of output that it publishes only later; the
checkpoint refers to them. If there are such files this is refused (exit code
6), unless --external-files says what to do: keep the references, for a job that
will find the files where they are; copy the files to DST.files, which has a
directory for each sink, by its uid, that a restored job must have its sink in
to publish them; or drop the references.

Of Flink's checkpoints the copy is self-contained, like a native savepoint:
every file lies beside its _metadata. --metadata-version makes it readable for
an older Flink: 4 for 1.16 to 1.20, 3 for 1.11 and later.`,
		Example: "  tidemark cp jobs/ck/chk-7 backup/chk-7\n  tidemark cp --external-files copy jobs/ck moved\n  tidemark cp --external-files keep jobs/ck before-upgrade",
	})
	cmd.Flags().StringVar(&external, "external-files", "", "files outside: `what` is keep, copy or drop")
	cmd.Flags().StringVar(&version, "metadata-version", "", "`version` of its metadata, 2 to 7 (Flink)")
	return cmd
}

// completeUIDs completes a flag with the uids of the checkpoint that the first
// argument names.
func (a *app) completeUIDs(suffix string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		if len(args) == 0 {
			return nil, none
		}
		a.quiet = true
		o, err := a.openNewest(cmd.Context(), args[0])
		if err != nil {
			return nil, none
		}
		defer o.Close()
		var uids []string
		for op, err := range o.c.Operators(cmd.Context()) {
			if err == nil && strings.HasPrefix(op.UID, begin) {
				uids = append(uids, op.UID+suffix)
			}
		}
		slices.Sort(uids)
		return uids, none
	}
}
