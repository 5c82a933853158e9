package metadata_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
)

// What a real Flink of the oracle wrote reads to the last byte and is written again
// byte for byte.
func TestSamplesRoundTrip(t *testing.T) {
	files, kinds := 0, map[string]int{}
	err := filepath.WalkDir("../../testdata/flink", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "_metadata" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		m, err := metadata.Decode(path, data, nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		if again, err := metadata.Append(nil, m); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: written again it differs (%v)", path, err)
		}
		for ref := range m.Handles() {
			switch (*ref.Handle).(type) {
			case *metadata.File:
				kinds["absolute"]++
			case *metadata.RelativeFile:
				kinds["relative"]++
			case *metadata.Segment:
				kinds["segment"]++
			case *metadata.EmptySegment:
				kinds["empty segment"]++
			case *metadata.ByteStream:
				kinds["inline"]++
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
	t.Logf("RESULT TestSamplesRoundTrip files=%d handles=%v", files, kinds)
}
