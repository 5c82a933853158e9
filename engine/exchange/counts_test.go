package exchange

import "testing"

// TestBufferCounts: each of the counts that are configured by hand changes how
// much a sender without a receiver can send before it is backpressured, before
// it spills, and before it has to wait.
func TestBufferCounts(t *testing.T) {
	type want struct{ soft, spill int } // full buffers sent to channel 0
	base := testConfig()
	base.BuffersPerChannel, base.FloatingPerGate, base.MaxPerChannel, base.MaxOverdraft, base.SpillMemory = 2, 8, 10, 5, 1<<20
	for _, c := range []struct {
		name     string
		channels int
		change   func(*Config)
		want
	}{
		{"Flink's defaults", 1, func(*Config) {}, want{10, 15}},
		{"buffers per channel", 1, func(c *Config) { c.BuffersPerChannel = 4; c.MaxPerChannel = 20 }, want{12, 17}},
		{"of each channel", 3, func(c *Config) { c.MaxPerChannel = 100 }, want{14, 19}},
		{"no floating buffers", 1, func(c *Config) { c.FloatingPerGate = 0 }, want{2, 7}},
		{"many floating buffers", 1, func(c *Config) { c.FloatingPerGate = 30; c.MaxPerChannel = 100 }, want{32, 37}},
		{"the most per channel", 2, func(c *Config) { c.MaxPerChannel = 3 }, want{3, 17}},
		{"no overdraft", 1, func(c *Config) { c.MaxOverdraft = 0 }, want{10, 10}},
		{"much overdraft", 1, func(c *Config) { c.MaxOverdraft = 20 }, want{10, 30}},
		{"two buffers", 1, func(c *Config) { c.BuffersPerChannel, c.FloatingPerGate, c.MaxOverdraft = 2, 0, 0 }, want{2, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := base
			c.change(&cfg)
			w := newWire(t, cfg, c.channels)
			defer w.close(t)
			var got want
			for n := 1; got.spill == 0 && n < 100; n++ {
				if err := send(w.part, 0, uint64(n), cfg.BufferSize-lengthSize-keyedHeader); err != nil {
					t.Fatal(err)
				}
				if got.soft == 0 && !w.part.available.Load() {
					got.soft = n
				}
				if _, spilled := w.part.InUse(); spilled > 0 {
					got.spill = n - 1
				}
			}
			if got != c.want {
				t.Errorf("backpressured with %d buffers, spilled after %d; want %d and %d", got.soft, got.spill, c.want.soft, c.want.spill)
			}
		})
	}
}
