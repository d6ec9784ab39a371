package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/day"
)

// tiny is a day of seconds, with a process for the chat and a real network, as every day.
func tiny(t *testing.T, bin string, seed uint64) day.Verdict {
	t.Helper()
	d := day.Day{
		Bin: bin, Dir: t.TempDir(), People: 20, Rooms: 2, Hour: 600 * time.Millisecond, Pace: 300 * time.Millisecond,
		Stop: 200 * time.Millisecond, Storms: 1, Back: time.Second, Limit: 15 * time.Second, Seed: seed, Out: t.Output(),
	}
	v, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDay(t *testing.T) {
	bin, err := buildChat(t.Context(), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	v := tiny(t, bin, 1)
	for promise, how := range v.Broken {
		t.Errorf("%s: %s", promise, how)
	}
}

// An edit is a fault: another text in one file of the chat.
type edit struct{ file, old, new string }

// maxDays is how many days may pass until a fault is seen: in one of so few people it may do no harm.
const maxDays = 5

// TestDay_findsFaults breaks the chat in ways that its users would notice, and wants the day to see each of them.
// Faults that let it go on to its end are in one chat.
func TestDay_findsFaults(t *testing.T) {
	const (
		all       = "\tr.chat.reg.Broadcast(members(r.name), websock.JSON(said))\n"
		newClient = "func newClient(c *Chat) *client {"
	)
	for _, tt := range []struct {
		name  string
		edits []edit
		want  []day.Promise
	}{
		{
			"messages come twice, to others, changed, and after later ones",
			[]edit{{"chat/room.go", all, `
	switch r.last % 40 {
	case 5:
		` + all + `
	case 15:
		r.chat.reg.Broadcast(everyone, websock.JSON(said))
	case 25:
		said.Text += "!"
	case 35:
		return
	case 36:
		defer func() {
			r.chat.reg.Broadcast(members(r.name), websock.JSON(r.history[len(r.history)-2]))
		}()
	}
` + all}},
			[]day.Promise{day.NothingDoubled, day.NothingMisdirected, day.NothingChanged, day.NothingReordered},
		},
		{
			"a goroutine and a buffer for each socket, no hint when to come back, unchecked text",
			[]edit{
				{"chat/client.go", newClient, `
var kept [][]byte

` + newClient + `
	go func() { select {} }()
	b := make([]byte, 1<<18)
	for i := range b {
		b[i] = 1
	}
	kept = append(kept, b)
`},
				{"main.go", "ComeBack: *comeBack", "ComeBack: *comeBack * 0"},
				{"main.go", "MaxSockets:     10_000,", "MaxSockets:     10_000, SkipUTF8Check: true,"},
			},
			[]day.Promise{day.GoroutinesBack, day.MemoryBack, day.RestartOrderly, day.GarbageAnswered},
		},
		{"a message is dropped", []edit{{"chat/room.go", all, "\tif r.last%20 == 0 {\n\t\treturn\n\t}\n" + all}}, []day.Promise{day.NothingLost}},
		{"whoever comes back misses a message", []edit{{"chat/room.go", "first = m.After + 1", "first = m.After + 2"}}, []day.Promise{day.NothingLost}},
		{
			"whoever goes to another room stays in the first",
			[]edit{{"chat/client.go", "c.chat.reg.Untrack(present(room), me, c.name)", "_ = 0"}}, []day.Promise{day.PresenceRight},
		},
		{
			"the list of rooms forgets those that have become empty",
			[]edit{{"chat/directory.go", "people > 0 || !d.all", "people > 0"}}, []day.Promise{day.RoomsRight},
		},
		{"a callback panics", []edit{{"chat/room.go", all, all + "\tif r.last == 30 {\n\t\tpanic(\"at the thirtieth\")\n\t}\n"}}, []day.Promise{day.NobodyClosed, day.NoCrash}},
		{"there are few places", []edit{{"main.go", "MaxSockets:     10_000", "MaxSockets:     15"}}, []day.Promise{day.NobodyRefused, day.NobodyStuck}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bin, found := broken(t, tt.edits), make(map[day.Promise]string)
			missing := tt.want
			for seed := uint64(1); len(missing) > 0 && seed <= maxDays; seed++ {
				maps.Copy(found, tiny(t, bin, seed).Broken)
				missing = slices.DeleteFunc(slices.Clone(tt.want), func(p day.Promise) bool { _, ok := found[p]; return ok })
			}
			if len(missing) > 0 {
				t.Errorf("%+v: in %d days the broken promises are %q, want %q, too", tt.edits, maxDays, found, missing)
			}
		})
	}
}

// broken builds the chat with faults.
func broken(t *testing.T, edits []edit) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{} // by path
	for i, e := range edits {
		path, err := filepath.Abs(filepath.Join("../../examples/chat", e.file))
		if err != nil {
			t.Fatal(err)
		}
		from := path
		if replace[path] != "" {
			from = replace[path]
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(source), e.old) != 1 {
			t.Fatalf("%s has changed: want this in it, once: %s", e.file, e.old)
		}
		replace[path] = filepath.Join(dir, fmt.Sprint(i, filepath.Base(e.file)))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(source), e.old, e.new, 1)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, overlay, 0o666); err != nil {
		t.Fatal(err)
	}
	bin, err := buildChat(t.Context(), dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}
