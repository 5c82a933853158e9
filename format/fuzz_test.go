package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"runtime/metrics"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tidemark-io/tidemark/keygroup"
)

// allocated is how many bytes have been allocated so far, in all goroutines.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// fuzzMemory is the bound of a fuzz target for inputs of a few KiB; other
// goroutines of the fuzzer allocate besides.
const fuzzMemory = 64 << 20

// fuzzLimits keep what an input may state small enough to notice more.
var fuzzLimits = &Limits{Block: 4 << 20, Manifest: 4 << 20, ManifestDecoded: 8 << 20, JSON: 1 << 20}

// bounded runs a decoder and fails if it takes too much memory or gives an
// error without a class.
func bounded(t *testing.T, read func() error) {
	t.Helper()
	before := allocated()
	err := read()
	if used := allocated() - before; used > fuzzMemory {
		t.Errorf("%d bytes of memory", used)
	}
	if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrChecksum) &&
		!errors.Is(err, ErrLimit) && !errors.Is(err, ErrTooNew) && !errors.Is(err, ErrInvalid) {
		t.Errorf("error without a class: %v", err)
	}
}

// FuzzBlock decodes blocks with right checksums around anything. What is
// accepted encodes again to the same bytes, but for what a codec puts out.
func FuzzBlock(f *testing.F) {
	for _, s := range samples(f, 0) {
		f.Add(s.data[:len(s.data)-crcSize], s.ref.Rows, s.ref.Decoded)
	}
	f.Fuzz(func(t *testing.T, body []byte, rows, stated uint32) {
		if len(body) == 0 {
			return
		}
		kind := Kind(body[0])
		data := seal(bytes.Clone(body))
		ref := refOf(data, uint64(stated), uint64(rows))
		bounded(t, func() error {
			var b Block
			if err := b.Decode("fuzz", data, kind, ref, fuzzLimits); err != nil {
				return err
			}
			_, err := walk(&b, kind)
			checkCanonical(t, &b, data)
			return err
		})
	})
}

// checkCanonical encodes an accepted block again without compression. If none
// of its columns was compressed, the bytes must be the same.
func checkCanonical(t *testing.T, b *Block, data []byte) {
	t.Helper()
	again, ref, err := reencode(b, CodecNone).AppendBlock(nil)
	must(t, err)
	if uint64(ref.Decoded) != b.decoded || int(ref.Rows) != b.rows {
		t.Errorf("encoded again: %d rows in %d bytes, was %d in %d", ref.Rows, ref.Decoded, b.rows, b.decoded)
	}
	compressed := false
	var plain Block
	flags, _, err := plain.header(data[:len(data)-crcSize], b.kind)
	must(t, err)
	for _, f := range flags {
		compressed = compressed || f&columnCodecMask != 0
	}
	if !compressed && !bytes.Equal(data, again) {
		t.Errorf("accepted % x, encodes as % x", data, again)
	}
	var second Block
	must(t, second.Decode("again", again, b.kind, ref, nil))
	third, _, err := reencode(&second, CodecNone).AppendBlock(nil)
	must(t, err)
	if !bytes.Equal(again, third) {
		t.Errorf("encoding is not stable")
	}
}

// FuzzManifest opens anything as a manifest, and reads what opens. To get past
// the checksums the fuzzer may also replace one table, with checksums made
// right.
func FuzzManifest(f *testing.F) {
	data := encodeManifest(f, sampleManifest(1))
	f.Add(data, uint8(0), []byte(nil))
	m, err := OpenManifest(bytes.NewReader(data), int64(len(data)), ManifestOptions{})
	must(f, err)
	for _, b := range m.blocks {
		f.Add([]byte(nil), uint8(b.kind), data[b.ref.Offset:b.ref.End()-crcSize])
	}
	f.Fuzz(func(t *testing.T, input []byte, kind uint8, table []byte) {
		if len(table) > 2 {
			forged := forgeable(t, data)
			var b Block
			if _, _, err := b.header(table, Kind(kind)); err != nil {
				return
			}
			forged.replace(Kind(kind), seal(bytes.Clone(table)), b.rows, b.decoded)
			input = forged.bytes(t)
		}
		bounded(t, func() error {
			r, err := OpenManifest(bytes.NewReader(input), int64(len(input)), ManifestOptions{Object: "fuzz", Limits: fuzzLimits})
			if err != nil {
				return err
			}
			m, err := r.Read()
			if err != nil {
				return err
			}
			again, err := AppendManifest(nil, m)
			must(t, err)
			got, err := readManifest(again, "")
			must(t, err)
			if got.Summary != m.Summary || len(got.Slices) != len(m.Slices) {
				t.Errorf("encoded again it is another manifest")
			}
			return nil
		})
	})
}

