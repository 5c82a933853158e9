// Package state keeps the keyed state of one subtask in memory: a hash table
// per key group without a pointer per entry, snapshots that run beside
// updates, restore by sequential fill, and event-time timers.
//
// # Tables
//
// A [Table] maps (key, namespace) to a value, all of them encoded bytes. Each
// owned key group has its own slab of equal slots, probed linearly. A slot
// starts with one word that orders the entries of the group; the slab is kept
// sorted by that word (an insert shifts the rest of its run by one slot, a
// delete shifts back). Without namespaces the word begins with the hash that
// places the key, so a slab lies in the global order of a checkpoint (hash, key
// bytes) but for keys with equal hashes: snapshots need no sort, and growing
// and restoring are sequential writes. With namespaces the word is mixed with
// the namespace, or the thousands of windows of one key would form one run; a
// snapshot then sorts one group at a time.
//
// Keys, namespaces and values of fixed width lie in the slot. Variable ones do
// if they have at most 15 bytes, else in the append-only arena of their group.
//
// # Snapshots
//
// [Table.Snapshot] notes the slabs and returns; nothing is copied. While the
// snapshot is read, in another goroutine, the first change of a page of a slab
// copies the page. Each page has one atomic state word, which the two sides
// claim by compare-and-swap. Without a snapshot the cost is one predictable
// branch per update.
//
// # Limits
//
// One goroutine owns a table; only the methods of [Snapshot] may run in
// another. Keys whose hashes agree in the upper 32 bits share a run: the table
// stays right but slows down in proportion to their number, and XXH3 without a
// secret does not prevent somebody who chooses keys from finding many.
// The package does no I/O and knows no types; codecs are the caller's matter.
package state
