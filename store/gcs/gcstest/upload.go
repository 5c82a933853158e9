package gcstest

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// unit is what the size of each piece but the last is a multiple of, in bytes.
const unit = 256 << 10

func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// description is what a client says of the object that it makes.
type description struct {
	Name        string            `json:"name"`
	Bucket      string            `json:"bucket"`
	ContentType string            `json:"contentType"`
	CRC32C      string            `json:"crc32c"`
	Metadata    map[string]string `json:"metadata"`
}

// metadata reads a description.
func metadata(r io.Reader) (description, *answer) {
	var d description
	data, err := io.ReadAll(r)
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		a := refusal(http.StatusBadRequest, "description: %v", err)
		return d, &a
	}
	return d, nil
}

// insert is an upload in one request of two parts.
func (s *Server) insert(r *http.Request, bucket string) (string, func() answer) {
	return "insert", func() answer {
		if bad := known(r, "ifGenerationMatch"); bad != nil {
			return *bad
		}
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || r.URL.Query().Get("uploadType") != "multipart" {
			return refusal(http.StatusNotImplemented, "upload %q of type %q", r.URL.RawQuery, r.Header.Get("Content-Type"))
		}
		parts := multipart.NewReader(r.Body, params["boundary"])
		head, err := parts.NextPart()
		if err != nil {
			return refusal(http.StatusBadRequest, "first part: %v", err)
		}
		meta, bad := metadata(head)
		if bad != nil {
			return *bad
		}
		body, err := parts.NextPart()
		if err != nil {
			return refusal(http.StatusBadRequest, "second part: %v", err)
		}
		data, err := io.ReadAll(body)
		if err == nil {
			_, err = parts.NextPart()
		}
		if err != io.EOF { // the closing boundary must have come
			return refusal(http.StatusBadRequest, "body: %v", err)
		}
		if meta.CRC32C == "" {
			meta.CRC32C = hashHeader(r)
		}
		return s.finish(r, bucket, data, meta)
	}
}

// hashHeader is the checksum that a request states in its header.
func hashHeader(r *http.Request) string {
	for _, h := range r.Header.Values("X-Goog-Hash") {
		for part := range strings.SplitSeq(h, ",") {
			if sum, ok := strings.CutPrefix(strings.TrimSpace(part), "crc32c="); ok {
				return sum
			}
		}
	}
	return ""
}

// finish publishes what was uploaded.
func (s *Server) finish(r *http.Request, bucket string, data []byte, meta description) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[bucket]
	if !ok {
		return refusal(http.StatusNotFound, "The specified bucket does not exist.")
	}
	if bad := condition(r, "if", b[meta.Name]); bad != nil {
		return *bad
	}
	if got := sum64(checksum(data)); meta.CRC32C != "" && meta.CRC32C != got {
		return refusal(http.StatusBadRequest, "Provided CRC32C %q doesn't match calculated CRC32C %q.", meta.CRC32C, got)
	}
	return document(s.put(bucket, meta.Name, data, meta).resource(bucket, meta.Name))
}

// session is a resumable upload.
type session struct {
	begun  *http.Request // with the conditions
	bucket string
	meta   description
	data   []byte
	done   *answer // of a finished one, given again when asked
}

// begin opens a resumable upload.
func (s *Server) begin(r *http.Request, bucket string) (string, func() answer) {
	return "session", func() answer {
		meta, bad := metadata(r.Body)
		if bad = first(known(r, "ifGenerationMatch"), bad); bad != nil {
			return *bad
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.buckets[bucket]; !ok {
			return refusal(http.StatusNotFound, "The specified bucket does not exist.")
		}
		id := fmt.Sprintf("session-%d", len(s.sessions)+1)
		s.sessions[id] = &session{begun: r.Clone(r.Context()), bucket: bucket, meta: meta}
		return answer{status: http.StatusOK, header: map[string]string{
			"Location": s.http.URL + "/upload/storage/v1/b/" + bucket + "/o?uploadType=resumable&upload_id=" + id}}
	}
}

// piece takes a piece of a resumable upload.
func (s *Server) piece(r *http.Request) (string, func() answer) {
	return "piece", func() answer {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return refusal(http.StatusBadRequest, "piece: %v", err)
		}
		s.mu.Lock()
		u := s.sessions[r.URL.Query().Get("upload_id")]
		s.mu.Unlock()
		if u == nil {
			return refusal(http.StatusNotFound, "no such upload")
		}
		if u.done != nil {
			return *u.done
		}
		from, total, bad := u.where(r, len(body))
		if bad != nil {
			return *bad
		}
		// A piece that is sent again because its answer was lost overlaps.
		if skip := len(u.data) - from; skip < len(body) {
			u.data = append(u.data, body[skip:]...)
		}
		if total < 0 || len(u.data) < total {
			return u.more(r)
		}
		if u.meta.CRC32C == "" {
			u.meta.CRC32C = hashHeader(r)
		}
		a := s.finish(u.begun, u.bucket, u.data, u.meta)
		u.done = &a
		return a
	}
}

// where reads the range of a piece: the offset of its first byte and the size of
// the whole, −1 if that is not known yet.
func (u *session) where(r *http.Request, n int) (from, total int, bad *answer) {
	refuse := func(status int, format string, args ...any) (int, int, *answer) {
		a := refusal(status, format, args...)
		return 0, 0, &a
	}
	text, ok := strings.CutPrefix(r.Header.Get("Content-Range"), "bytes ")
	span, size, cut := strings.Cut(text, "/")
	if !ok || !cut {
		return refuse(http.StatusBadRequest, "Content-Range %q", r.Header.Get("Content-Range"))
	}
	total = -1
	if size != "*" {
		var err error
		if total, err = strconv.Atoi(size); err != nil {
			return refuse(http.StatusBadRequest, "Content-Range %q", text)
		}
	}
	if span == "*" { // a question, or the end of an empty rest
		if n != 0 {
			return refuse(http.StatusBadRequest, "%d bytes with Content-Range %q", n, text)
		}
		return len(u.data), total, nil
	}
	first, last, _ := strings.Cut(span, "-")
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	switch {
	case err != nil || err2 != nil || to-from+1 != n:
		return refuse(http.StatusBadRequest, "Content-Range %q with %d bytes", text, n)
	case from > len(u.data):
		return refuse(http.StatusServiceUnavailable, "byte %d comes before byte %d", from, len(u.data))
	case total < 0 && n%unit != 0:
		return refuse(http.StatusBadRequest, "a piece of %d bytes that is not the last is no multiple of %d", n, unit)
	case total >= 0 && to+1 != total:
		return refuse(http.StatusBadRequest, "the last piece ends at %d of %d", to, total)
	}
	return from, total, nil
}

// more asks for the rest.
func (u *session) more(r *http.Request) answer {
	a := answer{status: http.StatusPermanentRedirect, header: map[string]string{}}
	if r.Header.Get("X-Guploader-No-308") == "yes" {
		a.status = http.StatusOK
		a.header["X-Http-Status-Code-Override"] = "308"
	}
	if len(u.data) > 0 {
		a.header["Range"] = fmt.Sprintf("bytes=0-%d", len(u.data)-1)
	}
	return a
}
