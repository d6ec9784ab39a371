package proto

import (
	"strings"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
)

// The address of the process with the PID "number.boot@node" has the Address "troupe:boot@node" and the Id "number".
const scheme = "troupe:"

// PID is protoactor's address of a process, alive or dead, hosted or not. It is good in the ActorSystem of the System whose
// PID it was made of; in others, and for the zero PID, it is nobody, and what is sent to it a dead letter. The process may
// be one of another node that package cluster connects: a Watch of it gets AddressTerminated when that node is lost, and
// whoever asks it gets no answer after Config.CallTimeout.
//
// Whoever sends often keeps it: protoactor looks up a process once for each *protoactor.PID. Two for one process are Equal.
func PID(p actor.PID) *protoactor.PID {
	id, origin, _ := strings.Cut(p.String(), ".") // the zero PID has no origin
	return protoactor.NewPID(scheme+origin, id)
}

// ActorPID is the way back from [PID], for a PID that came by protoactor, such as the Who of a Terminated. ok is false when
// pid is no address of a process of Troupe's.
func ActorPID(sys *actor.System, pid *protoactor.PID) (p actor.PID, ok bool) {
	if pid == nil {
		return actor.PID{}, false
	}
	origin, ok := strings.CutPrefix(pid.Address, scheme)
	if !ok {
		return entryPID(sys, pid.Id)
	}
	id, _, _ := strings.Cut(pid.Id, "?") // of the Sender of a Request
	p, err := sys.ParsePID(id + "." + origin)
	return p, err == nil
}

// entryPID is ActorPID for a process's entry in the registry, whose Id is "troupe:boot@node/number". Receiver middleware
// meets it as Self.
func entryPID(sys *actor.System, entry string) (p actor.PID, ok bool) {
	origin, id, ok := strings.Cut(entry, "/")
	if !ok || !strings.HasPrefix(origin, scheme) {
		return actor.PID{}, false
	}
	p, err := sys.ParsePID(id + "." + strings.TrimPrefix(origin, scheme))
	return p, err == nil
}

// text names an actor of protoactor in errors and labels.
func text(pid *protoactor.PID) string { return pid.GetAddress() + "/" + pid.GetId() }
