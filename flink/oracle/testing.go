package oracle

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/internal/testkit"
)

// servers are the JVMs of this process, one per version.
var servers struct {
	sync.Mutex
	byVersion map[Version]*Server
}

// Start returns the JVM of the version, which all tests of this process share. It
// skips the test, or fails it on CI, where Java or Maven is missing. Short runs,
// which are those under the race detector, leave the test to the full run: the
// JVM is none of our goroutines.
func Start(t testing.TB, v Version) *Server {
	t.Helper()
	if testing.Short() {
		testkit.Unsupported(t, "a real Flink runs in the full run only")
	}
	_, err := exec.LookPath("java")
	testkit.Require(t, "java and maven (for a real Flink)", err == nil)
	servers.Lock()
	defer servers.Unlock()
	if s := servers.byVersion[v]; s != nil && s.alive() {
		return s
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s, err := New(ctx, v)
	testkit.Require(t, "java and maven (for a real Flink)", !errors.Is(err, ErrMissing))
	if err != nil {
		t.Fatal(err)
	}
	if servers.byVersion == nil {
		servers.byVersion = map[Version]*Server{}
	}
	servers.byVersion[v] = s
	return s
}

func (s *Server) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken == nil
}

// Must runs the request and ends the test if it fails.
func (s *Server) Must(t testing.TB, r Request) *Report {
	t.Helper()
	report, err := s.Run(t.Context(), r)
	if err != nil {
		t.Fatalf("Flink %s: %v", s.Flink, err)
	}
	return report
}
