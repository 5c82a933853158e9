package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// The bases of the timers that record id sets: in event time if id is a multiple
// of 3, in processing time (the year 2100) if it is one of 4.
const (
	timerBase     = 1_000_000
	procTimerBase = 4_102_444_800_000
)

func (j Job) withDefaults() Job {
	if j.Keys == 0 {
		j.Keys = 10
	}
	if j.Records == 0 {
		j.Records = 200
	}
	if j.Splits == 0 {
		j.Splits = 4
	}
	if j.KeyType == "" {
		j.KeyType = "long"
	}
	return j
}

func (j Job) has(state string) bool { return slices.Contains(j.States, state) }

// split returns the split of a record.
func (j Job) split(id int64) int { return int(id%int64(j.Keys)) % j.Splits }

// limit returns the first id that the split does not have any more.
func (j Job) limit(split int) int64 {
	if slices.Contains(j.ShortSplits, split) {
		return j.Records / 4
	}
	return j.Records
}

// Key returns the text of the key of a record.
func (j Job) Key(id int64) string {
	j = j.withDefaults()
	i := id % int64(j.Keys)
	name, number := fmt.Sprint("key-", i), (i-3)*10_000_000_019
	if i%5 == 4 {
		name = fmt.Sprint("ключ-", i)
	}
	switch j.KeyType {
	case "long":
		return strconv.FormatInt(number, 10)
	case "int":
		return strconv.Itoa(int(int32(number))) //nolint:gosec // the job narrows just so
	case "string":
		return name
	default:
		return fmt.Sprintf("%s,%d", name, number)
	}
}

// Expectation is what a restored job must do.
type Expectation struct {
	Outputs []string `json:"outputs"` // sorted
	Final   []Entry  `json:"final"`   // by Key; Subtask is 0
}

// Expect works out what the job does from the state v on, if of the records in
// flight just those of deliver (ids) arrive at the keyed operator: an untouched
// checkpoint delivers all of InFlight, a stripped one none.
// It does not know of lines in flight to the sink: see PendingOutputs.
func (j Job) Expect(v View, deliver []int64) Expectation {
	j = j.withDefaults()
	states := map[string]*Entry{}
	for _, e := range v.Keyed {
		e = clone(e)
		e.Subtask = 0
		states[e.Key] = &e
	}
	var out []string
	deliver = slices.Clone(deliver)
	slices.Sort(deliver)
	for id := int64(0); id < j.Records; id++ {
		from, held := v.Positions[j.split(id)]
		fresh := held && id >= from && id < j.limit(j.split(id))
		if _, again := slices.BinarySearch(deliver, id); fresh || again {
			out = append(out, j.record(states, id))
		}
	}
	for key, e := range states {
		for _, t := range e.Timers {
			out = append(out, fmt.Sprintf("t %s %d %d", key, t, e.Count))
			if j.has("words") {
				add(&e.Words, "fired", 1)
			}
		}
		e.Timers = nil
	}
	sort.Strings(out)
	return Expectation{Outputs: out, Final: sorted(states)}
}

func clone(e Entry) Entry {
	raw, err := json.Marshal(e)
	if err != nil {
		panic(err) // an Entry has nothing that does not marshal
	}
	var c Entry
	if err := json.Unmarshal(raw, &c); err != nil {
		panic(err)
	}
	return c
}

func add(m *map[string]int64, key string, n int64) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[key] += n
}

