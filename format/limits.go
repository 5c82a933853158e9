package format

import "cmp"

// Fixed bounds of the format. They hold whatever [Limits] say.
const (
	MaxHeader   = 4 << 10 // bytes of a file header
	MaxFooter   = 64 << 10
	MaxName     = 512     // bytes of an object name or a path
	MaxSegments = 16      // of an object name
	MaxText     = 4 << 10 // bytes of a uid, a name, a setting, …
	MaxNesting  = 16      // of a schema
	MaxFields   = 4096    // of a struct schema

	// BlockTarget is the decoded size at which writers end a block.
	BlockTarget = 64 << 10
	// TableBlock is the largest decoded size of a block of a manifest.
	TableBlock = 1 << 20
)

// Limits bound what a decoder accepts. A zero field stands for the default.
// Decoders reserve no memory for a length they have not compared with the
// limit and with the bytes at hand.
type Limits struct {
	Block           uint64 // decoded bytes of one block; 64 MiB
	Manifest        uint64 // encoded bytes of a manifest; 64 MiB
	ManifestDecoded uint64 // decoded bytes of all blocks of a manifest; 512 MiB
	ManifestRows    uint64 // rows of all tables of a manifest; 4,000,000
	Operators       uint64 // 10,000
	Schema          uint64 // encoded bytes of one schema; 64 KiB
	JSON            uint64 // bytes printed for one value; 16 MiB
}

// DefaultLimits are the limits that a zero [Limits] stands for.
func DefaultLimits() Limits {
	return Limits{
		Block:           64 << 20,
		Manifest:        64 << 20,
		ManifestDecoded: 512 << 20,
		ManifestRows:    4_000_000,
		Operators:       10_000,
		Schema:          64 << 10,
		JSON:            16 << 20,
	}
}

// orDefault returns the limits with every zero field replaced. A nil pointer is
// the default.
func (l *Limits) orDefault() Limits {
	def := DefaultLimits()
	if l == nil {
		return def
	}
	return Limits{
		Block:           cmp.Or(l.Block, def.Block),
		Manifest:        cmp.Or(l.Manifest, def.Manifest),
		ManifestDecoded: cmp.Or(l.ManifestDecoded, def.ManifestDecoded),
		ManifestRows:    cmp.Or(l.ManifestRows, def.ManifestRows),
		Operators:       cmp.Or(l.Operators, def.Operators),
		Schema:          cmp.Or(l.Schema, def.Schema),
		JSON:            cmp.Or(l.JSON, def.JSON),
	}
}
