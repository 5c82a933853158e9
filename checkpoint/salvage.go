package checkpoint

import "context"

// Salvager is the ability of a [Format] to open what is left of a checkpoint
// whose metadata does not read, or of which parts are gone.
type Salvager interface {
	// OpenDamaged is Open, but where that fails for damage it opens what the
	// metadata's copy and the data themselves tell. What could not be found out
	// is among the losses of an edit that salvages it. Errors are those of Open if there is
	// nothing that could be opened. It writes nothing.
	OpenDamaged(ctx context.Context, path string) (Checkpoint, error)
}

// Salvaged is what a salvage found and did, besides its losses.
type Salvaged struct {
	Damaged []string // objects of which not all reads, or that are missing
	Moved   []string // objects that lay under another name than their own
	Rebuilt bool     // the manifest was put together from what the data say
	Filled  []Filled
	// Found is the number of pieces and records that belong to no operator for
	// certain; they are in the lost-and-found, if there is one.
	Found uint64
}

// Filled says how many entries of a keyed state came from an older checkpoint,
// in place of lost ones: they are as of then.
type Filled struct {
	Operator string // uid
	State    string
	Entries  uint64
	Older    string // path of the older checkpoint
	ID       uint64 // its id
}
