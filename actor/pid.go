package actor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unique"
)

// PID is the address of a process. It names a node, a boot of that node (64 random bits per System) and a number that
// is never used twice, so it outlives its process and never comes to mean another one.
//
// PIDs are comparable: two of one System are == exactly if they name the same incarnation, alive or dead. The zero PID
// is nobody: Send to it returns false. A PID is an address, not a capability: whoever knows it may send to it.
//
// All methods may be called from any goroutine, at any time.
type PID struct {
	sys    *System
	origin unique.Handle[origin]
	num    uint64
}

// origin is one boot of one node.
type origin struct {
	node string
	boot uint64
}

const nobody = "nobody"

// String is the PID as text, "number.boot@node", or "nobody" for the zero PID. [System.ParsePID] reads it.
func (p PID) String() string {
	if p == (PID{}) {
		return nobody
	}
	o := p.origin.Value()
	return localID(p.num, o.boot) + "@" + o.node
}

// localID is the part of a PID's text that is unique within a node.
func localID(num, boot uint64) string {
	b := make([]byte, 0, 40)
	b = strconv.AppendUint(b, num, 10)
	return string(appendBoot(append(b, '.'), boot))
}

func appendBoot(b []byte, boot uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[boot>>shift&15])
	}
	return b
}

// Node is the name of the node that p belongs to, its Config.Node; empty for the zero PID. It does not say whether p is
// alive, and two Systems may have the same name: see [System.Owns].
func (p PID) Node() string {
	if p == (PID{}) {
		return ""
	}
	return p.origin.Value().node
}

// Owns tells whether p is an address of this System: of this node and this boot of it, alive or dead. It is false for the
// zero PID, for one of another System, and for one from before a restart.
func (s *System) Owns(p PID) bool { return p.sys == s && p.origin == s.origin }

// MarshalText is String, for JSON and databases. There is no UnmarshalText, because a PID needs its System: keep the
// text and give it to [System.ParsePID]. Package cluster binds the PIDs in what other nodes send.
func (p PID) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// ParsePID reads what [PID.String] wrote. The only error is malformed text: the PID of a process that is dead, of an
// earlier boot is a good PID to which nothing can be sent, and so is that of another node while package cluster does not
// connect this System with it.
func (s *System) ParsePID(text string) (PID, error) {
	if text == nobody {
		return PID{}, nil
	}
	num, o, err := parsePID(text)
	if err != nil {
		return PID{}, fmt.Errorf("actor: malformed PID %q: %w", text, err)
	}
	return PID{sys: s, origin: unique.Make(o), num: num}, nil
}

// parsePID accepts exactly what String writes, so that text and PID correspond one to one.
func parsePID(text string) (uint64, origin, error) {
	id, node, ok := strings.Cut(text, "@")
	if !ok {
		return 0, origin{}, errors.New("no @")
	}
	if err := checkNode(node); err != nil {
		return 0, origin{}, err
	}
	n, b, ok := strings.Cut(id, ".")
	if !ok {
		return 0, origin{}, errors.New("no dot between number and boot")
	}
	num, err := strconv.ParseUint(n, 10, 64)
	if err != nil || num == 0 || n[0] < '1' || n[0] > '9' {
		return 0, origin{}, errors.New("the number is not a positive decimal")
	}
	boot, err := strconv.ParseUint(b, 16, 64)
	if err != nil || len(b) != 16 || strings.ToLower(b) != b || b[0] == '+' {
		return 0, origin{}, errors.New("the boot is not 16 lower case hex digits")
	}
	return num, origin{node: node, boot: boot}, nil
}

// checkNode tells whether a node name can stand in a PID's text.
func checkNode(node string) error {
	if node == "" || len(node) > 255 {
		return errors.New("the node name must have 1 to 255 bytes")
	}
	for i := 0; i < len(node); i++ {
		c := node[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-_.:[]", c) >= 0:
		default:
			return fmt.Errorf("byte %q in the node name; letters, digits and -_.:[] are allowed", c)
		}
	}
	return nil
}

// find returns the living process that p names, or nil.
func (p PID) find() *process {
	if p.sys == nil || p.origin != p.sys.origin {
		return nil
	}
	return p.sys.table.get(p.num)
}

// Send puts msg into the mailbox of p and never blocks. It returns false when there is no such process, when its end is
// decided (see [PID.Alive]), or when its mailbox is full (see SpawnOptions.MailboxLimit). True does not mean that msg
// will be handled, since the process may end before. Messages of one sender to one process keep their order. The
// message belongs to the receiver from now on.
//
// True from Send to another node says: handed to the link of a node that is up, within its window. It does not say that
// the process exists. False says: the node is not connected, the window is full, or the message cannot be encoded, which
// is logged once per type. In all three cases nothing was delivered.
func (p PID) Send(msg any) bool {
	if pr := p.find(); pr != nil {
		return pr.Send(msg)
	}
	if r := p.elsewhere(); r != nil && r.Send(p, msg) {
		return true
	}
	if p.sys != nil {
		p.sys.undelivered(p, msg)
	}
	return false
}

// Exit ends p with the given exit reason, as OTP's exit/2 does, but [ErrNormal] ends it, too. An Exit takes its place in the
// mailbox like a message of its sender; the first one decides, and no MailboxLimit refuses it. From then on the process
// takes no more messages: [PID.Send] returns false, and a [Call] gets ErrNoProcess. A reason that is [ErrKilled]
// overtakes everything: the process is dead when Exit returns, and its Terminate does not run.
//
// Exit never blocks; [Wait] waits for the end. The process has its shutdown time ([SpawnOptions].Shutdown) from this
// call on, then it is killed. Exit returns false when there is no such process, and panics on a nil reason.
//
// To a process of another node, true says that its node is connected: the Exit reaches it if the link lasts, in order with
// what was sent before, and no window refuses it. One with ErrKilled overtakes what waits at that node, not what is on its
// way there.
func (p PID) Exit(reason error) bool {
	if reason == nil {
		panic("actor: PID.Exit: nil reason; say ErrNormal")
	}
	if pr := p.find(); pr != nil {
		return pr.exit(reason)
	}
	r := p.elsewhere()
	return r != nil && r.Exit(p, reasonOf(reason))
}

// Alive tells whether p can still be sent to. It is false as soon as the end is decided: an Exit waits in the mailbox,
// the callback that stops has returned, the mailbox is over its limit, or a socket has lost its peer. What came before
// an Exit is still handled, and Terminate runs after that; until the [Down], [Monitor], [Wait], [Inspect] and
// [PID.Exit] reach the process.
//
// Alive of a process of another node says whether that node is connected, in that boot. It does not ask that node.
func (p PID) Alive() bool {
	if pr := p.find(); pr != nil {
		return pr.Alive()
	}
	r := p.elsewhere()
	return r != nil && r.Reachable(p)
}
