package main

import (
	"bufio"
	"encoding/binary"
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

// A server is the process of one peer, seen from the runner.
type server struct {
	peer    peer.Peer
	options peer.Options
	cmd     *exec.Cmd
	addr    string
	control net.Conn
	pending bool // the last command has not been answered
}

// start starts the server of p: this program once more or, where p is another, that program. It is alone on its core.
func start(p peer.Peer, o peer.Options) (*server, error) {
	cmd, err := command(p, o)
	if err != nil {
		return nil, err
	}
	return launch(cmd, p, o)
}

// launch starts the process of a server.
func launch(cmd *exec.Cmd, p peer.Peer, o peer.Options) (*server, error) {
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=100", "GODEBUG=")
	cmd.Stderr = os.Stderr
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
	s := &server{peer: p, options: o, cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		addr, control, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.addr = addr
		s.control, err = net.Dial("tcp", control)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%s does not start: %w", p.Name, err)
	}
	return s, nil
}

func command(p peer.Peer, o peer.Options) (*exec.Cmd, error) {
	if p.Command != nil {
		return p.Command(o)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return exec.Command(self, "serve", "-peer", p.Name, "-options", string(options)), nil
}

// stop ends the process and waits for it.
func (s *server) stop() {
	if s.control != nil {
		s.control.Close()
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *server) target() load.Target {
	return load.Target{
		Addr: s.addr, Raw: s.peer.Raw, Deflate: s.options.Deflate, TLS: s.options.TLS, Hello: s.peer.Hello, Wrapped: s.peer.Hello != "",
		CPU: func() (time.Duration, error) { return proc.CPU(s.cmd.Process.Pid) },
	}
}

// broadcast has the server send payload to all connections. It waits for the end of the last broadcast, but not of this one:
// the clients read meanwhile.
func (s *server) broadcast(payload []byte) error {
	b := binary.BigEndian.AppendUint32([]byte{cmdBroadcast}, uint32(len(payload)))
	if err := s.answer(); err != nil {
		return err
	}
	return s.command(append(b, payload...))
}

// memory returns the resident bytes that are in use.
func (s *server) memory() (int64, error) {
	if err := errors.Join(s.answer(), s.command([]byte{cmdCollect}), s.answer()); err != nil {
		return 0, err
	}
	return proc.RSS(s.cmd.Process.Pid)
}

// resident returns the resident bytes as they are.
func (s *server) resident() (int64, error) { return proc.RSS(s.cmd.Process.Pid) }

func (s *server) command(b []byte) error {
	s.control.SetDeadline(time.Now().Add(time.Minute))
	s.pending = true
	_, err := s.control.Write(b)
	return err
}

// answer waits until the last command is done.
func (s *server) answer() error {
	if !s.pending {
		return nil
	}
	s.pending = false
	_, err := io.ReadFull(s.control, make([]byte, 1))
	return err
}
