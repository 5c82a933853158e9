package config

import (
	"strings"
	"testing"
)

// TestClaimMode: Flink's values under each of its spellings of the key; the third
// is refused with what to use instead.
func TestClaimMode(t *testing.T) {
	for _, key := range []string{"execution.state-recovery.claim-mode", "execution.savepoint-restore-mode", "execution.restore-mode"} {
		for value, want := range map[string]string{"no_claim": "NO_CLAIM", "CLAIM": "CLAIM"} {
			var c Config
			c.Define(key + "=" + value)
			if s, err := c.Resolve(); err != nil || s.Restore.Claim != want {
				t.Errorf("%s=%s: %q, %v", key, value, s.Restore.Claim, err)
			}
		}
		var c Config
		c.Define(key + "=LEGACY")
		if _, err := c.Resolve(); err == nil || !strings.Contains(err.Error(), "deprecated") || !strings.Contains(err.Error(), "use NO_CLAIM") {
			t.Errorf("%s=LEGACY: %v", key, err)
		}
	}
}
