package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
)

// A slowServer is the server's process.
type slowServer struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	addr    string
	pending bool // the last command has not been answered
}

func startSlow(o peer.SlowOptions) (*slowServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve-slow", string(options))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=100", "GODEBUG=")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if core, none := strconv.Atoi(os.Getenv(serverCore)); none == nil {
		err = proc.Start(cmd, core)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	s := &slowServer{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the server does not start: %w", err)
	}
	s.addr = strings.TrimSpace(line)
	return s, nil
}

func (s *slowServer) stop() {
	s.in.Close()
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *slowServer) target() load.Target {
	return load.Target{Addr: s.addr, CPU: func() (time.Duration, error) { return proc.CPU(s.cmd.Process.Pid) }}
}

// begin sends a command, and does not wait for its end, but for that of the last one.
func (s *slowServer) begin(command string) error {
	if _, err := s.answer(); err != nil {
		return err
	}
	s.pending = true
	_, err := io.WriteString(s.in, command+"\n")
	return err
}

func (s *slowServer) answer() ([]byte, error) {
	if !s.pending {
		return nil, nil
	}
	s.pending = false
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the server has ended: %w", err)
	}
	return line, nil
}

func (s *slowServer) tell(command string) error {
	if err := s.begin(command); err != nil {
		return err
	}
	_, err := s.answer()
	return err
}

func (s *slowServer) state() (state peer.SlowState, err error) {
	if err := s.begin("state"); err != nil {
		return state, err
	}
	line, err := s.answer()
	if err != nil {
		return state, err
	}
	return state, json.Unmarshal(line, &state)
}

// joined waits until a broadcast reaches so many.
func (s *slowServer) joined(n int) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := s.state()
		if err != nil || state.Members == n {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("a broadcast reaches %d of %d", state.Members, n)
		}
	}
}

// serveSlow is the server's process. It runs until its input ends, and answers each line.
func serveSlow(args []string, in io.Reader, out io.Writer) error {
	var o peer.SlowOptions
	if len(args) != 1 {
		return errors.New("serve-slow: want the options in JSON")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	s, err := peer.ServeSlow(ln, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, ln.Addr())
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var answer any
		switch lines.Text() {
		case "cast":
			s.Cast()
		case "tick":
			s.Tick()
		case "halt":
			s.Halt()
		case "state":
			answer = s.State()
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}
