package flink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// LossesName is the name of the file beside the metadata in which tools say what
// they left out: Flink's metadata has no place for it, and Flink passes over files
// that the metadata does not name.
const LossesName = "_tidemark-losses.json"

// lossesSchema names the document in that file.
const lossesSchema = "tidemark.flink-losses/1"

// maxLosses bounds the file, in bytes.
const maxLosses = 16 << 20

// lossesDocument is what the file holds.
type lossesDocument struct {
	Schema string    `json:"schema"`
	Losses []lossRow `json:"losses"`
}

// lossRow is a checkpoint.Loss in the file.
type lossRow struct {
	Tool     string    `json:"tool"`
	Created  time.Time `json:"created"`
	Operator string    `json:"operator,omitempty"`
	State    string    `json:"state,omitempty"`
	Edge     string    `json:"edge,omitempty"`
	Place    string    `json:"place,omitempty"`
	Reason   string    `json:"reason"`
	Bytes    uint64    `json:"bytes"`
	Records  uint64    `json:"records"`
}

// AppendLosses appends the file that reports losses.
func AppendLosses(dst []byte, losses []checkpoint.Loss) ([]byte, error) {
	d := lossesDocument{Schema: lossesSchema, Losses: []lossRow{}}
	for _, l := range losses {
		d.Losses = append(d.Losses, lossRow{l.Tool, l.Created.UTC(), l.Operator, l.State, l.Edge, l.Place, l.Reason, l.Bytes, l.Records})
	}
	b, err := json.MarshalIndent(d, "", "  ")
	return append(append(dst, b...), '\n'), err
}

var _ checkpoint.Lossy = (*Checkpoint)(nil)

// Losses yields what tools left out on the way to this checkpoint: the content of
// [LossesName], nothing if there is no such file.
func (c *Checkpoint) Losses(ctx context.Context) iter.Seq2[checkpoint.Loss, error] {
	return func(yield func(checkpoint.Loss, error) bool) {
		name := layout.Join(c.dir, LossesName)
		data, err := store.ReadAll(ctx, c.f.st, name, maxLosses)
		if errors.Is(err, store.ErrNotExist) {
			return
		}
		var d lossesDocument
		if err == nil {
			switch err = json.Unmarshal(data, &d); {
			case err != nil:
				err = fmt.Errorf("%s: %w: %w", name, checkpoint.ErrDamaged, err)
			case d.Schema != lossesSchema:
				err = fmt.Errorf("%s: %w: the schema is %.40q, expected %s", name, checkpoint.ErrUnsupported, d.Schema, lossesSchema)
			}
		}
		if err != nil {
			yield(checkpoint.Loss{}, err)
			return
		}
		for _, r := range d.Losses {
			l := checkpoint.Loss{Tool: r.Tool, Created: r.Created, Operator: r.Operator, State: r.State, Edge: r.Edge, Place: r.Place, Reason: r.Reason,
				Bytes: r.Bytes, Records: r.Records, MinTime: checkpoint.UnknownTime, MaxTime: checkpoint.UnknownTime}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// Store is the store that the checkpoint was opened in.
func (c *Checkpoint) Store() store.Store { return c.f.st }
