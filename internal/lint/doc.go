// Package lint holds the rules of the house as tests: which package may import
// which, formatting, vet, staticcheck, the sizes of files and functions, and
// that the documents name only tests, targets and files that exist.
//
// An exception is a line of exceptions.txt with its reason.
package lint
