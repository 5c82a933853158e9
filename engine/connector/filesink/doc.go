// Package filesink writes records to files exactly once, in step with
// checkpoints.
//
// # Layout
//
//	<dir>/<name>.jsonl                    visible: belongs to a completed checkpoint
//	<dir>/.pending/<name>.jsonl           complete and durable, awaits its checkpoint
//	<dir>/.pending/<lineage>...open       being written
//	<dir>/.withdrawn/<name>.jsonl         was visible, taken back by a rollback
//
// A name carries all that is known of a part, so that every file can be told
// from any other without further records (see [Part]):
//
//	<lineage>-<uid>-c<id>-r<run>-s<subtask>-<counter>.jsonl
//
// The part holds exactly the records that its subtask took between the
// snapshots of checkpoints id-1 (or the one before, if that was not attempted)
// and id. It may become visible with a later checkpoint than id, if id failed;
// it never holds records behind the snapshot of id. So after a restore of
// checkpoint c, exactly the parts with an id above c are not part of history.
//
// # Protocol
//
//  1. Prepare(n) ends the part being written. In the background it is flushed,
//     fsynced, closed and renamed to its pending name, and .pending is fsynced.
//     Its name, length and CRC-32C go into the checkpoint as an item.
//  2. When checkpoint n is committed, Publish(n) links each pending part to its
//     visible name, which fails if that exists; fsyncs the directory; and
//     removes the pending name.
//  3. A restore publishes the items of the checkpoint again, which does nothing
//     for what is visible with the recorded length and checksum, and then
//     removes this lineage's unpublished parts with larger ids.
//
// Both names absent is an error (output was lost or taken away), and so is a
// visible file with other content. So consumers may read visible files, but
// should not move or change those of the newest checkpoints.
//
// # Who removes what
//
// The subtasks of a restored job recover at the same time, and some may write
// already while others still recover. Subtask i of p removes the leftovers of
// the subtasks j with j mod p = i, whatever the parallelism was. So each
// leftover has one remover; a new part of subtask i can only be hit by subtask
// i itself, which recovers before it writes; and what others still have to
// publish has an id up to the restored one and is never removed. Files of runs
// with a larger number than one's own are left alone: who sees them has been
// replaced, and shall do no harm.
//
// # Non-goals
//
// Parts are never continued after a restore, and never merged. The sink does
// not remove .withdrawn. Savepoints do not own their pending files: once the
// run goes on from an earlier checkpoint, those are removed, and restoring the
// savepoint later is refused with an error that names the file.
package filesink
