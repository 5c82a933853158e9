package runtime

import (
	"sync"
	"sync/atomic"
)

// mailbox holds what others want a subtask to do, in order of arrival, and
// wakes the subtask. Only the subtask's goroutine takes mails out, so mails run
// between two records, never during one.
type mailbox struct {
	mu     sync.Mutex
	mails  []func() error
	closed bool

	// pending is read once per record; it is true while mails wait.
	pending atomic.Bool
	// parked is true while the subtask sleeps or is about to.
	parked atomic.Bool
	wakeup chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wakeup: make(chan struct{}, 1)} }

// post adds a mail; it reports false if the subtask has ended.
func (m *mailbox) post(mail func() error) bool {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false
	}
	m.mails = append(m.mails, mail)
	m.pending.Store(true)
	m.mu.Unlock()
	m.wake()
	return true
}

// take removes all mails. The caller runs them.
func (m *mailbox) take() []func() error {
	if !m.pending.Load() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mails := m.mails
	m.mails = nil
	m.pending.Store(false)
	return mails
}

// close refuses further mails and returns those that wait.
func (m *mailbox) close() []func() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	mails := m.mails
	m.mails = nil
	return mails
}

// wake ends the subtask's sleep, or the next one if it is about to sleep. It is
// called for each buffer that arrives, so it costs one load when the subtask
// is awake.
func (m *mailbox) wake() {
	if m.parked.Load() && m.parked.CompareAndSwap(true, false) {
		select {
		case m.wakeup <- struct{}{}:
		default:
		}
	}
}
