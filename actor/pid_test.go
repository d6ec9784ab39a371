package actor_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/actor"
)

func TestPID_textRoundTrip(t *testing.T) {
	for _, node := range []string{"", "n", "eu-1.example.com:4000", "[::1]:80", strings.Repeat("x", 255)} {
		t.Run(node, func(t *testing.T) {
			sys, _ := newSystem(t, actor.Config{Node: node})
			pid := newInbox(t, sys, actor.SpawnOptions{}).pid
			got, err := sys.ParsePID(pid.String())
			if err != nil || got != pid {
				t.Errorf("ParsePID(%q) = %v, %v; want the same PID", pid, got, err)
			}
			if !got.Send("hi") || !got.Alive() {
				t.Errorf("the parsed PID %v does not reach its process", got)
			}
			text, err := json.Marshal(map[string]any{"pid": pid})
			if want := `{"pid":"` + pid.String() + `"}`; err != nil || string(text) != want {
				t.Errorf("json: %s, %v; want %s", text, err, want)
			}
		})
	}
}

func TestPID_isEqualExactlyForTheSameIncarnation(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	a := newInbox(t, sys, actor.SpawnOptions{}).pid
	b := newInbox(t, sys, actor.SpawnOptions{}).pid
	if a == b {
		t.Errorf("two processes share the PID %v", a)
	}
	text := a.String()
	a.Exit(actor.ErrKilled)
	again, err := sys.ParsePID(text)
	if err != nil || again != a {
		t.Errorf("ParsePID(%q) after its death = %v, %v; want the same PID", text, again, err)
	}
	byPID := map[actor.PID]string{a: "a", b: "b"}
	if got := byPID[again]; got != "a" {
		t.Errorf("as a map key the parsed PID finds %q, want %q", got, "a")
	}
}

func TestPID_Node(t *testing.T) {
	for _, node := range []string{"", "n", "[::1]:80"} {
		sys, _ := newSystem(t, actor.Config{Node: node})
		pid := newInbox(t, sys, actor.SpawnOptions{}).pid
		want := node
		if want == "" {
			want = "local"
		}
		if got := pid.Node(); got != want {
			t.Errorf("Node of %v = %q, want %q", pid, got, want)
		}
		pid.Exit(actor.ErrKilled)
		if got := pid.Node(); got != want {
			t.Errorf("Node of %v, which is dead, = %q, want %q", pid, got, want)
		}
	}
	sys, _ := newSystem(t, actor.Config{Node: "here"})
	if pid, err := sys.ParsePID("7.0123456789abcdef@there"); err != nil || pid.Node() != "there" {
		t.Errorf("Node of %v = %q, %v; want there", pid, pid.Node(), err)
	}
	if got := (actor.PID{}).Node(); got != "" {
		t.Errorf("Node of the zero PID = %q, want none", got)
	}
}

func TestSystem_Owns(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{Node: "n"})
	other, _ := newSystem(t, actor.Config{Node: "n"}) // as after a restart: another boot
	alive := newInbox(t, sys, actor.SpawnOptions{}).pid
	dead := newInbox(t, sys, actor.SpawnOptions{}).pid
	dead.Exit(actor.ErrKilled)
	parse := func(s *actor.System, p actor.PID) actor.PID {
		t.Helper()
		p, err := s.ParsePID(p.String())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	elsewhere, err := sys.ParsePID("7.0123456789abcdef@there")
	if err != nil {
		t.Fatal(err)
	}
	foreign := newInbox(t, other, actor.SpawnOptions{}).pid
	for _, tt := range []struct {
		name string
		pid  actor.PID
		want bool
	}{
		{"a living process", alive, true},
		{"a dead process", dead, true},
		{"its PID from text", parse(sys, dead), true},
		{"nobody", actor.PID{}, false},
		{"another System's", foreign, false},
		{"another System's, from text", parse(sys, foreign), false},
		{"ours, read by another System", parse(other, alive), false},
		{"another node's", elsewhere, false},
	} {
		if got := sys.Owns(tt.pid); got != tt.want {
			t.Errorf("%s: Owns(%v) = %t, want %t", tt.name, tt.pid, got, tt.want)
		}
	}
}

func TestPID_zeroIsNobody(t *testing.T) {
	var zero actor.PID
	sys, _ := newSystem(t, actor.Config{})
	if got := zero.String(); got != "nobody" {
		t.Errorf("String() = %q, want nobody", got)
	}
	if got, err := sys.ParsePID("nobody"); got != zero || err != nil {
		t.Errorf(`ParsePID("nobody") = %v, %v; want the zero PID`, got, err)
	}
	reachesNobody(t, zero)
}

