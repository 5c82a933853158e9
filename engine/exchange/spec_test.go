package exchange

import (
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// TestFramesAreThoseOfTheFormat: tools read what is stored of a channel with the
// decoder of the format, without the engine.
func TestFramesAreThoseOfTheFormat(t *testing.T) {
	keyed := append(AppendKeyed(nil, 7, -9), 0xaa)
	EndFrame(keyed, 0)
	for name, c := range map[string]struct {
		frame []byte
		want  format.Element
		time  int64
	}{
		"record":    {keyed, format.ElementRecord, -9},
		"watermark": {AppendWatermark(nil, 258), format.ElementWatermark, 258},
		"active":    {AppendStatus(nil, StatusActive), format.ElementStatus, 0},
		"idle":      {AppendStatus(nil, StatusIdle), format.ElementStatus, 0},
	} {
		f, n, err := format.DecodeFrame(c.frame)
		if err != nil || int(n) != len(c.frame) || f.Element != c.want || f.Time != c.time {
			t.Errorf("%s: %+v, %d of %d bytes, %v", name, f, n, len(c.frame), err)
		}
	}
	if StatusActive != byte(format.StatusActive) || StatusIdle != byte(format.StatusIdle) {
		t.Error("statuses have other numbers than in the format")
	}
}
