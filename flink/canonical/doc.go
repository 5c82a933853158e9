// Package canonical writes the state of an operator of Flink anew, in the layout of
// canonical savepoints, which every state backend reads: at another parallelism,
// with another number of key groups, without some of its states.
//
// Keyed state of every kind that packages state and sst read is streamed key group
// by key group. If the number of key groups changes, the entries are sorted by their
// new key groups in bounded memory, in temporary files beyond that. Keys are hashed
// as Java hashes them; types whose hash code is the user's own are refused, and so
// is a key whose hash does not lead to the key group that it was in.
//
// Operator state is redistributed by Flink's rules, as bytes: elements are not
// decoded.
//
// Non-goals: in-flight data, metadata, and the files of other backends' own layouts.
package canonical
