package convert_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/convert"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// A POJO as key is converted only with the formula of its hash code, and the refusal
// says how to give it; mistakes in the formula are told before anything is written.
func TestKeyHash(t *testing.T) {
	job := oracle.Job{Keys: 40, Records: 240, KeyType: "pojo"}
	src := savepoint(t, mem.New(), job, 100, 1)
	for _, c := range []struct {
		formula, choice, want string
		mistake               bool
	}{
		{formula: "objects-hash(name, number)"},
		{formula: "a.B:record(name); xor(name,number)", want: "no class a.B"},
		{formula: keyClass + "KeyPojo:lombok(number)"},
		{formula: "", want: `--key-hash "keyed=STYLE(FIELD, FIELD)"`},
		{formula: "objects-hash", want: "which fields count is not said"},
		{formula: "objects-hash(name, nummer)", want: "no field nummer"},
		{formula: "objects-has(name)", want: "none of the ways"},
		{formula: "scala-2.13", want: "case classes"},
		{formula: "xor(name,number)", choice: "row", want: "there is no operator of this uid with POJOs as keys", mistake: true},
	} {
		st := mem.New()
		opts := convert.Options{Structs: map[string]string{"keyed": keyClass + "KeyPojo"}, Drop: drops(t, "operator=source", "operator=out")}
		if c.choice != "" {
			opts.Structs["keyed"] = c.choice
		}
		if c.formula != "" {
			opts.KeyHash = map[string]string{"keyed": c.formula}
		}
		_, err := convert.ToFlink(t.Context(), src, st, "made", opts)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.formula, err)
				continue
			}
			groupsAgree(t, st, c.formula)
			continue
		}
		var refused *checkpoint.RefusedError
		var mistake *checkpoint.EditError
		switch {
		case c.mistake && errors.As(err, &mistake) && strings.Contains(err.Error(), c.want):
		case !c.mistake && errors.As(err, &refused) && len(refused.Reasons) == 1 && strings.Contains(refused.Reasons[0].Problem+refused.Reasons[0].Remedy, c.want):
		default:
			t.Errorf("%s: %v", c.formula, err)
		}
		leftover(t, st, "made")
	}
}

// groupsAgree requires that every key lies in the key group of its hash code.
func groupsAgree(t *testing.T, st store.Store, text string) {
	t.Helper()
	all, err := serde.ParseFormulas(text)
	if err != nil {
		t.Fatal(err)
	}
	ck := openFlink(t, st, "made", "keyed")
	op := ck.Metadata().Operators[0]
	keys := map[string]bool{}
	for _, sub := range op.Subtasks {
		h := sub.State.ManagedKeyed.(*metadata.KeyGroupsHandle)
		src, err := ck.OpenHandle(t.Context(), h.Delegate)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		k, err := state.OpenKeyed(state.KeyedFile{Data: src, Size: src.Size(), Groups: keygroup.Range{First: int(h.Range.Start), Last: int(h.Range.Start+h.Range.Count) - 1},
			Offsets: h.Offsets, MaxParallelism: int(op.MaxParallelism), Savepoint: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all { // one in each of these tests
			hasher, err := k.Header.Key.Hasher(map[string]serde.Formula{keyClass + "KeyPojo": f})
			if err != nil {
				t.Fatal(err)
			}
			for e, err := range k.Entries() {
				if err != nil {
					t.Fatal(err)
				}
				code, err := hasher.HashKey(e.Key)
				if err != nil || serde.KeyGroup(code, int(op.MaxParallelism)) != e.KeyGroup {
					t.Fatalf("%s: a key lies in group %d, its hash code is %d, %v", text, e.KeyGroup, code, err)
				}
				keys[string(e.Key)] = true
			}
		}
	}
	if len(keys) != 40 {
		t.Errorf("%s: %d keys", text, len(keys))
	}
}
