package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Server is a JVM with one version of Flink. Its methods may be called from
// several goroutines; requests run one after the other.
type Server struct {
	Flink string // the exact version, "1.20.3"

	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // one document each; closed when the JVM is gone
	stderr *tail
	seq    int64
	broken error // once set, no request is answered
}

// FlinkError is a failure inside Flink or the job.
type FlinkError struct {
	Trace string // the Java stack trace
}

// Error returns the causes, without the frames of the stack.
func (e *FlinkError) Error() string {
	var causes []string
	for _, l := range strings.Split(e.Trace, "\n") {
		if l != "" && !strings.HasPrefix(l, "\t") {
			causes = append(causes, l)
		}
	}
	return "flink: " + strings.Join(causes, "\n")
}

// New installs what the version needs (see install) and starts its JVM. Close ends
// it; so does the end of this process, however it ends.
func New(ctx context.Context, v Version) (*Server, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("oracle: Java 17 or newer: %w", ErrMissing)
	}
	path, err := install(ctx, v)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "flink-oracle-")
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	args := []string{
		"-Xmx700m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Djava.io.tmpdir=" + tmp,
		"--add-opens", "java.base/java.util=ALL-UNNAMED", "--add-opens", "java.base/java.lang=ALL-UNNAMED",
		"--add-opens", "java.base/java.time=ALL-UNNAMED",
		"-cp", path, "io.tidemark.oracle.Main",
	}
	s := &Server{cmd: exec.Command(java, args...), lines: make(chan string, 1), stderr: &tail{}}
	s.cmd.Stderr = s.stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	go s.read(out)
	var hello struct{ Flink string }
	if err := s.receive(ctx, &hello); err != nil {
		s.Close()
		return nil, err
	}
	s.Flink = hello.Flink
	return s, nil
}

func (s *Server) read(out io.Reader) {
	defer close(s.lines)
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		s.lines <- line
	}
}

// Close ends the JVM and waits for it.
func (s *Server) Close() {
	_ = s.in.Close()
	done := make(chan struct{})
	go func() {
		for range s.lines { //nolint:revive // let the reader end
		}
		_ = s.cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
	for _, a := range s.cmd.Args {
		if tmp, ok := strings.CutPrefix(a, "-Djava.io.tmpdir="); ok && filepath.IsAbs(tmp) {
			_ = os.RemoveAll(tmp)
		}
	}
}

// Run sends the request and waits for its report. A failure inside Flink is a
// *FlinkError; the server goes on. Whatever else goes wrong ends the server.
func (s *Server) Run(ctx context.Context, r Request) (*Report, error) {
	limit := 60 * time.Second
	if r.TimeoutMS > 0 {
		limit = time.Duration(r.TimeoutMS) * time.Millisecond
	}
	var report Report
	if err := s.ask(ctx, limit, r, &report); err != nil {
		return nil, err
	}
	return &report, nil
}

// ask sends a request, which is an object in JSON, and reads the answer to it.
func (s *Server) ask(ctx context.Context, limit time.Duration, request, answer any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	s.seq++
	raw, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	// The Java side gives up by itself and says why: this is for when it does not.
	ctx, cancel := context.WithTimeout(ctx, limit+40*time.Second)
	defer cancel()
	var (
		text json.RawMessage
		head struct {
			Seq   int64
			Error string
		}
	)
	_, err = fmt.Fprintf(s.in, "{\"seq\":%d,%s\n", s.seq, raw[1:])
	if err == nil {
		err = s.receive(ctx, &text)
	}
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err == nil && head.Seq != s.seq {
		err = fmt.Errorf("oracle: the answer to request %d came for %d", s.seq, head.Seq)
	}
	if err == nil && head.Error == "" {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		s.broken = fmt.Errorf("oracle: Flink %s stopped serving: %w\n%s", s.Flink, err, s.stderr)
		_ = s.cmd.Process.Kill()
		return s.broken
	}
	if head.Error != "" {
		return &FlinkError{Trace: head.Error}
	}
	return nil
}

func (s *Server) receive(ctx context.Context, v any) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("oracle: no answer: %w", ctx.Err())
	case line, ok := <-s.lines:
		if !ok {
			return errors.New("oracle: the JVM ended: " + s.stderr.String())
		}
		if err := json.Unmarshal([]byte(line), v); err != nil {
			return fmt.Errorf("oracle: %w", err)
		}
		return nil
	}
}

// tail keeps the last 64 KiB that were written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - 64<<10; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
