package javaser_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/javaser"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// stream is a Java stream with the given content.
func stream(content string) []byte { return []byte("\xAC\xED\x00\x05" + content) }

// utf is a text as writeUTF writes it, of less than 256 bytes.
func utf(s string) string { return "\x00" + string(rune(len(s))) + s }

// class is the description of a class with fields, written as in the stream.
func class(name, flags string, count byte, fields string) string {
	return "\x72" + utf(name) + "\x00\x00\x00\x00\x00\x00\x00\x07" + flags + "\x00" + string(rune(count)) + fields + "\x78\x70"
}

// point is an object with an int, a string, and itself.
var point = "\x73" + class("p.Point", "\x02", 3, "I"+utf("x")+"L"+utf("name")+"\x74"+utf("Ljava/lang/String;")+"L"+utf("self")+"\x74"+utf("Lp/Point;")) +
	"\x00\x00\x00\x05" + "\x74" + utf("é") + "\x71\x00\x7E\x00\x03"

func TestObject(t *testing.T) {
	v, err := javaser.Parse("o", 0, stream(point), nil)
	if err != nil {
		t.Fatal(err)
	}
	o := v.(*javaser.Object)
	x, _ := o.Field("x")
	name, _ := o.Text("name")
	self, _ := o.Field("self")
	if o.Class.Name != "p.Point" || o.Class.Version != 7 || x != int32(5) || name != "é" || self != o {
		t.Errorf("read %+v", o)
	}
}

// A stream that is cut at any byte is refused as that.
func TestCutStreams(t *testing.T) {
	whole := stream(point)
	for n := range whole {
		if _, err := javaser.Parse("o", 0, whole[:n], nil); !errors.Is(err, wire.ErrTruncated) && !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

func TestValues(t *testing.T) {
	enum := "\x7E" + class("p.E", "\x12", 0, "") + "\x74" + utf("ONE")
	tests := []struct {
		name, content string
		ok            func(javaser.Value) bool
	}{
		{"null", "\x70", func(v javaser.Value) bool { return v == nil }},
		{"string", "\x74" + utf("a\xC0\x80"), func(v javaser.Value) bool { return v.(*javaser.String).Text == "a\x00" }},
		{"long string", "\x7C\x00\x00\x00\x00\x00\x00\x00\x01b", func(v javaser.Value) bool { return v.(*javaser.String).Text == "b" }},
		{"ints", "\x75" + class("[I", "\x02", 0, "") + "\x00\x00\x00\x01\x00\x00\x00\x09", func(v javaser.Value) bool { return len(v.(*javaser.Array).Raw) == 4 }},
		{"objects", "\x75" + class("[Lp.X;", "\x02", 0, "") + "\x00\x00\x00\x02\x70\x70", func(v javaser.Value) bool { return len(v.(*javaser.Array).Values) == 2 }},
		{"enum", enum, func(v javaser.Value) bool { return v.(*javaser.Enum).Constant == "ONE" }},
		{"class", "\x76" + class("p.C", "\x02", 0, ""), func(v javaser.Value) bool { return v.(*javaser.Class).Name == "p.C" }},
		{"written by itself", "\x73" + class("p.W", "\x03", 0, "") + "\x77\x02ab\x70\x78", func(v javaser.Value) bool {
			notes := v.(*javaser.Object).Parts[0].Annotations
			return len(notes) == 2 && string(notes[0].(javaser.Block)) == "ab" && notes[1] == nil
		}},
		{"externalizable", "\x73" + class("p.X", "\x0C", 0, "") + "\x7A\x00\x00\x00\x01c\x78", func(v javaser.Value) bool {
			return string(v.(*javaser.Object).Parts[0].Annotations[0].(javaser.Block)) == "c"
		}},
		{"proxy", "\x73\x7D\x00\x00\x00\x01" + utf("p.I") + "\x78\x70", func(v javaser.Value) bool { return v.(*javaser.Object).Class.Proxy[0] == "p.I" }},
	}
	for _, tt := range tests {
		v, err := javaser.Parse("o", 0, stream(tt.content), nil)
		if err != nil || !tt.ok(v) {
			t.Errorf("%s: %#v, %v", tt.name, v, err)
		}
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("\x73", 100)
	many := "\x75" + class("[Lp.X;", "\x02", 0, "") + string(binary.BigEndian.AppendUint32(nil, 2_000_000)) + strings.Repeat("\x70", 2_000_000)
	tests := []struct {
		name    string
		data    []byte
		class   error
		context string
	}{
		{"no stream", []byte("\x00\x00\x00\x05p"), wire.ErrMalformed, "0xaced"},
		{"version", []byte("\xAC\xED\x00\x06p"), wire.ErrUnsupported, "version 6"},
		{"nothing", stream(""), wire.ErrTruncated, ""},
		{"trailing", stream("pp"), wire.ErrMalformed, "more bytes"},
		{"reference to nothing", stream("\x71\x00\x7E\x00\x00"), wire.ErrMalformed, "value 0 of 0"},
		{"reference below", stream("\x71\x80\x00\x00\x00"), wire.ErrMalformed, "reference"},
		{"unknown code", stream("\x00"), wire.ErrMalformed, "0x00"},
		{"exception", stream("\x7B"), wire.ErrUnsupported, "exception"},
		{"old externalizable", stream("\x73" + class("p.Old", "\x04", 0, "")), wire.ErrUnsupported, "p.Old"},
		{"object without class", stream("\x73\x70"), wire.ErrMalformed, "without a class"},
		{"own superclass", stream("\x73\x72" + utf("A") + "\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x78\x71\x00\x7E\x00\x00"), wire.ErrMalformed, "own superclass"},
		{"array of what", stream("\x75" + class("p.X", "\x02", 0, "") + "\x00\x00\x00\x00"), wire.ErrMalformed, "p.X"},
		{"long array", stream("\x75" + class("[J", "\x02", 0, "") + "\x7F\xFF\xFF\xFF"), wire.ErrMalformed, "left"},
		{"long string", stream("\x7C\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), wire.ErrLimit, ""},
		{"depth", stream(strings.Repeat("\x72"+utf("A")+"\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x78", 100)), wire.ErrLimit, ""},
		{"depth of objects", stream(deep), wire.ErrMalformed, ""},
		{"count", stream(many), wire.ErrLimit, ""},
	}
	for _, tt := range tests {
		_, err := javaser.Parse("o", 0, tt.data, nil)
		if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.context) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.class, tt.context)
		}
	}
	t.Logf("RESULT TestRefused cases=%d", len(tests))
}

// FuzzJava: no panic, and no more memory than a small multiple of the input.
func FuzzJava(f *testing.F) {
	f.Add(stream(point))
	f.Add(stream("\x7E" + class("p.E", "\x12", 0, "") + "\x74" + utf("ONE")))
	f.Add(stream("\x73" + class("p.W", "\x03", 0, "") + "\x77\x02ab\x70\x78"))
	f.Add(stream("\x75" + class("[I", "\x02", 0, "") + "\x00\x00\x00\x01\x00\x00\x00\x09"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := javaser.Parse("o", 0, data, &javaser.Limits{Values: 10_000})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20+100*uint64(len(data)) {
			t.Errorf("%d bytes took %d", len(data), used)
		}
		var bad *wire.Error
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("error of another type: %v", err)
		}
	})
}