func sorted(states map[string]*Entry) []Entry {
	all := make([]Entry, 0, len(states))
	for _, e := range states {
		// A key of which nothing is stored is not there.
		if e.Count != 0 || e.IDs != nil || e.Words != nil || e.Sum != 0 || e.Values != nil || e.ProcTimers != nil {
			all = append(all, *e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// record applies one record and returns its output.
func (j Job) record(states map[string]*Entry, id int64) string {
	key := j.Key(id)
	e := states[key]
	if e == nil {
		e = &Entry{Key: key}
		states[key] = e
	}
	if j.has("count") {
		e.Count++
	}
	if j.has("ids") {
		e.IDs = append(e.IDs, id)
	}
	if j.has("words") {
		add(&e.Words, fmt.Sprint("w", id%3), id)
	}
	if j.has("sum") {
		e.Sum += id
	}
	if j.has("mean") {
		e.Mean = mean(e.IDs)
	}
	j.values(e, id)
	if j.has("timers") && id%3 == 0 {
		e.Timers = insert(e.Timers, timerBase+id)
	}
	if j.has("proc-timers") && id%4 == 0 {
		e.ProcTimers = insert(e.ProcTimers, procTimerBase+id)
	}
	return fmt.Sprintf("r %s %d %d", key, id, e.Count)
}

// mean is the integral mean of the ids: a job with "mean" needs "ids" to be foretold.
func mean(ids []int64) int64 {
	if len(ids) == 0 {
		return 0
	}
	var sum int64
	for _, id := range ids {
		sum += id
	}
	return sum / int64(len(ids))
}

func insert(times []int64, t int64) []int64 {
	i, there := slices.BinarySearch(times, t)
	if there {
		return times
	}
	return slices.Insert(times, i, t)
}

// values writes the structured states as the Java side prints them.
func (j Job) values(e *Entry, id int64) {
	set := func(state, text string) {
		if e.Values == nil {
			e.Values = map[string]string{}
		}
		e.Values[state] = text
	}
	null := id%4 == 0
	orNull := func(text string) string {
		if null {
			return "null"
		}
		return text
	}
	if j.has("ttl") {
		set("ttl", strconv.FormatInt(id, 10))
		set("ttl-map", ttlMap(e.Values["ttl-map"], id))
	}
	if j.has("pojo") {
		colour := []string{"RED", "GREEN", "BLUE"}[id%3]
		set("pojo", fmt.Sprintf("%d text-%d %s %s %s %d,%d", id, id, double(id, 2), orNull(fmt.Sprint(id*3)), colour, int8(id), int8(-id))) //nolint:gosec // narrowed as in Java
	}
	if j.has("row") {
		set("row", fmt.Sprintf("%d %s %s", id, orNull(fmt.Sprint("n", id)), double(id, 4)))
	}
	if j.has("tuple") {
		set("tuple", fmt.Sprintf("t%d %d %t", id, -id, id%2 == 0))
	}
	if j.has("avro") {
		set("avro", fmt.Sprintf("%d %s %d,%d", id, orNull(fmt.Sprint("a", id)), id, -id))
	}
}

// ttlMap adds one entry to a printed Java map of at most five one-digit keys.
func ttlMap(text string, id int64) string {
	m := map[string]string{}
	for _, kv := range strings.Split(strings.Trim(text, "{}"), ", ") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	m[fmt.Sprint(id%5)] = fmt.Sprint("t", id)
	var all []string
	for k, v := range m {
		all = append(all, k+"="+v)
	}
	sort.Strings(all)
	return "{" + strings.Join(all, ", ") + "}"
}

// double prints n/d as Java does, for what is small and has few digits.
func double(n, d int64) string {
	s := strconv.FormatFloat(float64(n)/float64(d), 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Flight is a record between the source and the keyed operator.
type Flight struct {
	ID   int64  `json:"id"`
	Key  string `json:"key"`
	From int    `json:"from"` // subtask of the source; -1 if its split is finished
}

// InFlight returns the records that the sources of v had emitted and the keyed
// operator had not processed, by id. The job must have the state "ids".
func (j Job) InFlight(v View) []Flight {
	j = j.withDefaults()
	done := map[int64]bool{}
	for _, e := range v.Keyed {
		for _, id := range e.IDs {
			done[id] = true
		}
	}
	var all []Flight
	for id := int64(0); id < j.Records; id++ {
		s := j.split(id)
		next, held := v.Positions[s]
		if !held {
			next = j.limit(s)
		}
		if id >= next || id >= j.limit(s) || done[id] {
			continue
		}
		f := Flight{ID: id, Key: j.Key(id), From: -1}
		if held {
			f.From = v.Readers[s]
		}
		all = append(all, f)
	}
	return all
}

// IDs returns the ids of the records.
func IDs(flights []Flight) []int64 {
	ids := make([]int64, len(flights))
	for i, f := range flights {
		ids[i] = f.ID
	}
	return ids
}

// PendingOutputs returns the lines that were in flight to the sink: emitted by
// the keyed operator for a record that is in its state, and not yet counted by a
// sink. An untouched checkpoint delivers them after the restore. The job must
// have the states "ids" and "count".
func (j Job) PendingOutputs(s Taken) []string {
	got := map[string]bool{}
	for _, line := range s.Outputs {
		got[line] = true
	}
	var all []string
	for _, e := range s.State.Keyed {
		for i, id := range e.IDs {
			if line := fmt.Sprintf("r %s %d %d", e.Key, id, i+1); !got[line] {
				all = append(all, line)
			}
		}
	}
	sort.Strings(all)
	return all
}

// Diff says how the keyed state got differs from want, whatever the subtasks; ""
// if it does not. At most ten keys are named.
func Diff(want, got []Entry) string {
	lines := func(entries []Entry) []string {
		var all []string
		for _, e := range entries {
			e.Subtask = 0
			raw, err := json.Marshal(e)
			if err != nil {
				panic(err) // as in clone
			}
			all = append(all, string(raw))
		}
		return all
	}
	return DiffLines(lines(want), lines(got))
}

// DiffLines says which lines are missing in got and which are there without being
// in want; "" if the two are equal as multisets. At most ten of each are named.
func DiffLines(want, got []string) string {
	n := map[string]int{}
	for _, l := range want {
		n[l]++
	}
	for _, l := range got {
		n[l]--
	}
	var missing, extra []string
	for l, c := range n {
		for ; c > 0; c-- {
			missing = append(missing, "missing "+l)
		}
		for ; c < 0; c++ {
			extra = append(extra, "extra   "+l)
		}
	}
	sort.Strings(missing)
	sort.Strings(extra)
	if len(missing)+len(extra) == 0 {
		return ""
	}
	head := fmt.Sprintf("%d missing, %d extra:", len(missing), len(extra))
	return strings.Join(append(append([]string{head}, missing[:min(10, len(missing))]...), extra[:min(10, len(extra))]...), "\n")
}
