package document

import (
	"encoding/json"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery"
)

// ShowSchema names the document of show.
const ShowSchema = "tidemark.show/1"

// Show lists contents of a checkpoint.
type Show struct {
	Schema string `json:"schema"`
	Path   string `json:"path"`
	Rows   []Row  `json:"rows"`
	// More says that rows were left out.
	More bool `json:"more"`
}

// Row is an entry of a state, an in-flight record or a buffer. Key, Namespace
// and Value are typed by the schemas that the checkpoint has; without one they
// are strings of hexadecimal digits.
type Row struct {
	Operator  string               `json:"operator"`
	State     string               `json:"state"`
	Kind      checkpoint.StateKind `json:"kind"`
	Edge      Text                 `json:"edge"`
	Subtask   uint32               `json:"subtask"`
	KeyGroup  *uint32              `json:"keyGroup"`
	Hash      Text                 `json:"hash"`
	Interval  Text                 `json:"interval"` // of hashes, of a floor
	Key       json.RawMessage      `json:"key"`
	Namespace json.RawMessage      `json:"namespace"`
	Value     json.RawMessage      `json:"value"`
	Time      EventTime            `json:"time"`
	Detail    map[string]string    `json:"detail"`
	Problem   Text                 `json:"problem"`
}

// NewRow copies a row.
func NewRow(r *recovery.Row) Row {
	d := Row{Operator: r.State.Operator, State: r.State.Name, Kind: r.State.Kind, Edge: Text(r.State.Edge), Subtask: r.Subtask,
		Key: raw(r.Key), Namespace: raw(r.Namespace), Value: raw(r.Value), Time: EventTime(r.Time), Detail: map[string]string{}}
	if r.KeyGroup != checkpoint.NoKeyGroup {
		group := r.KeyGroup
		d.KeyGroup = &group
	}
	if r.HasHash {
		d.Hash = Text(fmt.Sprintf("%08x", r.Hash))
	}
	if r.Interval[1] > 0 {
		d.Interval = Text(fmt.Sprintf("%08x-%08x", r.Interval[0], r.Interval[1]-1))
	}
	for _, x := range r.Detail {
		d.Detail[x.Name] = x.Value
	}
	if r.Problem != nil {
		d.Problem = Text(r.Problem.Error())
	}
	return d
}

// raw copies JSON; nil becomes null.
func raw(text []byte) json.RawMessage {
	if text == nil {
		return nil
	}
	return append(json.RawMessage{}, text...)
}
