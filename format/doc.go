// Package format states the bytes of checkpoints: it encodes, decodes and
// bounds them, and does nothing else. SPEC.md beside this file describes every
// byte; tests compare its tables with the constants here.
//
// # Layers
//
// Everything lies in blocks. A block holds rows of one [Kind], column by column,
// each column plain or compressed, under a CRC-32C. One builder ([Builder]) and
// one decoder ([Block]) serve all kinds; a kind is no more than the list of its
// columns. A block does not know where it lies. Its parent does: offset, length,
// checksum, decoded length and rows stand in a [BlockRef], so that a block which
// is intact but stale or misplaced is refused like a damaged one.
//
//	manifest ── slice ──▶ block index ──▶ block ──▶ rows
//	 (MANIFEST)            (in a data object, behind its blocks)
//
// A data object is a header, the blocks of any number of slices with their
// indexes, a directory and a footer ([AppendObjectHeader], [AppendIndex],
// [AppendObjectEnd], [OpenObject]). A manifest is a header, blocks with the
// tables of [Manifest], a directory and a footer ([AppendManifest],
// [OpenManifest]); it is opened without decoding what is not asked for.
//
// # Rules for decoders
//
// The input is hostile. A length is compared, as a 64-bit unsigned number, with
// a limit ([Limits]) and with the bytes at hand before memory is reserved for it
// or it becomes an int. There is exactly one encoding of everything: a decoder
// refuses what the encoder would not have written, so that two files with the
// same content are the same file. Nothing recurses on input. No input makes this
// package panic. What is refused is refused with a [*CorruptError] that names
// the object, the offset and the unit, and belongs to a class: truncated,
// checksum, malformed, too new, over a limit.
//
// # Reading the source
//
// Begin with column.go (the table of kinds), block.go and block_decode.go; then
// index.go and object.go; then manifest.go, manifest_write.go and
// manifest_read.go. What the rows of each kind mean is in keyed.go, list.go,
// watermark.go, channel.go and frame.go. Values describe themselves by schemas:
// schema.go, schema_encode.go and, to print them, value_walk.go and
// value_json.go.
//
// # Non-goals
//
// No I/O but through an [io.ReaderAt], no files, no goroutines, no clock. No
// hashing of keys (see keygroup/keyhash). No repair: tools decide what to do
// about damage. No appending to and no changing of files.
package format
