package history

import (
	"math"
	"slices"
)

// Distribution describes numbers as Flink's summaries do; all 0 if there are
// none. Percentiles are interpolated between neighbours, at p·(n+1)/100.
type Distribution[T ~int64 | ~uint64] struct {
	Min  T `json:"min"`
	Max  T `json:"max"`
	Avg  T `json:"avg"`
	P50  T `json:"p50"`
	P90  T `json:"p90"`
	P95  T `json:"p95"`
	P99  T `json:"p99"`
	P999 T `json:"p999"`
}

// Distribute describes values, which it sorts; nil if there are none.
func Distribute[T ~int64 | ~uint64](values []T) *Distribution[T] {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	return &Distribution[T]{
		Min: values[0], Max: values[len(values)-1], Avg: bounded[T](sum / float64(len(values))),
		P50: percentile(values, 50), P90: percentile(values, 90), P95: percentile(values, 95),
		P99: percentile(values, 99), P999: percentile(values, 99.9),
	}
}

// percentile of values that are sorted, of which there is one at least.
func percentile[T ~int64 | ~uint64](values []T, p float64) T {
	pos := p * float64(len(values)+1) / 100
	switch below := math.Floor(pos); {
	case pos < 1:
		return values[0]
	case pos >= float64(len(values)):
		return values[len(values)-1]
	default:
		low, high := values[int(below)-1], values[int(below)]
		return low + bounded[T]((pos-below)*float64(high-low))
	}
}

// bounded rounds a number that may have grown beyond the largest by rounding.
func bounded[T ~int64 | ~uint64](v float64) T {
	const most = 1<<63 - 1024 // the largest that is both a float64 and an int64
	return T(uint64(min(max(math.Floor(v+0.5), 0), most)))
}

// Summary describes attempts, or the subtasks of a task. A distribution without
// values is nil.
type Summary struct {
	Checkpointed *Distribution[Count]  `json:"checkpointed_size"`
	State        *Distribution[Count]  `json:"state_size"`
	Duration     *Distribution[Millis] `json:"end_to_end_duration"`
	Processed    *Distribution[Count]  `json:"processed_data"`
	Persisted    *Distribution[Count]  `json:"persisted_data"`
	Alignment    *Distribution[Millis] `json:"alignment_duration"`
	StartDelay   *Distribution[Millis] `json:"start_delay"`
}

// Summarise describes those of the attempts that were completed.
func Summarise(attempts []*Attempt) Summary {
	var checkpointed, state, processed, persisted []Count
	var duration, alignment, delay []Millis
	for _, a := range attempts {
		if a.Status != Completed {
			continue
		}
		checkpointed, state = append(checkpointed, a.Checkpointed), append(state, a.State)
		processed, persisted = append(processed, a.Processed), append(persisted, a.Persisted)
		duration = append(duration, a.Duration)
		alignment, delay = known(alignment, a.Alignment), known(delay, a.StartDelay)
	}
	return Summary{
		Checkpointed: Distribute(checkpointed), State: Distribute(state), Duration: Distribute(duration),
		Processed: Distribute(processed), Persisted: Distribute(persisted), Alignment: Distribute(alignment), StartDelay: Distribute(delay),
	}
}

// TaskSummary describes the subtasks of a task, nested as Flink's document is.
type TaskSummary struct {
	Checkpointed *Distribution[Count]  `json:"checkpointed_size"`
	State        *Distribution[Count]  `json:"state_size"`
	Duration     *Distribution[Millis] `json:"end_to_end_duration"`
	Phases       struct {
		Sync  *Distribution[Millis] `json:"sync"`
		Async *Distribution[Millis] `json:"async"`
	} `json:"checkpoint_duration"`
	Alignment struct {
		Processed *Distribution[Count]  `json:"processed"`
		Persisted *Distribution[Count]  `json:"persisted"`
		Duration  *Distribution[Millis] `json:"duration"`
	} `json:"alignment"`
	StartDelay    *Distribution[Millis] `json:"start_delay"`
	BufferSize    *Distribution[Count]  `json:"debloated_buffer_size"`
	TimeToConsume *Distribution[Millis] `json:"estimated_time_to_consume_buffers"`
	Busy          *Distribution[Millis] `json:"busy_time"`
	Backpressured *Distribution[Millis] `json:"backpressured_time"`
	Idle          *Distribution[Millis] `json:"idle_time"`
}

// Summary describes what is known of the subtasks, acknowledged or not.
func (t *Task) Summary() TaskSummary {
	counts := func(of func(*Subtask) *Count) *Distribution[Count] {
		var list []Count
		for i := range t.Subtasks {
			list = known(list, of(&t.Subtasks[i]))
		}
		return Distribute(list)
	}
	times := func(of func(*Subtask) *Millis) *Distribution[Millis] {
		var list []Millis
		for i := range t.Subtasks {
			list = known(list, of(&t.Subtasks[i]))
		}
		return Distribute(list)
	}
	var s TaskSummary
	s.Checkpointed = counts(func(s *Subtask) *Count { return s.Checkpointed })
	s.State = counts(func(s *Subtask) *Count { return s.State })
	s.Duration = times(func(s *Subtask) *Millis { return s.Duration })
	s.Phases.Sync = times(func(s *Subtask) *Millis { return s.Phases.Sync })
	s.Phases.Async = times(func(s *Subtask) *Millis { return s.Phases.Async })
	s.Alignment.Processed = counts(func(s *Subtask) *Count { return s.Alignment.Processed })
	s.Alignment.Persisted = counts(func(s *Subtask) *Count { return s.Alignment.Persisted })
	s.Alignment.Duration = times(func(s *Subtask) *Millis { return s.Alignment.Duration })
	s.StartDelay = times(func(s *Subtask) *Millis { return s.StartDelay })
	s.BufferSize = counts(func(s *Subtask) *Count { return s.BufferSize })
	s.TimeToConsume = times(func(s *Subtask) *Millis { return s.TimeToConsume })
	s.Busy = times(func(s *Subtask) *Millis { return &s.Busy })
	s.Backpressured = times(func(s *Subtask) *Millis { return &s.Backpressured })
	s.Idle = times(func(s *Subtask) *Millis { return &s.Idle })
	return s
}

func known[T any](list []T, v *T) []T {
	if v == nil {
		return list
	}
	return append(list, *v)
}
