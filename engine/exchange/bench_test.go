package exchange

import (
	"encoding/binary"
	"testing"
)

// The benchmarks move records of 24 payload bytes (key, value, timestamp) from
// 2 senders to 2 receivers on 4 goroutines, and do nothing with them but add
// up a field. BenchmarkShuffle prints the ratio to a Go channel per receiver,
// record by record, measured in the same run by wall time.

const (
	benchSenders   = 2
	benchReceivers = 2
)

type benchRecord struct{ key, value, timestamp int64 }

func appendRecord(b []byte, r *benchRecord) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(r.key))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.value))
	return binary.LittleEndian.AppendUint64(b, uint64(r.timestamp))
}

func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// shuffleFrames sends n records per sender through the exchange.
func shuffleFrames(b *testing.B, n int) (sum uint64) {
	cfg := DefaultConfig()
	pool := NewPool(cfg.BufferSize)
	gates, parkers := make([]*Gate, benchReceivers), make([]parker, benchReceivers)
	for r := range gates {
		parkers[r] = newParker()
		gates[r] = NewGate(benchSenders, parkers[r].wake)
	}
	for s := range benchSenders {
		pk := newParker()
		var targets []Target
		for _, g := range gates {
			targets = append(targets, Target{Gate: g, Channel: s})
		}
		p, err := NewPartition(pool, cfg, targets, Hooks{Wake: pk.wake})
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			x := uint64(s + 1)
			for i := range n {
				for !p.Available() {
					pk.park()
				}
				x = mix(x + 0x9e3779b97f4a7c15)
				r := benchRecord{int64(x), int64(i), int64(i)}
				ch := int(uint64(uint32(x>>32)) * benchReceivers >> 32)
				f := AppendKeyed(p.Begin(ch), uint32(x>>32), r.timestamp)
				f = appendRecord(f, &r)
				EndFrame(f, 0)
				if err := p.End(ch, f); err != nil {
					panic(err)
				}
			}
			if err := p.Emit(Event{Kind: EndOfPartition}); err != nil {
				panic(err)
			}
			for !p.Drained() {
				pk.park()
			}
			if err := p.Close(); err != nil {
				panic(err)
			}
		}()
	}
	sums := make(chan uint64)
	for r, g := range gates {
		go func() {
			var sum uint64
			var curs [benchSenders]Cursor
			for open := benchSenders; open > 0; {
				el, ok := g.Poll()
				if !ok {
					parkers[r].park()
					continue
				}
				if el.Event != nil {
					open--
					continue
				}
				c := &curs[el.Channel]
				c.Feed(el.Buffer.Bytes())
				for payload, _, _, _, ok := c.Read(); ok; payload, _, _, _, ok = c.Read() {
					sum += binary.LittleEndian.Uint64(payload[8:])
				}
				g.Recycle(el.Buffer)
			}
			sums <- sum
		}()
	}
	for range gates {
		sum += <-sums
	}
	return sum
}

// shuffleChannel is the same with one Go channel per receiver, record by
// record, not serialised.
func shuffleChannel(n int) (sum uint64) {
	inputs := make([]chan benchRecord, benchReceivers)
	done := make(chan struct{}, benchSenders)
	for r := range inputs {
		inputs[r] = make(chan benchRecord, 1024)
	}
	for s := range benchSenders {
		go func() {
			x := uint64(s + 1)
			for i := range n {
				x = mix(x + 0x9e3779b97f4a7c15)
				inputs[int(uint64(uint32(x>>32))*benchReceivers>>32)] <- benchRecord{int64(x), int64(i), int64(i)}
			}
			done <- struct{}{}
		}()
	}
	sums := make(chan uint64)
	for _, in := range inputs {
		go func() {
			var sum uint64
			for r := range in {
				sum += uint64(r.value)
			}
			sums <- sum
		}()
	}
	for range benchSenders {
		<-done
	}
	for _, in := range inputs {
		close(in)
	}
	for range inputs {
		sum += <-sums
	}
	return sum
}

