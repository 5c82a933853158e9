// Package killtest kills a job with SIGKILL, again and again, in all phases of a
// checkpoint, and proves from its files that nothing is lost, nothing comes
// twice and order is kept. It has tests only: the child process is the test
// binary itself.
package killtest
