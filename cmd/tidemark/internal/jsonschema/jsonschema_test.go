package jsonschema

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const schema = `{"$defs": {"n": {"type": ["integer", "null"], "minimum": 0}},
		"type": "object", "required": ["a"], "additionalProperties": false,
		"properties": {"a": {"const": "x"}, "b": {"$ref": "#/$defs/n"}, "c": {"type": "array", "items": {"type": "string", "pattern": "^z"}}, "d": {"enum": [1, true]}}}`
	tests := []struct{ doc, want string }{
		{`{"a": "x", "b": 3, "c": ["z", "zz"], "d": true}`, ""},
		{`{"a": "x", "b": null, "c": []}`, ""},
		{`{"b": 1}`, "a is missing"},
		{`{"a": "y"}`, "/a: y is not x"},
		{`{"a": "x", "b": 1.5}`, "/b: 1.5 is not of type"},
		{`{"a": "x", "b": -1}`, "/b: -1 is less than 0"},
		{`{"a": "x", "c": ["a"]}`, `/c/0: "a" does not match`},
		{`{"a": "x", "d": 2}`, "/d: 2 is none of"},
		{`{"a": "x", "e": 2}`, "e is not in the schema"},
		{`[]`, "is not of type object"},
		{`{`, "document:"},
	}
	for _, tt := range tests {
		err := Check([]byte(schema), []byte(tt.doc))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.doc, err, tt.want)
		}
	}
	for _, bad := range []string{`{"oneOf": []}`, `{"$ref": "#/$defs/x"}`, `{"$ref": "other"}`, `{`} {
		if err := Check([]byte(bad), []byte(`1`)); err == nil {
			t.Errorf("the schema %s was accepted", bad)
		}
	}
}
