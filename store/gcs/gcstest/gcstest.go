// Package gcstest is a strict fake of the part of Google Cloud Storage's JSON
// and XML interfaces that package gcs uses. It refuses what it does not know:
// a query parameter, a precondition or a header that it would otherwise
// ignore in silence is how fakes hide bugs.
//
// What it holds the client to: preconditions on every kind of request,
// checksums of uploads, the order and the size of the pieces of a resumable
// upload, reads in one generation, short pages, copies that take several
// rounds. [Server.Inject] makes it fail, before or after it has acted.
package gcstest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is a running fake with any number of buckets.
type Server struct {
	http *httptest.Server

	mu         sync.Mutex
	buckets    map[string]map[string]*object
	sessions   map[string]*session // resumable uploads that are not finished
	rewrites   map[string]bool     // tokens of copies that are not finished
	generation int64
	inject     func(op string) Fault
	requests   map[string]int
	sent       uint64 // bytes of objects, since it was asked
	rash       int    // changes without a precondition
}

// object is a generation of an object.
type object struct {
	data       []byte
	meta       map[string]string
	kind       string // content type
	generation int64
	created    time.Time
	sum        uint32
}

// Fault is what a request meets.
type Fault int

// Faults.
const (
	None   Fault = iota
	Refuse       // 503 before anything is done
	Lose         // everything is done, but the connection breaks before the answer
	Cut          // a download breaks off in the middle
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// New starts a fake with the buckets. The caller closes it.
func New(buckets ...string) *Server {
	s := &Server{buckets: map[string]map[string]*object{}, sessions: map[string]*session{}, rewrites: map[string]bool{},
		requests: map[string]int{}, generation: 1_700_000_000_000_000}
	for _, b := range buckets {
		s.buckets[b] = map[string]*object{}
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// Close ends the fake.
func (s *Server) Close() { s.http.Close() }

// URL is the address to which STORAGE_EMULATOR_HOST may be set.
func (s *Server) URL() string { return s.http.URL }

// Inject sets what decides about faults. It is called once for each request
// with its operation: "insert", "session", "piece", "get", "read", "list",
// "delete", "rewrite". nil is none.
func (s *Server) Inject(f func(op string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inject = f
}

// Requests tells how many requests of each operation there were.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// Sent tells how many bytes of objects were downloaded since the last call.
func (s *Server) Sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sent
	s.sent = 0
	return n
}

// Unconditional tells how many requests to change something had no precondition
// on the generation of what they change.
func (s *Server) Unconditional() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rash
}

// Names lists a bucket.
func (s *Server) Names(bucket string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.buckets[bucket]))
}

// Damage changes a byte of an object behind the service's back, as a bad disk
// would: its checksum stays.
func (s *Server) Damage(bucket, name string, at int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][name]
	if o == nil || at < 0 || at >= len(o.data) {
		return false
	}
	o.data = slices.Clone(o.data)
	o.data[at] ^= 1
	return true
}

// Replace changes a byte of an object as one who may write to the bucket would:
// its checksum is that of the changed bytes.
func (s *Server) Replace(bucket, name string, at int) bool {
	if !s.Damage(bucket, name, at) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][name]
	s.put(bucket, name, o.data, description{Metadata: o.meta, ContentType: o.kind})
	return true
}

// Age copies an object behind the service's back to one that was made that long
// ago, and reports whether there is such an object.
func (s *Server) Age(bucket, from, to string, age time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][from]
	if o == nil {
		return false
	}
	s.put(bucket, to, o.data, description{Metadata: o.meta, ContentType: o.kind}).created = time.Now().Add(-age)
	return true
}

// answer is an HTTP answer that has not been sent.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

// refusal is an answer in the form of the service's errors.
func refusal(status int, format string, args ...any) answer {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"code": status, "message": fmt.Sprintf(format, args...)}})
	return answer{status: status, header: map[string]string{"Content-Type": "application/json"}, body: body}
}

// document is an answer with a JSON body.
func document(v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return refusal(http.StatusInternalServerError, "%v", err)
	}
	return answer{status: http.StatusOK, header: map[string]string{"Content-Type": "application/json"}, body: body}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	op, run := s.route(r)
	s.mu.Lock()
	s.requests[op]++
	if slices.Contains([]string{"insert", "session", "delete", "rewrite"}, op) && !r.URL.Query().Has("ifGenerationMatch") {
		s.rash++
	}
	inject := s.inject
	s.mu.Unlock()
	fault := None
	if inject != nil {
		fault = inject(op)
	}
	if fault == Refuse {
		send(w, refusal(http.StatusServiceUnavailable, "try again"), false)
		return
	}
	a := run()
	switch fault {
	case Lose:
		panic(http.ErrAbortHandler)
	default:
		send(w, a, fault == Cut)
	}
}