// FuzzObject opens anything as a data object and reads its directory.
func FuzzObject(f *testing.F) {
	o := sampleObject(f, 0, 3)
	f.Add(o.data)
	f.Add(o.data[:len(o.data)-FooterSize])
	f.Fuzz(func(t *testing.T, data []byte) {
		bounded(t, func() error {
			r, err := OpenObject(bytes.NewReader(data), int64(len(data)), OpenOptions{Object: "fuzz", Limits: fuzzLimits})
			if err != nil {
				return err
			}
			for _, err := range r.Entries() {
				must(t, err)
			}
			return nil
		})
	})
}

// FuzzFooter decodes headers and footers with right checksums around anything,
// and encodes again what is accepted.
func FuzzFooter(f *testing.F) {
	o := sampleObject(f, 0, 3)
	f.Add(o.data[:56], o.data[len(o.data)-FooterSize:len(o.data)-crcSize], uint64(len(o.data)))
	m := encodeManifest(f, sampleManifest(1))
	f.Add(m[:60], m[len(m)-FooterSize:len(m)-crcSize], uint64(len(m)))
	f.Fuzz(func(t *testing.T, head, foot []byte, size uint64) {
		for _, file := range []fileType{objectFile, manifestFile} {
			bounded(t, func() error {
				sealed := seal(bytes.Clone(head))
				h, n, _, err := decodeHeader(sealed, uint64(len(sealed)), file)
				if err != nil {
					return err
				}
				again, _, err := appendHeader(nil, file, &h)
				must(t, err)
				if !bytes.Equal(again, sealed[:n]) {
					t.Errorf("header % x encodes as % x", sealed[:n], again)
				}
				return nil
			})
			bounded(t, func() error {
				if len(foot) != FooterSize-crcSize || size < FooterSize {
					return nil
				}
				sealed := seal(bytes.Clone(foot))
				got, _, err := decodeFooter(sealed, size, file)
				if err != nil {
					return err
				}
				if again, _ := appendFooter(nil, file, &got); !bytes.Equal(again, sealed) {
					t.Errorf("footer % x encodes as % x", sealed, again)
				}
				return nil
			})
		}
	})
}

// FuzzIndex decodes block indexes with right checksums.
func FuzzIndex(f *testing.F) {
	for _, codec := range allCodecs {
		s := makeSample(f, KindBlockIndex, codec, 3, 0)
		f.Add(s.data[:len(s.data)-crcSize], uint64(9000), uint8(KindKeyed))
	}
	f.Fuzz(func(t *testing.T, body []byte, offset uint64, kind uint8) {
		data := seal(bytes.Clone(body))
		ref := refOf(data, 0, 3)
		s := Slice{Offset: offset, Length: ref.Length, CRC: ref.CRC, Blocks: 3, Entries: 30, Bytes: 303, Decoded: 600, Interval: keygroup.All()}
		bounded(t, func() error {
			var x Index
			return x.Decode("fuzz", data, s, Kind(kind), fuzzLimits)
		})
	})
}

// FuzzSchema decodes anything as a schema. What is accepted encodes to the
// same bytes.
func FuzzSchema(f *testing.F) {
	for _, s := range []*Schema{of(TypeBool), count64, nested(MaxNesting), mapOf(of(TypeString), array(3, of(TypeTime))),
		optional(&Schema{Type: TypeProtobuf, Name: "a.B"})} {
		enc, err := AppendSchema(nil, s)
		must(f, err)
		f.Add(enc)
	}
	f.Add(bytes.Repeat([]byte{byte(TypeSlice)}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		bounded(t, func() error {
			s, err := DecodeSchema(data, nil)
			if err != nil {
				return err
			}
			again, err := AppendSchema(nil, s)
			must(t, err)
			if !bytes.Equal(again, data) {
				t.Errorf("schema % x encodes as % x", data, again)
			}
			if s.String() == "" || !s.Equal(s) || s.Fingerprint() == 0 {
				t.Errorf("schema %v", s)
			}
			return nil
		})
	})
}

