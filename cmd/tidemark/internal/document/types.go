package document

import "github.com/tidemark-io/tidemark/checkpoint"

// InspectSchema names the document of inspect.
const InspectSchema = "tidemark.inspect/1"

// Inspect says what is in a checkpoint. Its lists are never null: a checkpoint
// without edges has an empty list of them. The four long lists are there only if
// they were asked for, since a job of 10,000 subtasks has 100,000 rows.
type Inspect struct {
	Schema string `json:"schema"`
	Head
	Operators []Operator `json:"operators"`
	Edges     []Edge     `json:"edges"`
	Losses    []Loss     `json:"losses"`
	Findings  []Finding  `json:"findings"`

	// With --settings, --subtasks, --objects, --key-groups.
	Settings  *[]Setting  `json:"settings,omitempty"`
	Subtasks  *[]Subtask  `json:"subtasks,omitempty"`
	Objects   *[]Object   `json:"objects,omitempty"`
	KeyGroups *[]KeyGroup `json:"keyGroups,omitempty"`
}

// Head is what the summary of a checkpoint says. Reading it costs the same
// whatever the size of the checkpoint.
type Head struct {
	// Path leads to the checkpoint from where the command was called, so it can
	// be given to the next command.
	Path    string            `json:"path"`
	Kind    checkpoint.Kind   `json:"kind"`
	Version string            `json:"version"`
	ID      Number            `json:"id"`
	Created Moment            `json:"created"`
	Status  checkpoint.Status `json:"status"`
	Job     Text              `json:"job"`
	Lineage Text              `json:"lineage"`
	// Lineage names the line of runs that the checkpoint belongs to, Run counts
	// the runs on its root, and Parent is the id of the checkpoint that its run
	// was restored from; null if there is none.
	Run      Number `json:"run"`
	Parent   Number `json:"parent"`
	Software Text   `json:"software"`
	KeyHash  Text   `json:"keyHash"`
	// Finished says that the job had reached the end of its input.
	Finished     bool   `json:"finished"`
	SubtaskCount Number `json:"subtaskCount"`
	// Entries and Bytes are those of all state, in-flight data left out.
	Entries    Number     `json:"entries"`
	Bytes      Number     `json:"bytes"`
	InFlight   InFlight   `json:"inFlight"`
	Watermarks Watermarks `json:"watermarks"`
	info       checkpoint.Info
}

// InFlight is the size of in-flight data: records that were under way between
// tasks and are part of an unaligned checkpoint.
type InFlight struct {
	Bytes   Number `json:"bytes"`
	Records Number `json:"records"`
}

// Watermarks are the lowest and highest watermark, event time in ms.
type Watermarks struct {
	Min EventTime `json:"min"`
	Max EventTime `json:"max"`
}

// Operator is a node of the job graph with its states. Its uid is what a restore
// goes by; the name is for people.
type Operator struct {
	UID         string `json:"uid"`
	Name        string `json:"name"`
	Parallelism uint32 `json:"parallelism"`
	// KeyGroups bounds the parallelism that the operator can be restored with;
	// null if it is not keyed.
	KeyGroups *uint32 `json:"keyGroups"`
	KeyType   Text    `json:"keyType"`
	// Operators of one Task ran chained, without an exchange between them.
	Task       uint32     `json:"task"`
	Watermarks Watermarks `json:"watermarks"`
	States     []State    `json:"states"`
}

// State is one named state of an operator. Bytes are those on the disk,
// Decoded those before compression. Channel state and channel watermarks belong
// to an edge.
type State struct {
	Name    string               `json:"name"`
	Kind    checkpoint.StateKind `json:"kind"`
	Schema  Types                `json:"schema"`
	Edge    Text                 `json:"edge"`
	Entries Number               `json:"entries"`
	Bytes   Number               `json:"bytes"`
	Decoded Number               `json:"decodedBytes"`
}

// Types are the printed schemas of a state's columns, null for a column that the
// kind of state does not have or that nothing is known about.
type Types struct {
	Key       Text `json:"key"`
	Namespace Text `json:"namespace"`
	Value     Text `json:"value"`
}

// Edge is a connection of the job graph, with the alignment that the barriers of
// this very checkpoint had on it, which may differ from what was configured.
type Edge struct {
	ID          string                 `json:"id"`
	From        string                 `json:"from"`
	To          string                 `json:"to"`
	Partitioner checkpoint.Partitioner `json:"partitioner"`
	Alignment   checkpoint.Alignment   `json:"alignment"`
	Reason      Text                   `json:"reason"` // of an aligned one, null if unknown
	Keys        Text                   `json:"keys"`   // uid of the operator by whose keys a pointwise one is redistributed
	InFlight    InFlight               `json:"inFlight"`
}

// Loss says what a tool removed from the checkpoint. A restore from it goes on
// without that data, so these rows are copied into everything derived from it.
type Loss struct {
	Tool     string     `json:"tool"`
	Created  Moment     `json:"created"`
	Operator Text       `json:"operator"`
	State    Text       `json:"state"`
	Edge     Text       `json:"edge"`
	Place    Text       `json:"place"`
	Reason   string     `json:"reason"`
	Bytes    Number     `json:"bytes"`
	Records  Number     `json:"records"`
	Times    Watermarks `json:"eventTimes"`
}

// Setting is one configuration value of the job.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// Subtask is what one subtask wrote of one state: where it begins in which
// object, and how much it is.
type Subtask struct {
	Operator string               `json:"operator"`
	State    string               `json:"state"`
	Kind     checkpoint.StateKind `json:"kind"`
	Subtask  uint32               `json:"subtask"`
	Object   string               `json:"object"`
	Offset   Number               `json:"offset"`
	Entries  Number               `json:"entries"`
	Bytes    Number               `json:"bytes"`
	Decoded  Number               `json:"decodedBytes"`
}

// Object is a stored object.
type Object struct {
	Name   string `json:"name"`
	Bytes  Number `json:"bytes"`
	CRC32C Text   `json:"crc32c"`
	Shared bool   `json:"shared"`
}

// KeyGroup is the run of key groups that one subtask of a keyed operator owned.
type KeyGroup struct {
	Operator string `json:"operator"`
	Subtask  uint32 `json:"subtask"`
	First    int    `json:"first"`
	Last     int    `json:"last"`
	Entries  Number `json:"entries"`
	Bytes    Number `json:"bytes"`
}

// Lists says which long lists an inspection has.
type Lists struct{ Settings, Subtasks, Objects, KeyGroups bool }
