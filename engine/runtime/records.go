package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/format"
)

// inFlight reports whether the checkpoint has in-flight data.
func (r *restored) inFlight() bool {
	return r != nil && (r.summary.InFlightRecords > 0 || r.summary.InFlightBytes > 0)
}

// withoutInFlight reports whether a run leaves the in-flight data out: never that
// of a checkpoint of its own, to which an automatic restart goes back.
func (r *restored) withoutInFlight(cfg *Config, run uint64) bool {
	return r.dropAll || r.id != 0 && r.id == cfg.Restore.WithoutInFlight && (r.external || r.summary.Run != run)
}

// recordType is how the records in flight on an edge become what the job expects.
type recordType struct {
	unknown bool             // the checkpoint does not state their type: revision 2, or a part that was lost
	migrate *codec.Migration // nil if they are as expected
	differs []codec.Difference
}

// recordType compares what is in flight on an edge of the job with the records
// that the edge has now. Where nothing is in flight nothing differs.
func (r *restored) recordType(p *plan, edge int) (t recordType, err error) {
	edges, err := r.ck.Edges()
	if err != nil {
		return t, err
	}
	id := p.edgeID(edge)
	row := slices.IndexFunc(edges, func(e format.Edge) bool { return e.ID == id && e.InFlightBytes > 0 })
	if row < 0 {
		return t, nil
	}
	var was *format.Schema
	for _, states := range r.states {
		for _, s := range states {
			if s.Kind.Channel() && s.Edge == row && was == nil {
				was = r.schema(s.Value)
			}
		}
	}
	is := p.graph.Edges[edge].Record
	if t.unknown = was == nil || is == nil; t.unknown {
		return t, nil
	}
	t.migrate, t.differs = codec.Migrate(was, is)
	return t, nil
}

// checkInFlight finds in-flight data of connections that the job does not have,
// or that have become of a kind, or of a type of records, that cannot take it
// over.
func (r *restored) checkInFlight(a *attempt) error {
	if r.withoutInFlight(a.cfg, a.run()) {
		return nil
	}
	p := a.plan
	edges, err := r.ck.Edges()
	if err != nil {
		return err
	}
	connected := map[string]int{}
	for i := range p.graph.Edges {
		if !p.chained[i] {
			connected[p.edgeID(i)] = i
		}
	}
	for _, e := range edges {
		if e.InFlightBytes == 0 {
			continue
		}
		keys, err := r.keysOf(e)
		if err != nil {
			return err
		}
		at, ok := connected[e.ID]
		why := ""
		if ok {
			why = p.cannotTakeOver(at, e, keys)
		}
		switch {
		case !ok:
			r.problem(Problem{UID: sender(e),
				What:   fmt.Sprintf("%d records are in flight on the connection %s, which the job does not have, or chains", e.InFlightRecords, e.ID),
				Remedy: "restore a job with this connection, or --allow-non-restored-state, which drops these records"})
		case why != "":
			r.problem(Problem{UID: sender(e),
				What:   fmt.Sprintf("%d records are in flight on the connection %s, which now is of a kind that cannot take them over: %s", e.InFlightRecords, e.ID, why),
				Remedy: "restore the job with the connection as it was and stop it with a savepoint, which has nothing in flight; or --allow-non-restored-state, which drops these records"})
		default:
			if err := r.checkRecords(p, at, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// sender is the operator that an edge comes from.
func sender(e format.Edge) string { return strings.SplitN(e.ID, ">", 2)[0] }

// checkRecords notes every difference between the records in flight on an edge
// and those that the job has there.
func (r *restored) checkRecords(p *plan, edge int, e format.Edge) error {
	t, err := r.recordType(p, edge)
	if err != nil {
		return err
	}
	for _, d := range t.differs {
		r.problem(Problem{UID: sender(e),
			What: fmt.Sprintf("%d records are in flight on the connection %s and cannot be taken over: %v", e.InFlightRecords, e.ID, d),
			Remedy: fmt.Sprintf("restore the job with the old type and stop it with a savepoint, which has nothing in flight; or %s, which drops these records, as does --allow-non-restored-state",
				stripCommand(r.path, e.ID))})
	}
	return nil
}

// stripCommand leaves the in-flight data of one connection out, or all of it if
// no selector can name the connection.
func stripCommand(path, edge string) string {
	what := "all"
	text := checkpoint.Selector{Channel: &checkpoint.Channel{Gate: edge}}.String()
	if sel, err := checkpoint.ParseSelector(text); err == nil && sel.Channel != nil && sel.Channel.Gate == edge && !strings.Contains(text, "'") {
		what = "'" + text + "'"
	}
	return fmt.Sprintf("tidemark strip --in-flight %s %s DST", what, path)
}

// sayRecords logs what a restore does with records in flight that one would not
// expect: those whose type nobody knows are taken as they are, and those that do
// not fit are dropped if that is allowed.
func (r *restored) sayRecords(a *attempt) error {
	if r.withoutInFlight(a.cfg, a.run()) {
		return nil
	}
	for i := range a.plan.graph.Edges {
		if a.plan.chained[i] {
			continue
		}
		t, err := r.recordType(a.plan, i)
		if err != nil {
			return err
		}
		if t.unknown {
			a.cfg.Logger.Warn("the checkpoint does not say of which type the records in flight are: they are read as the job's", "checkpoint", r.path, "connection", a.plan.edgeID(i))
		}
		if len(t.differs) > 0 {
			a.cfg.Logger.Warn("records in flight are dropped: their type has changed", "checkpoint", r.path, "connection", a.plan.edgeID(i), "difference", t.differs[0].String())
		}
	}
	return nil
}

// refused reports whether an edge of the job cannot take over what is in flight
// on it. It is left out then, which check has refused unless it is allowed.
func (r *restored) refused(p *plan, edge int) bool {
	if t, terr := r.recordType(p, edge); terr == nil && len(t.differs) > 0 {
		return true
	}
	e, keys, ok, err := r.edge(p.edgeID(edge)) // read and checked before
	return err == nil && ok && e.InFlightBytes > 0 && p.cannotTakeOver(edge, e, keys) != ""
}
