package document

import (
	"github.com/tidemark-io/tidemark/checkpoint"
)

// LsSchema and VerifySchema name the documents of ls and verify.
const (
	LsSchema     = "tidemark.ls/1"
	VerifySchema = "tidemark.verify/1"
)

// Ls lists checkpoints.
type Ls struct {
	Schema      string `json:"schema"`
	Checkpoints []Line `json:"checkpoints"`
}

// Line is one checkpoint of a listing.
type Line struct {
	Path          string            `json:"path"`
	Kind          checkpoint.Kind   `json:"kind"`
	ID            Number            `json:"id"`
	Created       Moment            `json:"created"`
	Bytes         Number            `json:"bytes"`
	InFlightBytes Number            `json:"inFlightBytes"`
	Status        checkpoint.Status `json:"status"`
	Reason        Text              `json:"reason"` // why the status is not complete
	info          checkpoint.Info
}

// NewLine describes a checkpoint in a listing.
func NewLine(path string, info checkpoint.Info) Line {
	l := Line{Path: path, Kind: info.Kind, ID: Number(info.ID), Created: Moment(info.Created), Bytes: Number(info.Bytes),
		InFlightBytes: Number(info.InFlight.Bytes), Status: info.Status, info: info}
	if info.Reason != nil {
		l.Reason = Text(info.Reason.Error())
	}
	return l
}

// Info returns what the line was made of.
func (l Line) Info() checkpoint.Info { return l.info }

// Verify is the outcome of verifying several paths.
type Verify struct {
	Schema string   `json:"schema"`
	Level  string   `json:"level"`
	Sample float64  `json:"sample"` // share of the data that is checked, 0 for all
	Paths  []Result `json:"paths"`
}

// Result is the outcome of one checkpoint.
type Result struct {
	Path   string `json:"path"`
	OK     bool   `json:"ok"`
	Checks int    `json:"checks"` // pieces of work done
	// Unchecked are those not done in time, Known those done in an earlier call.
	Unchecked int       `json:"unchecked"`
	Known     int       `json:"known"`
	Bytes     Number    `json:"bytes"` // read for them
	Error     Text      `json:"error"` // why it could not be verified to the end
	Findings  []Finding `json:"findings"`
}

// Finding is something that a check found.
type Finding struct {
	Severity string `json:"severity"`
	Problem  string `json:"problem"`
	Cause    Text   `json:"cause"`
	Object   Text   `json:"object"`
	Offset   Number `json:"offset"` // in the object
	Length   Number `json:"length"` // bytes concerned
	Place    Text   `json:"place"`  // selector of what is concerned
	Edge     Text   `json:"edge"`
	Remedy   Text   `json:"remedy"` // command to try next
}

// NewFinding describes a finding.
func NewFinding(f checkpoint.Finding) Finding {
	d := Finding{Severity: f.Severity.String(), Problem: f.Problem, Object: Text(f.Place.Object), Place: Text(f.Place.Selector().String()),
		Edge: Text(f.Place.Edge), Remedy: Text(f.Remedy), Offset: Number(checkpoint.UnknownCount), Length: Number(checkpoint.UnknownCount)}
	if f.Err != nil {
		d.Cause = Text(f.Err.Error())
	}
	if f.Place.Offset >= 0 {
		d.Offset = Number(f.Place.Offset)
	}
	if f.Place.Length > 0 {
		d.Length = Number(f.Place.Length)
	}
	return d
}
