package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
)

// process is this program once more, which does what it is told on lines of JSON.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// patience is how long a command may take.
const patience = 3 * time.Minute

// start starts one, and reads what it says of itself.
func start(hello any, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "GOGC=100", "GODEBUG=")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if err := p.read(hello); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// stop ends it, and waits for it.
func (p *process) stop() {
	p.in.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// do has it carry out a command, and reads the answer.
func (p *process) do(c command, answer any) error {
	if err := json.NewEncoder(p.in).Encode(c); err != nil {
		return err
	}
	return p.read(answer)
}

func (p *process) read(answer any) error {
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("process %d says no more: %w", p.cmd.Process.Pid, err)
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(line, &failed); err == nil && failed.Error != "" {
		return fmt.Errorf("process %d: %s", p.cmd.Process.Pid, failed.Error)
	}
	return json.Unmarshal(line, answer)
}

func (p *process) cpu() (time.Duration, error) { return proc.CPU(p.cmd.Process.Pid) }

// command is what a process is told.
type command struct {
	Do     string        // serve, flood, call, look, and what member.do has
	To     string        // whom
	N      int           // how many
	Settle time.Duration // before a look, and before each of a crowd
	Who    []string      // the members of the group
	Every  int           // after how many messages they say so
	Ahead  int           // of them at most
}

// obey carries out the commands on in until its end.
func obey(in io.Reader, out io.Writer, do func(command) (any, error)) error {
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := commands.Decode(&c); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		v, err := do(c)
		if err != nil {
			v = map[string]string{"Error": err.Error()}
		}
		if err := answers.Encode(v); err != nil {
			return err
		}
	}
}
