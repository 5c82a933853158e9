package main

import (
	"context"
	"encoding/binary"
	"flag"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/jsonschema"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store/gcs/gcstest"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

var update = flag.Bool("update", false, "rewrite the golden parts of the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidemark": main})
}

// TestScripts runs the command as a process. Besides the commands of testscript
// there are:
//
//	checkpoint ROOT ID [savepoint] [lost] [flight] [p=N] [keys=N] [value=N] [seed=N]   writes a sample checkpoint
//	flink DIR [VERSION]                               writes metadata of Flink, or a head that claims a version
//	exits CODE command…                               runs a command and compares the exit code
//	flip FILE OFFSET                                  flips a bit; a negative offset counts from the end
//	newer FILE                                        makes a file claim a version of the format to come
//	cut FILE BYTES                                    cuts a file
//	await GLOB                                        waits until such a file is there
//	interrupt GLOB command…                           runs a command and sends SIGINT when such a file is there
//	sample NAME DIR                                   copies a sample of testdata/flink
//	spoil DIR ROLE rm|cut|head                        damages a file of a Flink checkpoint: keyed, operator, input, output
//	hostile DIR                                       writes a Flink savepoint with control characters in its names
//	schema NAME FILE                                  checks a document against docs/schema
//	hurt DIR OPERATOR STATE                           damages a byte of a block of keyed state
//	settled DIR                                       there is a checkpoint, or nothing at all
//	columns FILE                                      no line is longer than 80 columns, or has control characters
//	copydir FROM TO                                   copies a directory
//	bend GLOB                                         flips a bit in the middle of each such file
//	sorted FILE GLOB                                  writes the sorted lines of all such files
//
// and, for the bucket of the script:
//
//	awaitobject PATTERN                               waits until there is such an object
//	objects COUNT PREFIX                              compares the number of objects
//	copyobject FROM TO AGE                            makes an object that is as old
//	damage OBJECT OFFSET [noticed]                    changes a byte; its checksum stays, unless that is said
//	downloaded BYTES                                  no more than that was downloaded since the last time
//	requested OP COUNT                                compares the number of requests so far; COUNT may be "some"
//	unconditional COUNT                               compares the number of changes without a precondition
//	interrupted OPS CODE command…                     SIGINT at each request of these kinds in turn; see there
func TestScripts(t *testing.T) {
	schemas, err := os.ReadDir("../../docs/schema")
	if err != nil || len(schemas) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("REPO", here+"/../..")
			e.Setenv("NO_COLOR", "")
			// Whatever a script writes to gs://bucket stays with it.
			fake := gcstest.New(bucket)
			e.Defer(fake.Close)
			e.Values["gcs"] = fake
			e.Setenv("STORAGE_EMULATOR_HOST", fake.URL())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"flink": writeFlink, "sample": copySample, "bucket": copyBucket, "hostile": writeHostile, "spoil": spoil, "checkpoint": writeCheckpoint, "exits": exits, "flip": flip, "newer": newer, "cut": cutFile, "await": await, "schema": checkSchema, "columns": checkColumns, "settled": settled, "hurt": hurt, "interrupt": interrupt, "sorted": sortedLines, "copydir": copyDir, "bend": bend,
			"awaitobject": awaitObject, "objects": objects, "damage": damageObject, "copyobject": copyObject, "downloaded": downloaded, "requested": requested, "unconditional": unconditional,
			"interrupted": interrupted,
		},
	})
}

