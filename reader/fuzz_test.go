package reader_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// FuzzOpen damages the directory of a checkpoint as the input says, four bytes
// for each change: which object, how, where, by what. Whatever comes out, nothing
// panics, no wrong byte is returned, and no object outside the directory is
// opened.
func FuzzOpen(f *testing.F) {
	st := write(f, damageJob())
	want, _, err := contents(context.Background(), st, "chk-1")
	if err != nil {
		f.Fatal(err)
	}
	objects := map[string][]byte{}
	for info := range st.List(context.Background(), "") {
		data, err := store.ReadAll(context.Background(), st, info.Name, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		objects[info.Name] = data
	}
	var names []string
	for name := range objects {
		names = append(names, name)
	}
	slices.Sort(names)
	for which := range byte(3) {
		for how := range byte(6) {
			f.Add([]byte{which, how, 10, 1})
			f.Add([]byte{which, how, 250, 0xff, 2 - which, how, 128, 3})
		}
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		bad := map[string][]byte{}
		for name, data := range objects {
			bad[name] = slices.Clone(data)
		}
		for len(changes) >= 4 {
			c := changes[:4]
			changes = changes[4:]
			name := names[int(c[0])%len(names)]
			bad[name] = mutate(bad[name], bad[names[int(c[3])%len(names)]], c[1], c[2], c[3])
		}
		st := mem.New()
		for name, data := range bad {
			if data == nil {
				continue // the object is missing
			}
			if _, err := store.WriteAll(t.Context(), st, name, data); err != nil {
				t.Fatal(err)
			}
		}
		watched := &counting{Store: st, opened: func(name string) {
			if !strings.HasPrefix(name, "chk-1/") {
				t.Errorf("%q was opened", name)
			}
		}}
		if _, err := neverWrong(watched, "chk-1", want); err != nil {
			t.Fatal(err)
		}
		_, _ = findings(t.Context(), watched, "chk-1") // it must end
	})
}

// mutate changes an object: flips a byte, cuts, extends, copies within or from
// another one, or removes it.
func mutate(data, other []byte, how, where, what byte) []byte {
	if len(data) == 0 {
		return data
	}
	at := int(where) * (len(data) - 1) / 255
	switch how % 6 {
	case 0:
		data[at] ^= what | 1
	case 1:
		data = data[:at]
	case 2:
		data = append(data, make([]byte, int(what))...)
	case 3:
		copy(data[at:], data[:int(what)%len(data)])
	case 4:
		copy(data[at:], other[min(at, len(other)):])
	case 5:
		if where > 128 {
			return nil
		}
		return slices.Clone(other)
	}
	return data
}
