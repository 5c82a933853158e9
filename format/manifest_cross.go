package format

// check applies every rule for a manifest, for the writer.
func (m *Manifest) check() error {
	return inOrder(m.checkTables, m.checkSlices, m.checkCross)
}

// inOrder returns the first error of several checks, of which each relies on
// the ones before.
func inOrder(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkTables applies the rules for all tables but that of the slices.
func (m *Manifest) checkTables() error {
	n := m.counts()
	if err := m.Summary.check(); err != nil {
		return err
	}
	if err := m.checkOperators(n); err != nil {
		return err
	}
	if err := m.checkStates(n); err != nil {
		return err
	}
	var edges, objects, settings uniqueness
	for i := range m.Edges {
		if err := first(m.Edges[i].check(n), edges.add("edge", m.Edges[i].ID)); err != nil {
			return err
		}
		if err := m.checkKeys(&m.Edges[i]); err != nil {
			return err
		}
	}
	for i := range m.Objects {
		if err := first(m.Objects[i].check(m.Summary.Path), objects.add("object", m.Objects[i].Name)); err != nil {
			return err
		}
	}
	for i := range m.Settings {
		if err := first(m.Settings[i].check(), settings.add("setting", m.Settings[i].Key)); err != nil {
			return err
		}
	}
	for i := range m.Losses {
		if err := m.Losses[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// uniqueness finds names that occur twice. Two operators of one uid would share
// their state at restore, two objects of one name would be checked against two
// lengths; the zero value is ready to use.
type uniqueness map[string]bool

// add notes a name.
func (u *uniqueness) add(what, name string) error {
	if (*u)[name] {
		return invalid("two of the %ss are called %q", what, name)
	}
	if *u == nil {
		*u = make(uniqueness)
	}
	(*u)[name] = true
	return nil
}

// checkOperators checks the operators and that no uid occurs twice.
func (m *Manifest) checkOperators(n counts) error {
	var uids uniqueness
	for i := range m.Operators {
		if err := first(m.Operators[i].check(n), uids.add("operator", m.Operators[i].UID)); err != nil {
			return err
		}
	}
	return nil
}

// stateKey identifies a state of an operator.
type stateKey struct {
	operator int
	kind     Kind
	edge     int
	name     string
}

// checkStates checks the states, that none occurs twice, and that their edges
// and operators fit: hash order needs key groups, and channel state belongs to
// the end of the edge that stored it, input to the receiver and output to the
// sender. Both ends hold records of one type, since a record may begin at one and
// end at the other.
func (m *Manifest) checkStates(n counts) error {
	seen := make(map[stateKey]bool, len(m.States))
	records := make(map[int]int) // by edge: the schema of what is in flight
	for i := range m.States {
		s := &m.States[i]
		if err := s.check(n); err != nil {
			return err
		}
		key := stateKey{s.Operator, s.Kind, s.Edge, s.Name}
		if seen[key] {
			return invalid("operator %q has two %v states %q", m.Operators[s.Operator].UID, s.Kind, s.Name)
		}
		seen[key] = true
		if s.Kind.ByHash() && m.Operators[s.Operator].KeyGroups == 0 {
			return invalid("%v state %q of the operator %q, which has no key groups",
				s.Kind, s.Name, m.Operators[s.Operator].UID)
		}
		if s.Edge == None {
			continue
		}
		end := m.Edges[s.Edge].To
		if s.Kind == KindOutputChannel {
			end = m.Edges[s.Edge].From
		}
		if end != s.Operator {
			return invalid("%v state of the operator %q on the edge %q, which does not end there",
				s.Kind, m.Operators[s.Operator].UID, m.Edges[s.Edge].ID)
		}
		if !s.Kind.Channel() || s.Value == None {
			continue
		}
		if other, known := records[s.Edge]; known && other != s.Value {
			return invalid("records of two types in flight on the edge %q", m.Edges[s.Edge].ID)
		}
		records[s.Edge] = s.Value
	}
	return nil
}

// checkSlices checks the slices and their order.
func (m *Manifest) checkSlices() error {
	n := m.counts()
	var prev *Slice
	for i := range m.Slices {
		s := &m.Slices[i]
		if err := s.checkRow(n); err != nil {
			return err
		}
		if prev != nil && prev.State > s.State {
			return invalid("slice of state %d behind one of state %d", s.State, prev.State)
		}
		if prev != nil && prev.State != s.State {
			prev = nil
		}
		if err := s.checkBehind(prev, m.States[s.State].Kind); err != nil {
			return err
		}
		prev = s
	}
	return nil
}

// checkCross checks, once the rows by themselves are known to be right, that
// slices lie within their objects and that the stored totals are the sums.
func (m *Manifest) checkCross() error {
	for i := range m.Slices {
		s := &m.Slices[i]
		if object := &m.Objects[s.Object]; s.Offset+uint64(s.Length) > object.Length-FooterSize {
			return invalid("slice with its index at %d in %q, which has %d bytes", s.Offset, object.Name, object.Length)
		}
	}
	// The sums are computed on a copy, with the code that the writer uses.
	sums := Manifest{Summary: m.Summary, Operators: m.Operators, Slices: m.Slices, Edges: m.Edges}
	sums.States = append([]State(nil), m.States...)
	sums.total()
	if sums.Summary != m.Summary {
		return invalid("the totals of the summary are not the sums of the tables")
	}
	for i := range m.States {
		if sums.States[i] != m.States[i] {
			return invalid("the totals of state %d are not the sums of its slices", i)
		}
	}
	return nil
}
