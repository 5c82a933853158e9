package state

// Generation begins a new generation of changes and returns its number, as each
// snapshot does too. A key group holds what it held at the moment when
// generation g began if its last change, of which [Table.SnapshotOf] tells the
// generation, is of one before g. Nothing is ever reset: whoever stored a
// snapshot remembers its generation, and one that was never stored is forgotten
// without losing sight of what has changed since an older one.
func (t *Table) Generation() uint64 {
	t.snapshots++
	return t.snapshots
}
