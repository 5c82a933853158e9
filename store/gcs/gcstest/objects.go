package gcstest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is how many names a page of a listing has: few, so that each test
// with more than a handful of objects turns pages.
const pageSize = 7

// rewriteRound is how many bytes the first round of a copy takes; a larger
// object needs a second one.
const rewriteRound = 100_000

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// sum64 is a checksum as the service writes it: base64 of four bytes,
// big-endian.
func sum64(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// resource is the description of an object.
func (o *object) resource(bucket, name string) map[string]any {
	at := o.created.UTC().Format(time.RFC3339Nano)
	m := map[string]any{
		"kind": "storage#object", "bucket": bucket, "name": name, "size": strconv.Itoa(len(o.data)),
		"generation": strconv.FormatInt(o.generation, 10), "metageneration": "1", "crc32c": sum64(o.sum),
		"timeCreated": at, "updated": at, "contentType": o.kind,
	}
	if len(o.meta) > 0 {
		m["metadata"] = o.meta
	}
	return m
}

func (s *Server) get(r *http.Request, bucket, name string) answer {
	bad := known(r, "generation", "ifGenerationMatch")
	o, missing := s.find(r, "generation", bucket, name)
	if bad = first(bad, missing, condition(r, "if", o)); bad != nil {
		return *bad
	}
	if alt := r.URL.Query().Get("alt"); alt != "" && alt != "json" {
		return refusal(http.StatusNotImplemented, "alt=%s", alt)
	}
	return document(o.resource(bucket, name))
}

func (s *Server) remove(r *http.Request, bucket, name string) answer {
	bad := known(r, "generation", "ifGenerationMatch")
	o, missing := s.find(r, "generation", bucket, name)
	if bad = first(bad, missing, condition(r, "if", o)); bad != nil {
		return *bad
	}
	delete(s.buckets[bucket], name)
	return answer{status: http.StatusNoContent}
}

func (s *Server) list(r *http.Request, bucket string) answer {
	if bad := known(r, "prefix", "pageToken", "maxResults", "delimiter", "endOffset", "startOffset", "versions",
		"includeTrailingDelimiter", "includeFoldersAsPrefixes", "matchGlob", "softDeleted", "filter"); bad != nil {
		return *bad
	}
	q := r.URL.Query()
	for k, zero := range map[string]string{"delimiter": "", "endOffset": "", "startOffset": "", "matchGlob": "", "versions": "false",
		"includeTrailingDelimiter": "false", "includeFoldersAsPrefixes": "false", "softDeleted": "false", "filter": ""} {
		if v := q.Get(k); v != "" && v != zero {
			return refusal(http.StatusNotImplemented, "%s=%s", k, v)
		}
	}
	b, ok := s.buckets[bucket]
	if !ok {
		return refusal(http.StatusNotFound, "The specified bucket does not exist.")
	}
	var items []any
	page := map[string]any{"kind": "storage#objects"}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !strings.HasPrefix(name, q.Get("prefix")) || name <= q.Get("pageToken") {
			continue
		}
		if len(items) == pageSize {
			page["nextPageToken"] = items[pageSize-1].(map[string]any)["name"]
			break
		}
		items = append(items, b[name].resource(bucket, name))
	}
	page["items"] = items
	return document(page)
}

// read is a download, whole or of one range.
func (s *Server) read(r *http.Request, bucket, name string) answer {
	bad := known(r, "generation")
	o, missing := s.find(r, "generation", bucket, name)
	if bad = first(bad, missing); bad != nil {
		return *bad
	}
	a := answer{status: http.StatusOK, body: o.data, header: map[string]string{
		"Content-Type": o.kind, "X-Goog-Generation": strconv.FormatInt(o.generation, 10), "X-Goog-Metageneration": "1",
		"X-Goog-Hash": "crc32c=" + sum64(o.sum), "X-Goog-Stored-Content-Length": strconv.Itoa(len(o.data)),
	}}
	text := r.Header.Get("Range")
	if text == "" {
		s.sent += uint64(len(o.data))
		return a
	}
	var from, to int
	if n, err := fmt.Sscanf(text, "bytes=%d-%d", &from, &to); n != 2 || err != nil || from < 0 || to < from {
		return refusal(http.StatusNotImplemented, "range %q", text)
	}
	if from >= len(o.data) {
		return refusal(http.StatusRequestedRangeNotSatisfiable, "range %q of %d bytes", text, len(o.data))
	}
	to = min(to, len(o.data)-1)
	s.sent += uint64(to + 1 - from)
	a.status, a.body = http.StatusPartialContent, o.data[from:to+1]
	a.header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", from, to, len(o.data))
	return a
}

// rewrite copies an object; a large one takes two rounds.
func (s *Server) rewrite(r *http.Request, bucket, name, toBucket, toName string) answer {
	bad := known(r, "sourceGeneration", "ifGenerationMatch", "ifSourceGenerationMatch", "rewriteToken")
	o, missing := s.find(r, "sourceGeneration", bucket, name)
	if bad = first(bad, missing, condition(r, "ifSource", o)); bad != nil {
		return *bad
	}
	target, ok := s.buckets[toBucket]
	if !ok {
		return refusal(http.StatusNotFound, "The specified bucket does not exist.")
	}
	if bad = condition(r, "if", target[toName]); bad != nil {
		return *bad
	}
	size := strconv.Itoa(len(o.data))
	token := r.URL.Query().Get("rewriteToken")
	if token != "" && !s.rewrites[token] {
		return refusal(http.StatusBadRequest, "rewriteToken %q was not given by this service", token)
	}
	if token == "" && len(o.data) > rewriteRound {
		token = fmt.Sprintf("round-%d", len(s.rewrites)+1)
		s.rewrites[token] = true
		return document(map[string]any{"kind": "storage#rewriteResponse", "done": false, "objectSize": size,
			"totalBytesRewritten": strconv.Itoa(rewriteRound), "rewriteToken": token})
	}
	meta, bad := metadata(r.Body)
	if bad != nil {
		return *bad
	}
	made := s.put(toBucket, toName, o.data, meta)
	return document(map[string]any{"kind": "storage#rewriteResponse", "done": true, "objectSize": size,
		"totalBytesRewritten": size, "resource": made.resource(toBucket, toName)})
}

// put makes a new generation of an object. The lock is held.
func (s *Server) put(bucket, name string, data []byte, meta description) *object {
	s.generation++
	o := &object{data: data, meta: meta.Metadata, kind: meta.ContentType, generation: s.generation, created: time.Now(), sum: checksum(data)}
	s.buckets[bucket][name] = o
	return o
}