// reachesNobody checks everything that takes a PID.
func reachesNobody(t *testing.T, pid actor.PID) {
	t.Helper()
	if pid.Send("hi") {
		t.Errorf("%v.Send = true", pid)
	}
	if pid.Alive() {
		t.Errorf("%v.Alive = true", pid)
	}
	if pid.Exit(actor.ErrNormal) || pid.Exit(actor.ErrKilled) {
		t.Errorf("%v.Exit = true", pid)
	}
	if _, err := actor.Call[any](context.Background(), pid, "hi"); !isNoProcess(err) {
		t.Errorf("Call to %v: %v, want ErrNoProcess", pid, err)
	}
	if reason, err := actor.Wait(context.Background(), pid); reason != nil || !isNoProcess(err) {
		t.Errorf("Wait for %v: %v, %v; want ErrNoProcess", pid, reason, err)
	}
	if info, err := actor.Inspect(pid); !isNoProcess(err) {
		t.Errorf("Inspect(%v): %+v, %v; want ErrNoProcess", pid, info, err)
	}
}

func TestPID_reachesNobodyElse(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{Node: "here"})
	other, _ := newSystem(t, actor.Config{Node: "here"}) // the same node, booted again
	foreign, _ := newSystem(t, actor.Config{Node: "there"})
	living := newInbox(t, sys, actor.SpawnOptions{}).pid
	dead := newInbox(t, sys, actor.SpawnOptions{}).pid
	dead.Exit(actor.ErrKilled)

	swap := func(old, new string) string { return strings.Replace(living.String(), old, new, 1) }
	boot := strings.SplitN(strings.TrimSuffix(living.String(), "@here"), ".", 2)[1]
	tests := []struct {
		name, text string
		by         *actor.System
	}{
		{"dead", dead.String(), sys},
		{"an earlier boot, number in use", swap(boot, "0123456789abcdef"), sys},
		{"another node, number and boot in use", swap("@here", "@there"), sys},
		{"another System of the same node", living.String(), other},
		{"another System of another node", living.String(), foreign},
		{"a number not yet given", swap("1.", "18446744073709551615."), sys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pid, err := tt.by.ParsePID(tt.text)
			if err != nil {
				t.Fatalf("ParsePID(%q): %v, want a good PID of nobody", tt.text, err)
			}
			if got := pid.String(); got != tt.text {
				t.Errorf("ParsePID(%q) prints as %q", tt.text, got)
			}
			reachesNobody(t, pid)
		})
	}
	if !living.Alive() {
		t.Errorf("%v was reached by the PID of another", living)
	}
}

var malformed = []string{
	"", "@", ".", "1", "nobody@here", "Nobody", " nobody",
	"1.0123456789abcdef", "1.0123456789abcdef@", "@here", ".0123456789abcdef@here",
	"0.0123456789abcdef@here", "01.0123456789abcdef@here", "+1.0123456789abcdef@here", "-1.0123456789abcdef@here",
	"1_0.0123456789abcdef@here", "0x1.0123456789abcdef@here", "18446744073709551616.0123456789abcdef@here",
	"1.0123456789ABCDEF@here", "1.123456789abcdef@here", "1.00123456789abcdef@here", "1.0x23456789abcdef@here",
	"1.+123456789abcdef@here", "1.0123_456789abcde@here", "1.0123456789abcdeg@here",
	"1.0123456789abcdef@he re", "1.0123456789abcdef@h@ere", "1.0123456789abcdef@höre", "1.0123456789abcdef@here\n",
	"1.0123456789abcdef@" + strings.Repeat("x", 256), "1@here", "1 .0123456789abcdef@here",
}

func TestSystem_ParsePID_refusesMalformedText(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	for _, text := range malformed {
		pid, err := sys.ParsePID(text)
		if err == nil || pid != (actor.PID{}) {
			t.Errorf("ParsePID(%q) = %v, %v; want an error", text, pid, err)
		}
	}
}

func TestNewSystem_refusesANodeThatCannotStandInAPID(t *testing.T) {
	for _, node := range []string{"a b", "a@b", "ä", "a\n", strings.Repeat("x", 256), "a/b"} {
		if _, err := actor.NewSystem(actor.Config{Node: node}); err == nil || !strings.Contains(err.Error(), "Config.Node") {
			t.Errorf("NewSystem(Node: %q): %v, want an error that names Config.Node", node, err)
		}
	}
}

func FuzzParsePID(f *testing.F) {
	sys, _ := newSystem(f, actor.Config{})
	living := newInbox(f, sys, actor.SpawnOptions{}).pid
	f.Add("nobody")
	f.Add(living.String())
	f.Add("18446744073709551615.ffffffffffffffff@[::1]:80")
	for _, text := range malformed {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pid, err := sys.ParsePID(text)
		if err != nil {
			if pid != (actor.PID{}) {
				t.Errorf("ParsePID(%q) = %v with error %v", text, pid, err)
			}
			return
		}
		if got := pid.String(); got != text {
			t.Errorf("ParsePID(%q) prints as %q", text, got)
		}
		if pid.Alive() && pid != living {
			t.Errorf("ParsePID(%q) is alive and is not %v", text, living)
		}
	})
}

func TestPID_numbersAreNeverUsedTwice(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	seen := make(map[actor.PID]bool)
	for range 1000 {
		pid := spawn(t, sys, receiveFunc(nil), actor.SpawnOptions{})
		if seen[pid] {
			t.Fatalf("%v was given twice", pid)
		}
		seen[pid] = true
		pid.Exit(actor.ErrKilled)
	}
}