func writeCheckpoint(ts *testscript.TestScript, _ bool, args []string) {
	id, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	st, err := local.Open(ts.MkAbs(args[0]), local.WithCreate())
	ts.Check(err)
	defer st.Close()
	job := writertest.Job{ID: id, Keys: 50, Options: writer.Options{WriterID: "w" + args[1], Objects: 1}}
	for _, a := range args[2:] {
		job.Savepoint = job.Savepoint || a == "savepoint"
		if a == "flight" {
			job.Flight = 20
		}
		for name, field := range map[string]*int{"p": &job.Parallelism, "keys": &job.Keys, "value": &job.ValueSize, "groups": &job.Groups} {
			if text, ok := strings.CutPrefix(a, name+"="); ok {
				*field, err = strconv.Atoi(text)
				ts.Check(err)
			}
		}
		if text, ok := strings.CutPrefix(a, "seed="); ok {
			job.Seed, err = strconv.ParseUint(text, 10, 64)
			ts.Check(err)
		}
	}
	w, m, err := job.Seal(context.Background(), st)
	ts.Check(err)
	for _, a := range args[2:] {
		if a == "lost" {
			m.Losses = append(m.Losses, format.Loss{Tool: "strip", Created: 1_700_000_000_000_000_000, Operator: writertest.Count, State: "counter",
				Reason: "asked for", Bytes: 1234, Records: 56, MinTime: 1000, MaxTime: 2000})
		}
	}
	ts.Check(w.Commit(context.Background(), m))
}

// interrupt runs a command until a file is there and sends it SIGINT, which may
// come too late. Its exit code has to be 0 or 130.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	cmd := startTool(ts, args[1:])
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for sent := false; ; { // a second signal would end it at once

		select {
		case err := <-ended:
			if code := cmd.ProcessState.ExitCode(); code != 0 && code != 130 {
				ts.Fatalf("exit code %d: %v", code, err)
			}
			return
		case <-time.After(time.Millisecond):
			if found, err := filepath.Glob(ts.MkAbs(args[0])); err == nil && len(found) > 0 && !sent {
				_ = cmd.Process.Signal(os.Interrupt) // it may have ended
				sent = true
			}
		}
	}
}

// settled is for what a signal has ended: it may have come too late.
func settled(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	for _, name := range []string{"MANIFEST", "_metadata"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return
		}
	}
	if list, err := os.ReadDir(dir); err == nil {
		ts.Fatalf("%s has no manifest, and is there with %d entries", args[0], len(list))
	}
}

func writeFlink(ts *testscript.TestScript, _ bool, args []string) {
	m := &metadata.Metadata{Version: metadata.Version4, CheckpointID: 3, Operators: []metadata.Operator{{ID: metadata.IDOfUID("count"), Parallelism: 2, MaxParallelism: 128}}}
	data, err := metadata.Append(nil, m)
	ts.Check(err)
	if len(args) > 1 {
		v, err := strconv.Atoi(args[1])
		ts.Check(err)
		binary.BigEndian.PutUint32(data[4:], uint32(v))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0])+"/_metadata", data, 0o600))
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := exitCode(err)
	if code < 0 {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	text, err := os.ReadFile(name)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(text)
	}
	text[at] ^= 4
	ts.Check(os.WriteFile(name, text, 0o600))
}

func copyDir(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

func bend(ts *testscript.TestScript, _ bool, args []string) {
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		ts.Check(err)
		text[len(text)/2] ^= 4
		ts.Check(os.WriteFile(name, text, 0o600))
	}
}

// newer changes the version in a file's header, whose checksum stays right: what
// a program of the future would have written.
func newer(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	text, err := os.ReadFile(name)
	ts.Check(err)
	binary.LittleEndian.PutUint16(text[8:], format.Version+1)
	header := text[:binary.LittleEndian.Uint16(text[14:])]
	end := len(header) - 4
	binary.LittleEndian.PutUint32(header[end:], bits.RotateLeft32(format.Checksum(header[:end]), 15)) // SPEC.md
	ts.Check(os.WriteFile(name, text, 0o600))
}

func cutFile(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// await polls for a file that another process makes. The limit only ends a test
// that would hang.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err == nil && len(found) > 0 {
			return
		}
	}
	ts.Fatalf("no %s after a minute", args[0])
}

func checkSchema(ts *testscript.TestScript, neg bool, args []string) {
	schema, err := os.ReadFile(ts.MkAbs(ts.Getenv("REPO") + "/docs/schema/" + args[0] + ".json"))
	ts.Check(err)
	err = jsonschema.Check(schema, []byte(ts.ReadFile(args[1])))
	if (err != nil) != neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func checkColumns(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > 80 {
			ts.Fatalf("%d columns: %s", n, line)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }); i >= 0 {
			ts.Fatalf("control character at %d: %q", i, line)
		}
	}
}
