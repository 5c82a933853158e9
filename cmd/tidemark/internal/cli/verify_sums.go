package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/recovery"
)

// checksumsSchema names the file of verify --write-manifest.
const checksumsSchema = "tidemark.checksums/1"

// checksumsFile is the file of verify --write-manifest.
type checksumsFile struct {
	Schema  string                 `json:"schema"`
	Objects map[string]checksumRow `json:"objects"` // by name below the root
}

type checksumRow struct {
	Bytes  int64  `json:"bytes,string"`
	CRC32C string `json:"crc32c"` // 8 hexadecimal digits
}

// readSums reads what --manifest names, and begins what --write-manifest does.
func (v *verifier) readSums() error {
	if v.sumsOut != "" {
		v.written = recovery.NewChecksums(nil)
	}
	if v.sumsIn == "" {
		return nil
	}
	text, err := os.ReadFile(v.sumsIn)
	if err != nil {
		return err
	}
	var f checksumsFile
	if err := json.Unmarshal(text, &f); err != nil || f.Schema != checksumsSchema {
		return usage("%s is no file of verify --write-manifest", v.sumsIn)
	}
	known := make(map[string]recovery.Checksum, len(f.Objects))
	for name, row := range f.Objects {
		crc, err := strconv.ParseUint(row.CRC32C, 16, 32)
		if err != nil {
			return usage("%s: the checksum of %q is %q", v.sumsIn, name, row.CRC32C)
		}
		known[name] = recovery.Checksum{Bytes: row.Bytes, CRC: uint32(crc)}
	}
	v.sums = recovery.NewChecksums(known)
	return nil
}

// writeSums writes the file of --write-manifest, which must be new. It is written
// whatever was found: it says what is there.
func (v *verifier) writeSums() error {
	if v.written == nil {
		return nil
	}
	f := checksumsFile{Schema: checksumsSchema, Objects: map[string]checksumRow{}}
	for name, sum := range v.written.All() {
		f.Objects[name] = checksumRow{sum.Bytes, fmt.Sprintf("%08x", sum.CRC)}
	}
	err := newFile(v.sumsOut, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		return e.Encode(f)
	})
	if err == nil {
		v.say("%s: checksums of %d objects", v.sumsOut, len(f.Objects))
	}
	return err
}

// compareSums reads the objects of a checkpoint as far as a flag asks for it.
func (v *verifier) compareSums(ctx context.Context, p *place.Place, c checkpoint.Checkpoint, tell func(event)) {
	if v.sums == nil && v.written == nil {
		return
	}
	err := recovery.Sum(ctx, p.Store(), c, v.sums, v.written, nil, func(f checkpoint.Finding) { tell(event{finding: &f}) })
	if err != nil {
		tell(event{err: err})
	}
}