// BenchmarkShuffle reports ns per record of the exchange, of a Go channel per
// record, and the ratio. b.N is the number of records.
func BenchmarkShuffle(b *testing.B) {
	n := b.N/benchSenders + 1
	want := uint64(benchSenders) * uint64(n) * uint64(n-1) / 2
	b.ReportAllocs()
	b.ResetTimer()
	start := b.Elapsed()
	got := shuffleFrames(b, n)
	exchange := b.Elapsed() - start
	b.StopTimer()
	small := min(n, 1<<20)
	b.StartTimer()
	start = b.Elapsed()
	shuffleChannel(small)
	channel := b.Elapsed() - start
	b.StopTimer()
	if got != want {
		b.Fatalf("sum %d, want %d", got, want)
	}
	perFrame := float64(exchange.Nanoseconds()) / float64(n*benchSenders)
	perItem := float64(channel.Nanoseconds()) / float64(small*benchSenders)
	b.ReportMetric(0, "ns/op") // of both together: says nothing
	b.ReportMetric(perFrame, "exchange-ns/record")
	b.ReportMetric(perItem, "channel-ns/record")
	b.ReportMetric(perItem/perFrame, "ratio")
}

// BenchmarkSend is the sender's cost of a record, its buffers taken away at
// once.
func BenchmarkSend(b *testing.B) {
	w := newWire(b, DefaultConfig(), 1)
	r := benchRecord{1, 2, 3}
	b.SetBytes(17 + 24)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := AppendKeyed(w.part.Begin(0), 7, int64(i))
		f = appendRecord(f, &r)
		EndFrame(f, 0)
		if err := w.part.End(0, f); err != nil {
			b.Fatal(err)
		}
		if w.gates[0].Ready() {
			el, _ := w.gates[0].Poll()
			w.gates[0].Recycle(el.Buffer)
		}
	}
	w.close(b)
}

// BenchmarkSendFloor appends the same records to plain slices of a buffer's
// size: what BenchmarkSend cannot be below.
func BenchmarkSendFloor(b *testing.B) {
	buf := make([]byte, 0, 32<<10)
	r := benchRecord{1, 2, 3}
	b.SetBytes(17 + 24)
	for i := 0; b.Loop(); i++ {
		if cap(buf)-len(buf) < 64 {
			buf = buf[:0]
		}
		at := len(buf)
		buf = appendRecord(AppendKeyed(buf, 7, int64(i)), &r)
		EndFrame(buf, at)
	}
}

// BenchmarkCursor is the receiver's cost of a record.
func BenchmarkCursor(b *testing.B) {
	var data []byte
	r := benchRecord{1, 2, 3}
	for len(data) < 32<<10-100 {
		at := len(data)
		data = appendRecord(AppendKeyed(data, 7, 1), &r)
		EndFrame(data, at)
	}
	c := NewCursor(0)
	var sum uint64
	b.ReportAllocs()
	for b.Loop() {
		payload, _, hash, _, ok := c.Read()
		if !ok {
			c.Feed(data)
			continue
		}
		sum += uint64(hash) + uint64(len(payload))
	}
	if sum == 0 || c.Err() != nil {
		b.Fatal(sum, c.Err())
	}
}

// BenchmarkCursorFrame is the same with whole frames.
func BenchmarkCursorFrame(b *testing.B) {
	var data []byte
	for len(data) < 32<<10-100 {
		at := len(data)
		data = appendRecord(AppendKeyed(data, 7, 1), &benchRecord{1, 2, 3})
		EndFrame(data, at)
	}
	c := NewCursor(0)
	var sum uint64
	for b.Loop() {
		f, ok := c.Next()
		if !ok {
			c.Feed(data)
			continue
		}
		sum += uint64(f.Hash) + uint64(len(f.Payload))
	}
	if sum == 0 || c.Err() != nil {
		b.Fatal(sum, c.Err())
	}
}

// BenchmarkHandOver is a buffer from the sender to the receiver and back, on
// one goroutine.
func BenchmarkHandOver(b *testing.B) {
	w := newWire(b, DefaultConfig(), 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.part.acquire(0, 0); err != nil {
			b.Fatal(err)
		}
		o := w.part.channels[0].open
		o.data = o.data[:cap(o.data)]
		w.part.finish(0)
		el, _ := w.gates[0].Poll()
		w.gates[0].Recycle(el.Buffer)
	}
	w.close(b)
}
