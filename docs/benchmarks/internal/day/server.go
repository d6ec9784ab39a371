package day

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
)

// A server is one process of the chat.
type server struct {
	cmd    *exec.Cmd
	addr   string
	exited chan struct{} // the process is gone, and all of its output read
	status error         // then

	mu     sync.Mutex
	cycles int    // of the garbage collector
	heap   int    // in use after the last of them, MB
	panics []byte // from where standard error is no trace of the collector any more
	errors []string
}

// freeAddr returns an address on which the chat can listen again after a restart: its port is below those that the
// kernel gives to clients.
func freeAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", errors.New("day: no free port")
}

// start starts the chat and waits until it listens. Its standard output goes to log, too.
func start(bin, addr string, comeBack time.Duration, log io.Writer) (*server, error) {
	s := &server{cmd: exec.Command(bin, "-addr", addr, "-come-back", comeBack.String()), addr: addr, exited: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1", "GOTRACEBACK=all", "GOMAXPROCS=", "GOGC=", "GOMEMLIMIT=")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL} // a day that is killed leaves nothing
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	trace, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	listens := make(chan struct{})
	var output sync.WaitGroup
	output.Go(func() { s.readLog(out, log, listens) })
	output.Go(func() { s.readTrace(trace) })
	go func() {
		output.Wait()
		s.status = s.cmd.Wait()
		close(s.exited)
	}()
	select {
	case <-listens:
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("day: the chat does not start: %v: %s", s.status, s.crash())
	case <-time.After(patience):
		s.kill()
		return nil, errors.New("day: the chat does not listen")
	}
}

func (s *server) readLog(out io.Reader, log io.Writer, listens chan struct{}) {
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "chat: http://") {
			close(listens)
		}
		if strings.Contains(line, "level=ERROR") {
			s.mu.Lock()
			if len(s.errors) < 100 {
				s.errors = append(s.errors, strings.TrimSpace(line))
			}
			s.mu.Unlock()
		}
		io.WriteString(log, line)
		if err != nil {
			return
		}
	}
}

// collection is a line of GODEBUG=gctrace=1: the heap before and at the end of marking, and how much of it is in use.
var collection = regexp.MustCompile(`^gc \d+ @.* (\d+)->(\d+)->(\d+) MB, `)

func (s *server) readTrace(in io.Reader) {
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		s.mu.Lock()
		if m := collection.FindSubmatch(line); m != nil && len(s.panics) == 0 {
			s.cycles++
			s.heap, _ = strconv.Atoi(string(m[3])) // digits
		} else if len(s.panics) < 32<<20 {
			s.panics = append(s.panics, line...)
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// collected is the number of garbage collections so far, and the MB that were in use after the last one.
func (s *server) collected() (cycles, heap int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cycles, s.heap
}

// crash is the beginning of what a process wrote before it died.
func (s *server) crash() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.panics[:min(len(s.panics), 300)])
}

func (s *server) logged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errors
}

func (s *server) running() bool {
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// kill ends the process and waits for it.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// terminate sends SIGTERM and waits for an orderly end.
func (s *server) terminate(limit time.Duration) (time.Duration, error) {
	begun := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(limit):
		s.kill()
		return time.Since(begun), fmt.Errorf("it has not ended %v after SIGTERM", limit)
	}
	if s.status != nil {
		return time.Since(begun), fmt.Errorf("it has ended with %w: %s", s.status, s.crash())
	}
	return time.Since(begun), nil
}

// goroutines ends the process by SIGQUIT and counts the goroutines that it then writes.
func (s *server) goroutines() (n int, dump []byte, err error) {
	s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.kill()
		return 0, nil, errors.New("day: the chat does not end at SIGQUIT")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n = bytes.Count(s.panics, []byte("\ngoroutine ")) - bytes.Count(s.panics, []byte("\ngoroutine 0 "))
	if n <= 0 {
		return 0, nil, fmt.Errorf("day: no goroutines in %.200q", s.panics)
	}
	return n, s.panics, nil
}

// A look is what a process holds.
type look struct {
	heap        int   // MB in use after a garbage collection
	rss         int64 // bytes
	descriptors int
}

func (s *server) look() (l look, err error) {
	_, l.heap = s.collected()
	if l.rss, err = proc.RSS(s.cmd.Process.Pid); err != nil {
		return l, err
	}
	l.descriptors, err = proc.Descriptors(s.cmd.Process.Pid)
	return l, err
}

// pause stops the process by SIGSTOP, and lets it go on.
func (s *server) pause(d time.Duration) error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(d)
	return s.cmd.Process.Signal(syscall.SIGCONT)
}
