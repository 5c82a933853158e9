package config

import (
	"errors"
	"strings"
	"testing"
)

// TestPointwise: what this version cannot do is refused with the reason.
func TestPointwise(t *testing.T) {
	var c Config
	c.Define("tidemark.unaligned.pointwise=aligned")
	if _, err := c.Resolve(); err != nil {
		t.Error(err)
	}
	c = Config{}
	c.Define("tidemark.unaligned.pointwise=by-key")
	if _, err := c.Resolve(); !errors.Is(err, ErrNotYet) || !strings.Contains(err.Error(), "the hash of their key") || !strings.Contains(err.Error(), "leave it at aligned") {
		t.Errorf("by-key: %v", err)
	}
}
