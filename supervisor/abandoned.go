package supervisor

import (
	"errors"
	"slices"
)

// abandonments lists the children that were abandoned in one run of a supervisor and have not returned. Its owner's lock
// guards it.
type abandonments struct {
	supervisor string
	running    map[any]string // the ID of each, by its *life or *dynChild
	below      []string       // those that were abandoned below a child that has ended since
}

func newAbandonments(supervisor string) abandonments {
	return abandonments{supervisor: supervisor, running: make(map[any]string)}
}

// add notes that the child of that ID is abandoned, and returns the error to report.
func (a *abandonments) add(key any, id string) error {
	a.running[key] = id
	return &AbandonedError{Supervisor: a.supervisor, Children: []string{id}}
}

// returned notes that an abandoned child has returned after all; false: it was not abandoned.
func (a *abandonments) returned(key any) bool {
	_, ok := a.running[key]
	delete(a.running, key)
	return ok
}

// of returns an error that names those that were abandoned below the child of that ID, which was told to stop and has
// ended with reason; nil: nobody was. last says that the supervisor itself is stopping: then result names them, too.
func (a *abandonments) of(id string, reason error, last bool) error {
	below, ok := errors.AsType[*AbandonedError](reason)
	if !ok {
		return nil
	}
	e := &AbandonedError{Supervisor: a.supervisor}
	for _, child := range below.Children {
		e.Children = append(e.Children, id+"/"+child)
	}
	if last {
		a.below = append(a.below, e.Children...)
	}
	return e
}

// result is what Serve returns: err, joined with the names of those that were abandoned and still run. others names those
// without an ID.
func (a *abandonments) result(err error, others ...string) error {
	names := slices.Clone(a.below)
	for _, id := range a.running {
		names = append(names, id)
	}
	slices.Sort(names)
	names = append(names, others...)
	if len(names) == 0 {
		return err
	}
	e := &AbandonedError{Supervisor: a.supervisor, Children: names}
	if err == nil {
		return e
	}
	return errors.Join(err, e)
}
