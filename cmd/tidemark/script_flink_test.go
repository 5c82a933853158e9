package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
)

// copySample copies a sample's checkpoint to a folder, and what checkpoints of its
// job share to the folder beside it.
func copySample(ts *testscript.TestScript, _ bool, args []string) {
	s, err := oracle.ReadSample(filepath.Join(ts.Getenv("REPO"), "testdata", "flink", filepath.FromSlash(args[0])))
	ts.Check(err)
	to := ts.MkAbs(args[1])
	ts.Check(os.CopyFS(to, os.DirFS(s.Metadata())))
	shared := filepath.Join(filepath.Dir(s.Metadata()), "shared")
	if _, err := os.Stat(shared); err == nil {
		ts.Check(os.CopyFS(filepath.Join(filepath.Dir(to), "shared"), os.DirFS(shared)))
	}
}

// copyBucket copies everything that the job of a sample wrote to a folder, and names
// the sample's checkpoint below it in $CHK.
func copyBucket(ts *testscript.TestScript, _ bool, args []string) {
	s, err := oracle.ReadSample(filepath.Join(ts.Getenv("REPO"), "testdata", "flink", filepath.FromSlash(args[0])))
	ts.Check(err)
	bucket := filepath.Join(s.Dir, "s3")
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(bucket)))
	below, err := filepath.Rel(bucket, s.Metadata())
	ts.Check(err)
	ts.Setenv("CHK", filepath.ToSlash(below))
}

// hostileText is what no terminal may get.
const hostileText = "\x1b[31mred\u202e\x07"

// writeHostile writes a savepoint of one operator with one keyed state, all named by
// hostileText, with one entry of the key and the value hostileText.
func writeHostile(ts *testscript.TestScript, _ bool, args []string) {
	text := serde.Of(serde.KindString)
	header := &state.KeyedHeader{Key: text, States: []state.Meta{{Name: hostileText, Kind: state.KeyValue,
		Options: []state.Option{{Key: state.OptionStateType, Value: state.StateTypeValue}}, Serializers: []state.Serializer{
			{Key: state.SerializerNamespace, Type: serde.Of(serde.KindVoidNamespace)}, {Key: state.SerializerValue, Type: text}}}}}
	key, err := text.Append(nil, hostileText)
	ts.Check(err)
	hash, err := text.HashKey(key)
	ts.Check(err)
	var file bytes.Buffer
	w, err := state.NewCanonicalWriter(&file, header, keygroup.Range{First: 0, Last: 127}, 128)
	ts.Check(err)
	ts.Check(w.Add(serde.KeyGroup(hash, 128), 0, state.AppendComposite(nil, text, serde.Of(serde.KindVoidNamespace), key, []byte{0}, nil), key))
	offsets, size, err := w.Finish()
	ts.Check(err)
	m := &metadata.Metadata{Version: metadata.Version5, CheckpointID: 1, Tail: metadata.NullTail, Operators: []metadata.Operator{{
		Name: hostileText, UID: hostileText, ID: metadata.IDOfUID(hostileText), Parallelism: 1, MaxParallelism: 128,
		Subtasks: []metadata.Subtask{{State: &metadata.SubtaskState{ManagedKeyed: &metadata.KeyGroupsHandle{Tag: metadata.TagSavepoint,
			Range: metadata.KeyGroupRange{Start: 0, Count: 128}, Offsets: offsets, Delegate: &metadata.RelativeFile{Path: "state", Size: size}}}}}}}}
	data, err := metadata.Append(nil, m)
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dir, "state"), file.Bytes(), 0o644))
	ts.Check(os.WriteFile(filepath.Join(dir, "_metadata"), data, 0o644))
}

// spoil damages the first file that the metadata names for a role: removes it, cuts it
// to two thirds, or changes the head of the first record or the first key group in it.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	data, err := os.ReadFile(filepath.Join(dir, "_metadata"))
	ts.Check(err)
	m, err := metadata.Decode("", data, nil)
	ts.Check(err)
	roles := map[string]metadata.Role{"keyed": metadata.RoleManagedKeyed, "operator": metadata.RoleManagedOperator, "input": metadata.RoleInput, "output": metadata.RoleOutput}
	for ref := range m.Handles() {
		h, is := (*ref.Handle).(*metadata.RelativeFile)
		if ref.Role != roles[args[1]] || !is {
			continue
		}
		at := int64(0)
		for i := range ref.Operator.Subtasks {
			st := ref.Operator.Subtasks[i].State
			if ref.Operator.Subtasks[i].Index != ref.Subtask || st == nil {
				continue
			}
			switch k := st.ManagedKeyed.(type) {
			case *metadata.KeyGroupsHandle:
				if ref.Role == metadata.RoleManagedKeyed {
					at = k.Offsets[0]
				}
			}
			for _, list := range [][]metadata.ChannelHandle{st.Input, st.Output} {
				for _, c := range list {
					if c.Delegate == *ref.Handle && at == 0 {
						at = c.Channels[0].Offsets[0] + 4
					}
				}
			}
		}
		path := filepath.Join(dir, h.Path)
		b, err := os.ReadFile(path)
		ts.Check(err)
		switch args[2] {
		case "rm":
			ts.Check(os.Remove(path))
			return
		case "cut":
			b = b[:len(b)*2/3]
		case "head":
			b[at] ^= 0x80
		}
		ts.Check(os.WriteFile(path, b, 0o644))
		return
	}
	ts.Fatalf("no file for %s", args[1])
}
