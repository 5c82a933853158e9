package serde

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/internal/testkit"
)

// pair is a serialiser's snapshot and one value, as Flink wrote them.
type pair struct {
	name           string
	snapshot, data []byte
}

func goldenPairs(t testing.TB) []pair {
	t.Helper()
	var pairs []pair
	root := testkit.FlinkFixtures(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "serializer-snapshot" {
			return err
		}
		dir := filepath.Dir(path)
		snapshot, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, "test-data"))
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{filepath.Base(dir), snapshot, data})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}

// Every golden pair is read to the last byte.
func TestGoldenPairs(t *testing.T) {
	pairs := goldenPairs(t)
	typed := 0
	opaque, refused := map[string]int{}, map[string]int{}
	for _, p := range pairs {
		r := wire.NewBytes(p.name, 0, p.snapshot)
		typ, err := ReadSnapshot(r)
		if err == nil {
			err = r.End("snapshot")
		}
		var v any
		if err == nil {
			v, err = typ.Decode(p.data)
		}
		if err != nil {
			var e *wire.Error
			if !errors.As(err, &e) {
				t.Errorf("%s: an error without place: %v", p.name, err)
			}
			refused[p.name+": "+err.Error()]++
			continue
		}
		if class, ok := opaqueIn(v); ok {
			opaque[short(class)]++
		} else {
			typed++
		}
	}
	for _, text := range slices.Sorted(maps.Keys(refused)) {
		t.Errorf("refused: %s", text)
	}
	sum := 0
	for _, n := range opaque {
		sum += n
	}
	t.Logf("RESULT TestGoldenPairs pairs=%d typed=%d opaque=%d refused=%d opaque_classes=%s", len(pairs), typed, sum, len(refused),
		strings.Join(slices.Sorted(maps.Keys(opaque)), ","))
}

// opaqueIn finds bytes of the user's own encoding in a value.
func opaqueIn(v any) (string, bool) {
	switch v := v.(type) {
	case *Opaque:
		return v.Class, true
	case []any:
		for _, item := range v {
			if class, ok := opaqueIn(item); ok {
				return class, true
			}
		}
	case *Struct:
		return opaqueIn(v.Values)
	}
	return "", false
}
