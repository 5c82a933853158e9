package metadata

import (
	"strings"

	"github.com/tidemark-io/tidemark/flink/javaser"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Properties is what the tail says of a checkpoint (CheckpointProperties). Texts
// are as in the file, "" where the file says nothing.
type Properties struct {
	Savepoint bool   // else a checkpoint
	Name      string // "Checkpoint", "Full Checkpoint", "Savepoint", "Terminate Savepoint", …
	// Sharing is FORWARD_BACKWARD, FORWARD or NO_SHARING, for a checkpoint: whether
	// files are shared with checkpoints before and after it.
	Sharing   string
	Format    string // CANONICAL or NATIVE, for a savepoint
	Post      string // NONE, SUSPEND or TERMINATE, for a savepoint: what the job did then
	Forced    bool
	Unclaimed bool
	// Discard: the checkpoint goes away when the job ends in this way, or a newer
	// checkpoint is complete.
	DiscardSubsumed, DiscardFinished, DiscardCancelled, DiscardFailed, DiscardSuspended bool
}

// package of Flink's classes.
const checkpointPackage = "org.apache.flink.runtime.checkpoint."

// Properties returns what the tail says, nil if it says nothing: before version 4,
// or with null. object names the file in errors; a class that is not known is a
// *[wire.Error] of the class wire.ErrUnsupported.
func (m *Metadata) Properties(object string) (*Properties, error) {
	if len(m.Tail) == 0 {
		return nil, nil
	}
	v, err := javaser.Parse(object, 0, m.Tail, nil)
	if err != nil || v == nil {
		return nil, err
	}
	unknown := func(v javaser.Value, expected string) error {
		name := "something else"
		if o, ok := v.(*javaser.Object); ok {
			name = "an object of class " + o.Class.Name
		}
		return &wire.Error{Object: object, What: "checkpoint properties", Err: wire.Unsupported("%.200s instead of %s", name, expected)}
	}
	o, ok := v.(*javaser.Object)
	if !ok || o.Class.Name != checkpointPackage+"CheckpointProperties" {
		return nil, unknown(v, "CheckpointProperties")
	}
	p := new(Properties)
	for name, field := range map[string]*bool{
		"forced": &p.Forced, "unclaimed": &p.Unclaimed, "discardSubsumed": &p.DiscardSubsumed, "discardFinished": &p.DiscardFinished,
		"discardCancelled": &p.DiscardCancelled, "discardFailed": &p.DiscardFailed, "discardSuspended": &p.DiscardSuspended,
	} {
		*field, _ = o.Bool(name)
	}
	kind, _ := o.Field("checkpointType")
	t, ok := kind.(*javaser.Object)
	if !ok {
		return nil, unknown(kind, "CheckpointType or SavepointType")
	}
	p.Name, _ = t.Text("name")
	switch strings.TrimPrefix(t.Class.Name, checkpointPackage) {
	case "CheckpointType":
		p.Sharing, _ = t.Constant("sharingFilesStrategy")
	case "SavepointType":
		p.Savepoint = true
		p.Format, _ = t.Constant("formatType")
		p.Post, _ = t.Constant("postCheckpointAction")
	default:
		return nil, unknown(kind, "CheckpointType or SavepointType")
	}
	return p, nil
}
