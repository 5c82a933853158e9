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
	// Repaired are the bits that were turned back, if that was asked for.
	Repaired []Repair
	// Found is the number of pieces and records that belong to no operator for
	// certain; they are in the lost-and-found, if there is one.
	Found uint64
}

// Repair is one bit of a damaged block that was turned back, whereupon the block
// had the checksum that is stated of it. That is what was stored, unless more bits
// were damaged in just the way that looks like this one.
type Repair struct {
	Object string // name of the data object
	Offset uint64 // of the byte in the object
	Bit    int    // 0 is the lowest
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
