package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a configuration file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 16
)

// File takes the text of a YAML file; the name is for messages. Keys may be
// nested ("execution: {checkpointing: …}"), dotted, or both. A key without a
// value is not set. Lists become Flink's "a;b". Anchors and aliases are
// refused.
func (c *Config) File(name string, text []byte) {
	if len(text) > maxFile {
		c.fail(Origin{FromFile, name, 1}, "", fmt.Errorf("the file has %d bytes; a configuration has at most %d", len(text), maxFile))
		return
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		c.fail(syntaxError(name, err))
		return
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			c.node(name, "", doc.Body, 0)
		}
	}
}

// syntaxError finds the line and the bare message in an error of the parser.
func syntaxError(name string, err error) (Origin, string, error) {
	o := Origin{FromFile, name, 1}
	var y yaml.Error
	if errors.As(err, &y) {
		if t := y.GetToken(); t != nil && t.Position != nil {
			o.Line = t.Position.Line
		}
		err = errors.New(y.GetMessage())
	}
	return o, "", fmt.Errorf("no YAML: %w", err)
}

// node walks one value; key is what leads to it.
func (c *Config) node(name, key string, n ast.Node, depth int) {
	at := Origin{FromFile, name, n.GetToken().Position.Line}
	if depth > maxDepth {
		c.fail(at, "", fmt.Errorf("nested deeper than %d levels", maxDepth))
		return
	}
	switch n := n.(type) {
	case *ast.CommentGroupNode, *ast.NullNode:
	case *ast.MappingNode:
		for _, v := range n.Values {
			c.node(name, key, v, depth)
		}
	case *ast.MappingValueNode:
		child := n.Key.GetToken().Value
		if key != "" {
			child = key + "." + child
		}
		if value := scalar(n.Value); value != nil {
			c.assign(entry{child, *value, Origin{FromFile, name, n.Key.GetToken().Position.Line}})
			return
		}
		c.node(name, child, n.Value, depth+1)
	case *ast.SequenceNode:
		c.sequence(at, key, n)
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		c.fail(at, key, errors.New("anchors and aliases have no place in a configuration; write the value out"))
	default:
		c.fail(at, key, fmt.Errorf("%s is not of the form key: value", n.Type()))
	}
}

func (c *Config) sequence(at Origin, key string, n *ast.SequenceNode) {
	if key == "" {
		c.fail(at, "", errors.New("the file is a list; write key: value"))
		return
	}
	var items []string
	for _, item := range n.Values {
		value := scalar(item)
		if value == nil {
			c.fail(at, key, errors.New("a list may hold plain values only"))
			return
		}
		items = append(items, *value)
	}
	c.assign(entry{key, strings.Join(items, ";"), at})
}

// scalar returns the text of a plain value as it was written, nil for others.
func scalar(n ast.Node) *string {
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	default:
		return nil
	}
	return &text
}
