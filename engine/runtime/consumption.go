package runtime

// consumption stands between tasks and their input, so that a test can record in
// which order frames of several channels are taken, and make another run take
// them in that order: what a record sees of event time is a function of it (R3,
// promise W1). Without one, nil, a task asks for it once per buffer or event.
type consumption interface {
	// reader takes the place of what decodes a gate's buffers.
	reader(g *gateInput, r Receiver) Receiver
	// step may take the place of the input's next step.
	step(in *input) (handled bool, err error)
	// snapshot is called when a task's state for a checkpoint is captured.
	snapshot(t *Task, id uint64)
}
