package config

import "testing"

// TestPointwise: barriers wait on pointwise connections unless by-key is asked for.
func TestPointwise(t *testing.T) {
	for text, want := range map[string]bool{"": false, "aligned": false, "by-key": true} {
		var c Config
		if text != "" {
			c.Define("tidemark.unaligned.pointwise=" + text)
		}
		s, err := c.Resolve()
		if err != nil || s.Checkpoints.PointwiseByKey != want {
			t.Errorf("%q: %v, %v", text, s.Checkpoints.PointwiseByKey, err)
		}
	}
	var c Config
	c.Define("tidemark.unaligned.pointwise=unaligned")
	if _, err := c.Resolve(); err == nil {
		t.Error("unaligned is accepted")
	}
}
