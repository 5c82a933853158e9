// Package jsonschema checks documents against the JSON Schemas of docs/schema.
// It knows the words that those use and refuses a schema with any other, so
// that nothing is passed unchecked. Only tests use it.
//
// Non-goals: being a whole implementation of JSON Schema.
package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// words are what a schema may consist of.
var words = []string{"$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required",
	"additionalProperties", "items", "enum", "const", "pattern", "minimum"}

// Check returns what is wrong with the document, all of it, or with the schema.
func Check(schema, document []byte) error {
	var root map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		return fmt.Errorf("document: %w", err)
	}
	c := checker{root: root}
	c.value("", root, v)
	return errors.Join(c.errs...)
}

type checker struct {
	root map[string]any
	errs []error
}

func (c *checker) fail(at, format string, args ...any) {
	if at == "" {
		at = "/"
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

func (c *checker) value(at string, schema map[string]any, v any) {
	for word := range schema {
		if !slices.Contains(words, word) {
			c.fail(at, "the schema has the word %q, which this checker does not know", word)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		target, ok := c.definition(ref)
		if !ok {
			c.fail(at, "the schema refers to %q, which is not there", ref)
			return
		}
		c.value(at, target, v)
	}
	if t, ok := schema["type"]; ok && !hasType(t, v) {
		c.fail(at, "%v is not of type %v", v, t)
		return
	}
	if want, ok := schema["const"]; ok && v != want {
		c.fail(at, "%v is not %v", v, want)
	}
	if list, ok := schema["enum"].([]any); ok && !slices.Contains(list, v) {
		c.fail(at, "%v is none of %v", v, list)
	}
	switch v := v.(type) {
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			c.fail(at, "%q does not match %s", v, p)
		}
	case float64:
		if least, ok := schema["minimum"].(float64); ok && v < least {
			c.fail(at, "%v is less than %v", v, least)
		}
	case []any:
		if items, ok := schema["items"].(map[string]any); ok {
			for i, item := range v {
				c.value(fmt.Sprintf("%s/%d", at, i), items, item)
			}
		}
	case map[string]any:
		c.object(at, schema, v)
	}
}

func (c *checker) object(at string, schema map[string]any, v map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			c.fail(at, "%v is missing", name)
		}
	}
	for name, value := range v {
		sub, ok := properties[name].(map[string]any)
		if ok {
			c.value(at+"/"+name, sub, value)
		} else if schema["additionalProperties"] == false {
			c.fail(at, "%s is not in the schema", name)
		}
	}
}

func (c *checker) definition(ref string) (map[string]any, bool) {
	name, ok := strings.CutPrefix(ref, "#/$defs/")
	if !ok {
		return nil, false
	}
	defs, _ := c.root["$defs"].(map[string]any)
	target, ok := defs[name].(map[string]any)
	return target, ok
}

// hasType compares with one type or a list of them.
func hasType(t, v any) bool {
	if list, ok := t.([]any); ok {
		return slices.ContainsFunc(list, func(t any) bool { return hasType(t, v) })
	}
	switch v := v.(type) {
	case nil:
		return t == "null"
	case bool:
		return t == "boolean"
	case string:
		return t == "string"
	case float64:
		return t == "number" || t == "integer" && v == float64(int64(v))
	case []any:
		return t == "array"
	}
	return t == "object"
}
