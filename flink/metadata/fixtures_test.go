package metadata_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/internal/testkit"
)

// fixtureFiles are the paths of all metadata that Flink's test suite carries.
func fixtureFiles(t testing.TB) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(testkit.FlinkFixtures(t), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "_metadata" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every real file is read to its last byte, and written again byte for byte. Each
// operator whose uid is known has the id that follows from the uid.
func TestFixturesRoundTrip(t *testing.T) {
	versions := map[int32]int{}
	tails := map[string]int{}
	var read, same, uids, operators, handles int
	for _, path := range fixtureFiles(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := metadata.Decode(path, data, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		read++
		versions[m.Version]++
		again, err := metadata.Append(nil, m)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: written again it differs (error %v)", path, err)
			continue
		}
		same++
		for i := range m.Operators {
			op := &m.Operators[i]
			operators++
			if op.UID == "" {
				continue
			}
			uids++
			if got := metadata.IDOfUID(op.UID); got != op.ID {
				t.Errorf("%s: operator %q has the id %s, computed is %s", path, op.UID, op.ID, got)
			}
		}
		for range m.Handles() {
			handles++
		}
		p, err := m.Properties(path)
		if err != nil {
			t.Error(err)
		}
		if p != nil {
			tails[p.Name+" "+p.Format+p.Sharing]++
		}
	}
	t.Logf("RESULT TestFixturesRoundTrip files=%d identical=%d operators=%d uids=%d handles=%d versions=%v properties=%v", read, same, operators, uids, handles, versions, tails)
	if read < 214 {
		t.Errorf("read %d files, the README there says 214", read)
	}
}
