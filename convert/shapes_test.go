package convert_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/convert"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/mem"
)

// texts are the values of a state by the texts of its keys, as export shows them.
func texts(t *testing.T, m *reader.Model, operator, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for e, err := range m.Entries(t.Context(), checkpoint.Selector{Operator: operator, State: name}) {
		if err != nil {
			t.Fatal(err)
		}
		key, err := m.AppendValue(nil, e.State, checkpoint.FieldKey, e.Key)
		if err != nil {
			t.Fatal(err)
		}
		value, err := m.AppendValue(nil, e.State, checkpoint.FieldValue, e.Value)
		if err != nil {
			t.Fatal(err)
		}
		found[string(key)] = string(value)
	}
	return found
}

// Records of Avro become structs with their values: what a real Flink says it wrote.
func TestAvroOfFlink(t *testing.T) {
	samples, values := 0, 0
	type visit struct {
		ID   int64 `json:",string"`
		Name *string
		Tags []int32
	}
	for _, s := range oracle.Samples(t) {
		if s.Request.Job.KeyType != "string" || !strings.HasSuffix(s.Name, "-canonical") {
			continue
		}
		if !slices.Contains(s.Request.Job.States, "avro") {
			continue
		}
		samples++
		st := mem.New()
		opts := convert.Options{Drop: drops(t, "kind=coordinator", "operator=source", "operator=ops", "operator=sink")}
		for _, name := range []string{"sum", "mean", "ttl", "ttl-map", "pojo", "row", "tuple"} {
			opts.Drop = append(opts.Drop, drops(t, "operator=keyed,state="+name)...)
		}
		if _, err := convert.ToNative(t.Context(), openSample(t, s), st, "savepoint-1", opts); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		found := texts(t, reader.NewModel(open(t, st, "savepoint-1")), "keyed", "avro")
		for _, e := range s.Snapshot.State.Keyed {
			var v visit
			if err := json.Unmarshal([]byte(found[fmt.Sprintf("%q", e.Key)]), &v); err != nil {
				t.Fatal(err)
			}
			name := "null"
			if v.Name != nil {
				name = *v.Name
			}
			if got := fmt.Sprintf("%d %s %d,%d", v.ID, name, v.Tags[0], v.Tags[1]); got != e.Values["avro"] {
				t.Errorf("%s: %s, want %s", s.Name, got, e.Values["avro"])
			}
			values++
		}
	}
	if samples < 4 || values < 80 {
		t.Errorf("%d samples, %d values", samples, values)
	}
	fmt.Printf("RESULT convert-avro samples=%d values=%d\n", samples, values)
}

// leaves are all numbers, texts and nulls in the values of a state, sorted; without
// the kinds of rows, which are all +I in what is converted.
func leaves(t *testing.T, c interface {
	checkpoint.Enumerator
	checkpoint.Printer
}, s convert.State) []string {
	t.Helper()
	var list []string
	for e, err := range c.Entries(t.Context(), checkpoint.Selector{Operator: s.Operator, State: s.Name, Kind: s.Kind}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State.Kind == checkpoint.Timers {
			continue
		}
		text, err := c.AppendValue(nil, e.State, checkpoint.FieldValue, e.Value)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		list = flatten(list, v)
	}
	slices.Sort(list)
	return list
}

// flatten appends what is in a value of JSON and has no parts.
func flatten(list []string, v any) []string {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			list = flatten(list, item)
		}
	case map[string]any:
		for _, item := range v {
			list = flatten(list, item)
		}
	case string:
		if v != "+I" {
			list = append(list, v)
		}
	default:
		list = append(list, fmt.Sprint(v))
	}
	return list
}

// SQL jobs of Flink's own tests are converted, or what stands in the way is named.
func TestTablesOfFlink(t *testing.T) {
	converted, compared, entries := 0, 0, uint64(0)
	reasons := map[string]int{}
	root := testkit.FlinkFixtures(t)
	err := filepath.WalkDir(filepath.Join(root, "flink-table"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != flink.MetadataName {
			return err
		}
		dir := filepath.Dir(path)
		ck, err := flink.NewFormat(openStore(t, filepath.Dir(dir))).OpenCheckpoint(t.Context(), filepath.Base(dir))
		if err != nil {
			return err
		}
		st := mem.New()
		r, err := convert.ToNative(t.Context(), ck, st, "savepoint-1", convert.Options{Nullable: true, Drop: drops(t, "kind=coordinator", "kind=split-list", "kind=union-list")})
		var refused *checkpoint.RefusedError
		switch {
		case errors.As(err, &refused):
			for _, r := range refused.Reasons {
				reasons[r.Problem]++
			}
			return nil
		case err != nil:
			t.Errorf("%s: %v", dir, err)
			return nil
		}
		converted++
		for _, s := range r.States {
			a, b := leaves(t, ck, s), leaves(t, reader.NewModel(open(t, st, "savepoint-1")), s)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %s %s:\n%v\n%v", dir, s.Operator, s.Name, a, b)
			}
			compared += len(a)
		}
		for _, s := range r.States {
			entries += s.Entries
		}
		for f, err := range recovery.Verify(t.Context(), model(open(t, st, "savepoint-1")), recovery.Options{}) {
			if err != nil || f.Severity == checkpoint.Error {
				t.Errorf("%s: %+v %v", dir, f, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for why, n := range reasons {
		t.Logf("%d: %s", n, why)
	}
	if converted < 65 || compared < 700 {
		t.Errorf("%d converted, %d values compared", converted, compared)
	}
	fmt.Printf("RESULT convert-tables converted=%d entries=%d values=%d reasons=%d\n", converted, entries, compared, len(reasons))
}
