package native

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// overlay is the store of a damaged checkpoint as it should be: a manifest that
// was put together stands in place of the damaged one, objects that lie under
// each other's names are found where they are, and each has the length that the
// manifest states, with zeros where bytes are missing. So a cut object is one
// whose end does not have the right checksums, and all that comes before reads.
// Nothing is written through it.
type overlay struct {
	store.Store // of the checkpoint
	files       map[string][]byte
	from        map[string]string // where an object lies, if not under its name
	sizes       map[string]int64  // that objects are to have
	losses      []format.Loss     // what putting the manifest together has lost
	strays      []stray
	rebuilt     bool // the manifest was put together from the data
	// unsure are the edges, by id, of which slices may be lost without a trace, and
	// whether not even their number of records is known.
	unsure map[string]bool
}

// stray is a slice of a data object that cannot be told to belong to the
// checkpoint.
type stray struct {
	object string
	entry  format.Entry
	why    string
}

// overlayOf is the overlay of a checkpoint that has one, else a new one.
func overlayOf(st store.Store) *overlay {
	if o, ok := st.(*overlay); ok {
		return o
	}
	return &overlay{Store: st}
}

// Open opens an object as it should be.
func (o *overlay) Open(ctx context.Context, name string) (store.Object, error) {
	if data, ok := o.files[name]; ok {
		return &memory{Reader: bytes.NewReader(data), info: store.Info{Name: name, Size: int64(len(data))}}, nil
	}
	object, err := o.Store.Open(ctx, o.place(name))
	if err != nil {
		return nil, err
	}
	if size, ok := o.sizes[name]; ok && size != object.Info().Size {
		return &stretched{object, size}, nil
	}
	return object, nil
}

// Stat describes an object as it should be.
func (o *overlay) Stat(ctx context.Context, name string) (store.Info, error) {
	if data, ok := o.files[name]; ok {
		return store.Info{Name: name, Size: int64(len(data))}, nil
	}
	info, err := o.Store.Stat(ctx, o.place(name))
	info.Name = name
	if size, ok := o.sizes[name]; ok {
		info.Size = size
	}
	return info, err
}

// place is the name under which an object lies.
func (o *overlay) place(name string) string {
	if at, ok := o.from[name]; ok {
		return at
	}
	return name
}

// Create fails: the source of a tool is never written to.
func (o *overlay) Create(_ context.Context, name string) (store.Upload, error) {
	return nil, fmt.Errorf("%s: %w", name, store.ErrUnsupported)
}

// Remove fails, as Create does.
func (o *overlay) Remove(_ context.Context, name, _ string) error {
	return fmt.Errorf("%s: %w", name, store.ErrUnsupported)
}

// memory is an object in memory.
type memory struct {
	*bytes.Reader
	info store.Info
}

func (m *memory) Info() store.Info { return m.info }
func (m *memory) Close() error     { return nil }

// stretched is an object with another length than it has.
type stretched struct {
	store.Object
	size int64
}

// Info describes it with the length it should have.
func (s *stretched) Info() store.Info {
	info := s.Object.Info()
	info.Size = s.size
	return info
}

// ReadAt reads zeros behind the real end.
func (s *stretched) ReadAt(p []byte, at int64) (int, error) {
	left := s.size - at
	if at < 0 || left <= 0 {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), left)]
	real := s.Object.Info().Size - at
	have := want[:max(0, min(int64(len(want)), real))]
	if len(have) > 0 {
		if n, err := s.Object.ReadAt(have, at); n < len(have) {
			return n, err
		}
	}
	clear(want[len(have):])
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}
