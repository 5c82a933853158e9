package keyhash

import (
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

// TestSpecVectors compares the vectors of format/SPEC.md: the hash of a key and
// its group among several numbers of groups.
func TestSpecVectors(t *testing.T) {
	text, err := os.ReadFile("../../format/SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "<!-- table: hashes -->\n")
	if !found {
		t.Fatal("SPEC.md has no table of hashes")
	}
	vectors := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.ReplaceAll(strings.TrimSpace(line), "`", ""), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		times, err := strconv.Atoi(cells[1])
		if err != nil {
			continue // the head
		}
		unit, err := hex.DecodeString(cells[0])
		if err != nil {
			t.Fatal(err)
		}
		check(t, bytes.Repeat(unit, times), cells)
		vectors++
	}
	if vectors < 10 {
		t.Errorf("%d vectors", vectors)
	}
}

// check compares one row of the table.
func check(t *testing.T, key []byte, cells []string) {
	t.Helper()
	want, err := strconv.ParseUint(cells[2], 16, 64)
	if err != nil || Sum64(key) != want {
		t.Errorf("Sum64(%x) = %016x, SPEC.md has %s", key, Sum64(key), cells[2])
	}
	upper, err := strconv.ParseUint(cells[3], 16, 32)
	if err != nil || uint64(Of(key)) != upper {
		t.Errorf("Of(%x) = %08x, SPEC.md has %s", key, uint32(Of(key)), cells[3])
	}
	for i, groups := range []int{1, 97, 128, 4096, 32768} {
		if got := strconv.Itoa(keygroup.Of(Of(key), groups)); got != cells[4+i] {
			t.Errorf("group of %x among %d is %s, SPEC.md has %s", key, groups, got, cells[4+i])
		}
	}
}

func TestName(t *testing.T) {
	if Name != "xxh3-64/0" {
		t.Errorf("the identifier of the hash function has changed to %q", Name)
	}
}

// TestSpread checks that keys as jobs have them (small numbers, short strings)
// fill all groups about evenly.
func TestSpread(t *testing.T) {
	const keys, groups = 128_000, 128
	var count [groups]int
	for i := range keys {
		count[keygroup.Of(Of([]byte("key-"+strconv.Itoa(i))), groups)]++
	}
	for g, n := range count {
		if n < 800 || n > 1200 {
			t.Errorf("group %d has %d of %d keys", g, n, keys)
		}
	}
}