// FuzzValueJSON prints anything by any schema. What is printed is valid JSON
// that no terminal takes for a command.
func FuzzValueJSON(f *testing.F) {
	seed := func(s *Schema, value []byte) {
		enc, err := AppendSchema(nil, s)
		must(f, err)
		f.Add(enc, value)
	}
	seed(count64, join(text("ATL"), i64(5)))
	seed(sliceOf(optional(of(TypeTime))), join([]byte{2, 0, 1}, i64(77)))
	seed(mapOf(of(TypeString), sliceOf(of(TypeInt8))), join([]byte{1}, text("\x1b[2J"), []byte{2, 1, 2}))
	seed(mapOf(of(TypeInt8), structOf()), []byte{2, 1, 2})
	seed(of(TypeJSON), text("{\"a\": [1, \"\u202e\"]}"))
	f.Fuzz(func(t *testing.T, schema, value []byte) {
		s, err := DecodeSchema(schema, nil)
		if err != nil {
			return
		}
		bounded(t, func() error {
			out, err := AppendJSON(nil, s, value, fuzzLimits)
			if valid := s.Validate(value); (valid == nil) != (err == nil) && !errors.Is(err, ErrLimit) {
				t.Errorf("%v: Validate says %v, AppendJSON %v", s, valid, err)
			}
			if err != nil {
				return err
			}
			if !json.Valid(out) {
				t.Errorf("%v % x prints as %s, which is not JSON", s, value, out)
			}
			if !utf8.Valid(out) || bytes.ContainsFunc(out, func(r rune) bool { return !unicode.IsGraphic(r) && r != utf8.RuneError }) {
				t.Errorf("%v % x prints as %q", s, value, out)
			}
			return nil
		})
	})
}

// FuzzRoundTrip encodes entries made of anything and reads them back.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("some bytes that become keys and values of entries"), uint8(7), uint8(0))
	f.Add(bytes.Repeat([]byte("abcdefgh"), 100), uint8(8), uint8(1))
	f.Add(make([]byte, 1000), uint8(255), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, width, codec uint8) {
		b := NewKeyedBuilder()
		b.Compress(allCodecs[int(codec)%len(allCodecs)])
		var keys [][]byte
		for i := 0; len(data) > 0; i++ {
			n := min(len(data), int(width)%17+i%2*int(width>>4))
			n = max(n, 1)
			keys = append(keys, data[:n])
			b.Append(keygroup.Hash(i), data[:n], data[:n/2], data)
			if data = data[n:]; b.Size() > 1<<20 {
				break
			}
		}
		rows := NewKeyedRows(keygroup.All())
		rows.Start(decoded(t, &b.Builder))
		for _, key := range keys {
			if !rows.Next() || !bytes.Equal(rows.Key, key) || !bytes.Equal(rows.Namespace, key[:len(key)/2]) {
				t.Fatalf("read %x, %v, expected %x", rows.Key, rows.Err(), key)
			}
		}
		if rows.Next() {
			t.Error("a row too many")
		}
	})
}

// FuzzName holds CheckName against a plain restatement of its rule.
func FuzzName(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name)
	}
	f.Add("chk-7/data-0")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) != nil {
			return
		}
		clean := bytes.Split([]byte(name), []byte("/"))
		if len(name) > MaxName || len(clean) > MaxSegments {
			t.Errorf("accepted %q", name)
		}
		for _, segment := range clean {
			if len(segment) == 0 || bytes.HasSuffix(segment, []byte(".")) ||
				len(bytes.Trim(segment, "abcdefghijklmnopqrstuvwxyz0123456789._-")) > 0 {
				t.Errorf("accepted the segment %q of %q", segment, name)
			}
		}
	})
}

// FuzzFrame decodes anything as a frame. What is accepted encodes to the same
// bytes.
func FuzzFrame(f *testing.F) {
	for _, frame := range []Frame{{Payload: []byte("v")}, {HasHash: true, HasTime: true}, {Element: ElementStatus, Payload: []byte{1}}} {
		enc, err := AppendFrame(nil, &frame)
		must(f, err)
		f.Add(enc)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, n, err := DecodeFrame(data)
		if err != nil {
			bounded(t, func() error { return err })
			return
		}
		if again, err := AppendFrame(nil, &frame); err != nil || !bytes.Equal(again, data[:n]) {
			t.Errorf("frame % x encodes as % x, %v", data[:n], again, err)
		}
	})
}
