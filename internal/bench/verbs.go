package main

import "path/filepath"

// verb is one command line whose memory is measured.
type verb struct {
	name string
	args []string
	// exits are the exit codes that the command may have; 0 if there are none.
	exits []int
	// makes is what the command writes, removed afterwards.
	makes string
	needs []string // which of the places it reads
}

// places are where the checkpoints lie that the commands read.
type places struct {
	root    string // chk-2, and chk-1 of the same job, in which 1 % is different
	other   string // an empty root
	damaged string // a copy of chk-2 with flipped bytes
	flink   string // a root with a savepoint of Flink made of chk-2, called "savepoint"
}

// Places that are made only while they are needed.
const (
	needOlder   = "older"
	needDamaged = "damaged"
	needPlain   = "plain" // chk-2 without in-flight data, in root/plain
	needFlink   = "flink"
)

// sampleKey is the key that is looked for; it is in every sample.
const sampleKey = "user-1000000042"

// nativeVerbs are the commands on native checkpoints.
func nativeVerbs(p places) []verb {
	first, older := filepath.Join(p.root, "chk-2"), filepath.Join(p.root, "chk-1")
	linked, copied := filepath.Join(p.root, "result"), filepath.Join(p.other, "result")
	damaged := filepath.Join(p.damaged, "chk-2")
	flink := filepath.Join(p.other, "flink")
	plain := filepath.Join(p.root, "plain")
	return []verb{
		{name: "ls", args: []string{"ls", p.root}},
		{name: "inspect, all lists", args: []string{"inspect", "--subtasks", "--objects", "--key-groups", first}},
		{name: "show, all rows", args: []string{"show", "--limit", "0", "-o", "jsonl", first}},
		{name: "show --raw, in flight", args: []string{"show", "--raw", "--limit", "0", "-o", "jsonl", first, "kind=input-channel"}},
		{name: "show --key", args: []string{"show", "--key", sampleKey, first}},
		{name: "du", args: []string{"du", p.root}},
		{name: "du --key-groups", args: []string{"du", "--key-groups", first}},
		{name: "verify --level structure", args: []string{"verify", "--level", "structure", first}},
		{name: "verify --level refs", args: []string{"verify", "--level", "refs", first}},
		{name: "verify --level checksums", args: []string{"verify", "--level", "checksums", first}},
		{name: "verify --level records", args: []string{"verify", "--level", "records", first}},
		{name: "verify of damage", args: []string{"verify", "--level", "records", damaged}, exits: []int{1}, needs: []string{needDamaged}},
		{name: "doctor", args: []string{"doctor", "--level", "records", p.root}},
		{name: "history", args: []string{"history", p.root}, exits: []int{0, 4}},
		{name: "gc", args: []string{"gc", p.root}},
		{name: "export, JSON lines", args: []string{"export", first}},
		{name: "export, CSV", args: []string{"export", "--format", "csv", first}},
		{name: "export, Parquet", args: []string{"export", "--format", "parquet", first, "operator=profile,state=profiles"}},
		{name: "export, Parquet, all states", args: []string{"export", "--format", "parquet", first}},
		{name: "rescale, by reference", args: []string{"rescale", "--parallelism", "7", first, linked}, makes: linked},
		{name: "rescale, key groups", args: []string{"rescale", "--key-groups", "97", first, linked}, makes: linked},
		{name: "rescale, copying", args: []string{"rescale", "--parallelism", "3", first, copied}, makes: copied},
		{name: "strip, all in flight", args: []string{"strip", "--in-flight", "all", first, linked}, makes: linked},
		{name: "strip, a channel", args: []string{"strip", "--in-flight", "operator=profile,channel=gate0/1", first, linked}, makes: linked},
		{name: "strip, an operator", args: []string{"strip", "--operator", sampleSource, first, linked}, makes: linked},
		{name: "strip, a state", args: []string{"strip", "--state", "operator=profile,state=windows", first, linked}, makes: linked},
		{name: "remap", args: []string{"remap", "--uid", "profile=customer", first, linked}, makes: linked},
		{name: "cp", args: []string{"cp", first, copied}, makes: copied},
		{name: "salvage, nothing damaged", args: []string{"salvage", "--apply", first, linked}, makes: linked},
		{name: "salvage", args: []string{"salvage", "--apply", damaged, copied}, exits: []int{3}, makes: copied, needs: []string{needDamaged}},
		{name: "salvage --older", args: []string{"salvage", "--apply", "--older", older, damaged, copied}, exits: []int{3}, makes: copied,
			needs: []string{needDamaged, needOlder}},
		{name: "diff, 1 % differ", args: []string{"diff", first, older}, exits: []int{1}, needs: []string{needOlder}},
		{name: "diff, all listed", args: []string{"diff", "--values", "--limit", "0", "-o", "jsonl", first, older}, exits: []int{1}, needs: []string{needOlder}},
		{name: "convert --to flink", args: []string{"convert", "--to", "flink", plain, flink}, makes: flink, needs: []string{needPlain}},
	}
}

// flinkVerbs are the commands on savepoints of Flink.
func flinkVerbs(p places) []verb {
	savepoint, made := filepath.Join(p.flink, "savepoint"), filepath.Join(p.other, "result")
	all := []verb{
		{name: "ls", args: []string{"ls", p.flink}},
		{name: "inspect", args: []string{"inspect", "--subtasks", savepoint}},
		{name: "du --key-groups", args: []string{"du", "--key-groups", savepoint}},
		{name: "show, all rows", args: []string{"show", "--limit", "0", "-o", "jsonl", savepoint}},
		{name: "show --key", args: []string{"show", "--key", sampleKey, savepoint}},
		{name: "verify --level records", args: []string{"verify", "--level", "records", savepoint}},
		{name: "export, JSON lines", args: []string{"export", savepoint}},
		{name: "export, Parquet", args: []string{"export", "--format", "parquet", savepoint}},
		{name: "diff with itself", args: []string{"diff", savepoint, savepoint}},
		{name: "cp", args: []string{"cp", savepoint, made}, makes: made},
		{name: "rescale --parallelism", args: []string{"rescale", "--parallelism", "7", savepoint, made}, makes: made},
		{name: "rescale --key-groups", args: []string{"rescale", "--key-groups", "97", savepoint, made}, makes: made},
		{name: "strip, a state", args: []string{"strip", "--state", "operator=profile,state=windows", savepoint, made}, makes: made},
		{name: "convert --to tidemark", args: []string{"convert", "--to", "tidemark", "--uid", "profile", "--uid", "orders", savepoint, made}, makes: made},
	}
	for i := range all {
		all[i].needs = []string{needFlink}
	}
	return all
}
