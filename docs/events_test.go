package docs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// The kinds of events as the source has them: a type with the method event, or a constant of type EventKind.
var (
	eventType = regexp.MustCompile(`(?m)^func \((\w+)\) event\(\)`)
	eventKind = regexp.MustCompile(`(?m)^\t(Event[A-Z]\w*)`)
)

// TestEvents: the table of metrics-and-events.md has each event that there is, with each of its fields, and no others.
func TestEvents(t *testing.T) {
	fields := map[string]reflect.Type{}
	for _, e := range []any{socket.Opened{}, socket.Closed{}, socket.Refused{}, socket.Overflowed{}, socket.SlowCallback{}, socket.Abandoned{},
		socket.Draining{}, actor.Ended{}, actor.Undelivered{}, actor.Abandoned{}} {
		fields[reflect.TypeOf(e).String()] = reflect.TypeOf(e)
	}
	want := map[string]reflect.Type{}
	for _, pkg := range []struct {
		dir    string
		find   *regexp.Regexp
		struc  reflect.Type // of all; nil: each has its own
		common []string     // what no row needs to say
	}{
		{"socket", eventType, nil, nil},
		{"actor", eventType, nil, nil},
		{"supervisor", eventKind, reflect.TypeFor[supervisor.Event](), []string{"Kind", "Time", "Supervisor"}},
		{"actor/cluster", eventKind, reflect.TypeFor[cluster.Event](), []string{"Kind"}},
	} {
		source, err := os.ReadFile(filepath.Join("..", pkg.dir, "event.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := pkg.find.FindAllStringSubmatch(string(source), -1)
		if len(found) < 3 {
			t.Errorf("%s/event.go: %d events found, want more: has their form changed?", pkg.dir, len(found))
		}
		for _, m := range found {
			name := filepath.Base(pkg.dir) + "." + m[1]
			if pkg.struc != nil {
				want[name] = pkg.struc
			} else if want[name] = fields[name]; want[name] == nil {
				t.Errorf("%s is an event; name it in this test", name)
			}
		}
	}
	page, err := os.ReadFile("reference/metrics-and-events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Events\n")
	rows := eventRows(section)
	for name, struc := range want {
		row, ok := rows[name]
		if !ok {
			t.Errorf("the table has no %s", name)
			continue
		}
		perKind := struc.Name() == "Event" // then a row names those that are set
		for _, f := range reflect.VisibleFields(struc) {
			if !perKind && len(f.Index) == 1 && !slices.Contains(row, f.Name) {
				t.Errorf("the row of %s does not have its field %s: %q", name, f.Name, row)
			}
		}
		for _, word := range row {
			if _, ok := struc.FieldByName(word); !ok {
				t.Errorf("the row of %s has %s, which is no field of it", name, word)
			}
		}
	}
	for name := range rows {
		if want[name] == nil {
			t.Errorf("the table has %s, which is no event", name)
		}
	}
}

var quoted = regexp.MustCompile("`([\\w.]+)`")

// eventRows are the fields that the third column of each row names, by event. A row of two events says the package once.
func eventRows(section string) map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		var names []string
		for _, m := range quoted.FindAllStringSubmatch(cells[3], -1) {
			names = append(names, m[1])
		}
		pkg := ""
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			name := m[1]
			if of, _, ok := strings.Cut(name, "."); ok {
				pkg = of
			} else {
				name = pkg + "." + name
			}
			rows[name] = names
		}
	}
	return rows
}
