package writer

import (
	"bytes"
	"context"
	"errors"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// verifyManifest decodes the very bytes that will be uploaded and encodes what
// it got once more: the same bytes must come out. m then gets the totals and the
// order of slices that the encoder computed.
func verifyManifest(name string, data []byte, m *format.Manifest) error {
	r, err := format.OpenManifest(bytes.NewReader(data), int64(len(data)),
		format.ManifestOptions{Object: name, Path: m.Summary.Path})
	if err != nil {
		return err
	}
	read, err := r.Read()
	if err != nil {
		return err
	}
	again, err := format.AppendManifest(make([]byte, 0, len(data)), read)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, again) {
		return errors.New("encoding it once more gives other bytes")
	}
	m.Summary, m.States, m.Slices = read.Summary, read.States, read.Slices
	return nil
}

// manifestOwner reads a manifest's header and summary and returns the id of its
// writer and the version of the object.
func manifestOwner(ctx context.Context, st store.Store, name string) (writer, version string, err error) {
	for range attempts {
		writer, version, err = openManifest(ctx, st, name)
		if err == nil || !store.IsTransient(err) || ctx.Err() != nil {
			break
		}
	}
	return writer, version, err
}

// openManifest is manifestOwner without trying again.
func openManifest(ctx context.Context, st store.Store, name string) (writer, version string, err error) {
	o, err := st.Open(ctx, name)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	info := o.Info()
	r, err := format.OpenManifest(o, info.Size, format.ManifestOptions{Object: name})
	if err != nil {
		return "", "", err
	}
	return r.Summary.WriterID, info.Version, nil
}