// send writes an answer, or the first half of it.
func send(w http.ResponseWriter, a answer, cut bool) {
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if cut && len(a.body) > 1 {
		_, _ = w.Write(a.body[:len(a.body)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body)
}

// route finds the operation of a request.
func (s *Server) route(r *http.Request) (op string, run func() answer) {
	path := r.URL.EscapedPath()
	const objects, uploads = "/storage/v1/b/", "/upload/storage/v1/b/"
	locked := func(op string, f func() answer) (string, func() answer) {
		return op, func() answer {
			s.mu.Lock()
			defer s.mu.Unlock()
			return f()
		}
	}
	switch {
	case strings.HasPrefix(path, uploads):
		bucket := strings.TrimSuffix(strings.TrimPrefix(path, uploads), "/o")
		switch {
		case r.URL.Query().Has("upload_id"): // PUT by the interface, POST by the Go client
			return s.piece(r)
		case r.URL.Query().Get("uploadType") == "resumable":
			return s.begin(r, bucket)
		}
		return s.insert(r, bucket)
	case strings.HasPrefix(path, objects):
		parts := strings.Split(strings.TrimPrefix(path, objects), "/")
		for i := range parts {
			parts[i] = unescape(parts[i])
		}
		switch {
		case len(parts) == 2 && parts[1] == "o" && r.Method == http.MethodGet:
			return locked("list", func() answer { return s.list(r, parts[0]) })
		case len(parts) == 3 && parts[1] == "o" && r.Method == http.MethodGet:
			return locked("get", func() answer { return s.get(r, parts[0], parts[2]) })
		case len(parts) == 3 && parts[1] == "o" && r.Method == http.MethodDelete:
			return locked("delete", func() answer { return s.remove(r, parts[0], parts[2]) })
		case len(parts) == 8 && parts[3] == "rewriteTo" && r.Method == http.MethodPost:
			return locked("rewrite", func() answer { return s.rewrite(r, parts[0], parts[2], parts[5], parts[7]) })
		}
	case r.Method == http.MethodGet:
		bucket, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		return locked("read", func() answer { return s.read(r, bucket, unescape(name)) })
	}
	return "unknown", func() answer { return refusal(http.StatusNotImplemented, "%s %s", r.Method, path) }
}

// known refuses parameters that the operation does not have; those that only
// shape the answer are ignored.
func known(r *http.Request, names ...string) *answer {
	shape := []string{"alt", "prettyPrint", "projection", "fields", "uploadType", "name"}
	for _, k := range slices.Sorted(maps.Keys(r.URL.Query())) {
		if !slices.Contains(names, k) && !slices.Contains(shape, k) {
			a := refusal(http.StatusNotImplemented, "the fake does not know the parameter %s", k)
			return &a
		}
	}
	return nil
}

// condition checks the preconditions on the present state of an object, which
// is nil if it is absent. They begin with the prefix "if" or "ifSource".
func condition(r *http.Request, prefix string, o *object) *answer {
	want := r.URL.Query().Get(prefix + "GenerationMatch")
	if want == "" {
		return nil
	}
	var present int64
	if o != nil {
		present = o.generation
	}
	if want != strconv.FormatInt(present, 10) {
		a := refusal(http.StatusPreconditionFailed, "generation is %d, the condition is %s", present, want)
		return &a
	}
	return nil
}

// find returns an object in the generation that the parameter asks for.
func (s *Server) find(r *http.Request, parameter, bucket, name string) (*object, *answer) {
	b, ok := s.buckets[bucket]
	if !ok {
		a := refusal(http.StatusNotFound, "The specified bucket does not exist.")
		return nil, &a
	}
	o := b[name]
	want := r.URL.Query().Get(parameter)
	if o == nil || want != "" && want != strconv.FormatInt(o.generation, 10) {
		a := refusal(http.StatusNotFound, "No such object: %s/%s", bucket, name)
		return nil, &a
	}
	return o, nil
}

// first returns the first answer that there is.
func first(answers ...*answer) *answer { return cmp.Or(answers...) }
