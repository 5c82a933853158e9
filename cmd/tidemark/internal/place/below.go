package place

import (
	"context"
	"fmt"
	gopath "path"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/flink"
)

// glance is how many objects are looked at to say where checkpoints are, when
// there are none where they were looked for.
const glance = 100_000

// Roots lists the roots at and below a path, as paths or addresses: each folder
// that a checkpoint's folder lies in, however deep. A path that is a checkpoint
// stands for itself. All names below the path are listed.
func Roots(ctx context.Context, path string) ([]string, error) {
	p, err := Open(ctx, path, Flink{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if p.Path != "" {
		return []string{path}, nil
	}
	below, err := p.roots(ctx, 0)
	if err != nil {
		return nil, err
	}
	if len(below) == 0 {
		return nil, fmt.Errorf("%s: %w, nor in any folder below", path, checkpoint.ErrNone)
	}
	return below, nil
}

// None is the error for a place that has no checkpoint. It says where some are if
// they are in folders below.
func (p *Place) None(ctx context.Context) error {
	none := fmt.Errorf("%s: %w", p.Show(p.Path), checkpoint.ErrNone)
	if p.Path != "" {
		return none
	}
	below, err := p.roots(ctx, glance)
	switch {
	case err != nil || len(below) == 0:
		return none // what cannot be listed helps nobody
	case len(below) == 1:
		return fmt.Errorf("%w, but there is in %s", none, below[0])
	default:
		return fmt.Errorf("%w, but there is in %d folders below, the first is %s: \"tidemark ls -r %s\" lists them all", none, len(below), below[0], out.Word(p.Root))
	}
}

// roots lists the folders of checkpoints' folders. limit bounds the objects that
// are looked at, 0 is no bound.
func (p *Place) roots(ctx context.Context, limit int) ([]string, error) {
	found := map[string]bool{}
	n := 0
	for info, err := range p.store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Root, err)
		}
		if n++; n == limit {
			break
		}
		dir, base := gopath.Split(info.Name)
		dir = strings.TrimSuffix(dir, "/")
		if dir == "" {
			continue
		}
		_, _, named := layout.ParseDir(dir)
		if named || base == layout.Manifest || base == layout.ManifestCopy || base == flink.MetadataName {
			found[gopath.Dir(dir)] = true
		}
	}
	list := make([]string, 0, len(found))
	for dir := range found {
		list = append(list, p.Show(dir))
	}
	slices.Sort(list)
	return list, nil
}
