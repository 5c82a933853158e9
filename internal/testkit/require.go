// Package testkit holds what the tests of several packages share.
package testkit

import (
	"os"
	"testing"
)

// RequireEnv is the variable that forbids skipping: with the value "all" a
// missing part of the machine fails the test that wants it. CI sets it.
const RequireEnv = "TIDEMARK_REQUIRE"

// Require ends the test unless ok. It is the only way a test may skip: on a
// developer's machine it skips with the reason, on CI it fails.
func Require(t testing.TB, what string, ok bool) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv(RequireEnv) == "all" {
		t.Fatalf("this test needs %s, and %s=all forbids skipping", what, RequireEnv)
	}
	t.Skipf("this test needs %s", what)
}

// Unsupported ends a test of a suite that the thing under test cannot pass for a
// known reason which lies outside this repository. What it would have shown
// must be shown by another run of the suite.
func Unsupported(t testing.TB, reason string) {
	t.Helper()
	t.Skipf("left out: %s", reason)
}
