package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var program string // examples/chat, built

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "chat-browser")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "chat")
		build := exec.Command("go", "build", "-o", program, "./examples/chat")
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build ./examples/chat: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// server is one run of the program.
type server struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd
}

func start(t *testing.T, addr string) *server {
	t.Helper()
	return launch(t, program, "-addr", addr, "-come-back", "2s")
}

// launch starts a program that prints its address.
func launch(t *testing.T, program string, args ...string) *server {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the program has not printed its address: %v", err)
		}
		if _, rest, ok := strings.Cut(line, "http://"); ok && strings.Contains(rest, "(socket at") { // its numbers have another address
			addr, _, _ := strings.Cut(rest, "/")
			go io.Copy(io.Discard, lines)
			return &server{t, addr, cmd}
		}
	}
}

// stop ends it as a deploy does.
func (s *server) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the program after SIGTERM: %v, want exit status 0", err)
	}
}

func chromium(t *testing.T) string {
	t.Helper()
	names := []string{os.Getenv("CHROMIUM"), "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("no Chromium found: apt-get install chromium, or set CHROMIUM to its path (looked for %q)", names)
	return ""
}

// tab is one page. Tabs that were opened from another tab share its browser profile, and so are the same user.
type tab struct {
	t   *testing.T
	ctx context.Context
	end context.CancelFunc
}

// browse starts a browser with a profile of its own.
func browse(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(chromium(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		chromedp.Cancel(ctx) // waits until the browser has ended and its profile can be removed
		stop()
	})
	b := &tab{t, ctx, end}
	b.watch()
	return b
}

// open makes a further tab of the same user.
func (b *tab) open() *tab {
	b.t.Helper()
	ctx, end := chromedp.NewContext(b.ctx)
	other := &tab{b.t, ctx, end}
	other.watch()
	return other
}

// watch fails the test when a script of the page throws.
func (b *tab) watch() {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			b.t.Errorf("a script has thrown: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.EmulateViewport(1280, 800))
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits for a JavaScript condition.
func (b *tab) until(what, condition string) {
	b.t.Helper()
	err := chromedp.Do(b.ctx, chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(time.Minute)))
	if err != nil {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.t.Fatalf("waiting for %s (%s): %v\nThe page says:\n%s", what, condition, err, text)
	}
}

// shows waits until the element has this text in it.
func (b *tab) shows(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf(`document.querySelector(%q).innerText.includes(%q)`, selector, text))
}

// number evaluates a JavaScript expression.
func (b *tab) number(expression string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return n
}

// js runs JavaScript and waits for its promise, if it is one.
func js(code string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](code, chromedp.EvalAwaitPromise)
}

// enterKey is one event, as from a keyboard, so that the page can keep the line break out of the text.
var enterKey = chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13,
	})
	return err
})

// prefers makes the page see a system in light or dark mode.
func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

func (b *tab) join(addr, room, name string) {
	b.t.Helper()
	b.run(
		chromedp.Navigate("http://"+addr+"/#"+room),
		chromedp.SetValue("#name", name),
		chromedp.Click("#enter button"),
	)
	b.shows("#state", "connected")
}

func (b *tab) say(text string) {
	b.t.Helper()
	b.run(chromedp.SendKeys("#text", text), enterKey)
}

// look has axe look at the page, in each size and scheme, and takes a picture for people to look at. SCREENSHOTS names a
// directory to keep them in.
func (b *tab) look(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		dir = b.t.TempDir()
	}
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"phone", 390, 844}, {"laptop", 1280, 800}} {
		for _, scheme := range []string{"light", "dark"} {
			b.run(
				chromedp.EmulateViewport(size.width, size.height),
				prefers(scheme),
				js(`new Promise(r => requestAnimationFrame(() => setTimeout(r, 250)))`), // transitions
			)
			if wide := b.number(`document.documentElement.scrollWidth - innerWidth`); wide > 0 {
				b.t.Errorf("%s, %s: the page is %d pixels too wide", name, size.name, wide)
			}
			b.accessible(name + ", " + size.name + ", " + scheme)
			png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				b.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name+"-"+size.name+"-"+scheme+".png"), png, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.run(chromedp.EmulateViewport(1280, 800))
}

func TestChat(t *testing.T) {
	srv := start(t, "127.0.0.1:0")
	ann, bob := browse(t), browse(t)

	ann.run(chromedp.Navigate("http://" + srv.addr + "/"))
	ann.look("door")
	ann.join(srv.addr, "lobby", "Ann")
	ann.shows("#alone", "Nobody else is here yet.")
	ann.look("alone")
	ann.run(chromedp.Click("#copy"))
	ann.until("the link is copied, or said to be in the address bar", `document.querySelector("#copied").innerText`)
	bob.join(srv.addr, "lobby", "Bob")
	ann.shows("#people", "Bob")
	bob.shows("#people", "Ann")
	ann.shows("#log", "Bob has joined")
	ann.until("Ann is not told any more that she is alone", `document.querySelector("#alone").hidden`)

	ann.say("Hello Bob, are you there?")
	bob.shows("#log", "Hello Bob, are you there?")
	bob.say("Yes! <b>just</b> came in.")
	ann.shows("#log", "Yes! <b>just</b> came in.")
	bob.say("What are we going to build today?")
	ann.say("A chat in which nothing is shown twice. It keeps the last 200 messages of a room, and when a connection is lost " +
		"the page comes back by itself and asks for what it has missed.")
	ann.say("Sounds good?")
	bob.shows("#log", "Sounds good?")
	bob.say("It does.")
	ann.shows("#log", "It does.")

	// Several tabs of one user count once.
	second := bob.open()
	second.join(srv.addr, "lobby", "Bob")
	second.shows("#log", "It does.") // from the history
	carl := browse(t)
	carl.join(srv.addr, "lobby", "Carl")
	ann.shows("#log", "Carl has joined")
	if n := ann.number(`[...document.querySelectorAll("#people li")].filter(li => li.innerText === "Bob").length`); n != 1 {
		t.Errorf("Ann sees Bob, who has two tabs, %d times, want once", n)
	}
	ann.until("3 people", `document.querySelector("#count").innerText === "3 here"`)
	ann.look("chat")
	second.end()
	carl.end()
	ann.shows("#log", "Carl has left")
	if n := ann.number(`document.querySelector("#log").innerText.includes("Bob has left") ? 1 : 0`); n != 0 {
		t.Error("Bob has left for Ann, but only one of his tabs was closed")
	}

	// Another room.
	bob.run(chromedp.SetValue("#go input", "the attic"), chromedp.Click("#go button"))
	bob.shows("#title", "the-attic")
	ann.shows("#log", "Bob has left")
	ann.shows("#rooms", "the-attic")
	bob.run(js(`history.back()`))
	bob.shows("#log", "It does.")
	ann.until("Bob is back", `document.querySelector("#people").innerText.includes("Bob")`)

	// A restart.
	addr := srv.addr
	srv.stop()
	for _, b := range []*tab{ann, bob} {
		b.shows("#notice", "Trying again")
		b.until("no sending", `document.querySelector("#say button").disabled`)
	}
	ann.look("restart")
	srv = start(t, addr)
	for _, b := range []*tab{ann, bob} {
		b.shows("#state", "connected")
		b.until("no notice", `document.querySelector("#notice").hidden`)
	}
	ann.shows("#people", "Bob")
	ann.say("Here we are again.")
	bob.shows("#log", "Here we are again.")
	if n := bob.number(`[...document.querySelectorAll("#log .text")].filter(e => e.innerText === "It does.").length`); n != 1 {
		t.Errorf("Bob sees a message of before the restart %d times, want once", n)
	}

	// A message that the server has not confirmed is shown as such.
	if err := srv.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ann.say("said while the server stands still")
	ann.until("the message is not confirmed", `document.querySelector("#log li.pending")`)
	if err := srv.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ann.until("it is confirmed", `!document.querySelector("#log li.pending")`)
	bob.shows("#log", "said while the server stands still")
	ann.until("the text is gone from the field", `document.querySelector("#text").value === ""`)

	// The drawer of the phone.
	ann.run(chromedp.EmulateViewport(390, 844))
	ann.until("no drawer", `getComputedStyle(document.querySelector("#side")).visibility === "hidden"`)
	ann.run(chromedp.Click("#menu"))
	ann.until("the drawer", `getComputedStyle(document.querySelector("#side")).visibility === "visible"`)
	ann.until("focus in the drawer", `document.querySelector("#side").contains(document.activeElement)`)
	ann.look("drawer")
	ann.run(chromedp.EmulateViewport(390, 844), chromedp.KeyEvent("\u001b"))
	ann.until("Escape closes it", `getComputedStyle(document.querySelector("#side")).visibility === "hidden"`)

	// A name that is taken.
	carl = browse(t)
	carl.run(chromedp.Navigate("http://"+srv.addr+"/"), chromedp.SetValue("#name", "ann"), chromedp.Click("#enter button"))
	carl.shows("#refused", "Somebody else is called Ann")

	srv.stop()
}

// TestConnection looks at client.js alone: its WebSocket and its clock are made up.
func TestConnection(t *testing.T) {
	srv := start(t, "127.0.0.1:0")
	b := browse(t)
	b.run(chromedp.Navigate("http://" + srv.addr + "/"))
	b.run(js(`import("/client.js").then(m => { window.client = m })`))

	for _, tt := range []struct{ expression, want string }{
		{`[1000, 1001, 1002, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 3000, 3999, 4000, 4001, 4999].filter(client.comesBack)`,
			"[1001,1002,1005,1006,1009,1011,1012,1013,3000,3999]"},
		{`["retry-after=7", "deploy retry-after=12", "", "retry-after=x", "retry-after=3 please", "noretry-after=3", undefined].map(client.retryAfter)`,
			"[7000,12000,null,null,null,null,null]"},
		{`client.retryAfter("retry-after=999999999")`, "3600000"},
		{`[0, 1, 2, 5, 9, 5000].map(n => client.backoff(n, 500, 30000, () => 1))`, "[500,1000,2000,16000,30000,30000]"},
		{`client.backoff(3, 500, 30000, () => 0)`, "0"},
		{`(() => { for (let i = 0; i < 1000; i++) { const d = client.backoff(2, 500, 30000); if (d < 0 || d >= 2000) return d } return "in range" })()`,
			`"in range"`},
		// A life with a made-up socket, timers that are fired by hand, and the highest random number: what the page sees.
		{`(() => {
			const real = {WebSocket, setTimeout, clearTimeout, random: Math.random, now: Date.now};
			const sockets = [], timers = new Map(), seen = [];
			let id = 0, now = 0;
			window.WebSocket = class { static OPEN = 1; readyState = 0; sent = []; constructor(url) { this.url = String(url); sockets.push(this) }
				send(d) { this.sent.push(d) } close(code) { this.closed = code } };
			window.setTimeout = (f, d) => { timers.set(++id, {f, d}); return id };
			window.clearTimeout = t => timers.delete(t);
			Math.random = () => 1; Date.now = () => now;
			const fire = () => { const [[t, {f, d}]] = timers; timers.delete(t); f(); return d };
			const open = () => { const s = sockets.at(-1); s.readyState = 1; s.onopen() };
			const close = (code, reason = "") => { const s = sockets.at(-1); s.readyState = 3; s.onclose({code, reason}) };
			try {
				const c = new client.Connection("/ws");
				for (const e of ["connecting", "open", "waiting", "closed"])
					c.addEventListener(e, ev => seen.push(e + (ev.detail ? " " + (ev.detail.delay ?? "") + " " + ev.detail.code : "")));
				seen.push(c.send("too early"));
				c.open(); c.open();
				seen.push(sockets.length, sockets[0].url.startsWith("ws://"), c.send("too early"));
				open(); seen.push(c.send("now"), sockets[0].sent.length);
				close(1006); seen.push(c.send("too late")); fire();     // 500
				close(1006); fire();                                    // 1000: the attempt failed
				open(); close(1006); fire();                            // 2000: it did not last
				open(); now += 5000; close(1001, "retry-after=3"); seen.push(fire()); // the hint
				seen.push(fire());                                      // no answer: connectTimeout
				fire(); open(); close(4001, "elsewhere");               // the end
				seen.push(timers.size, sockets.length);
				c.open(); open(); c.close(); seen.push(sockets.at(-1).closed, timers.size, c.state);
			} finally {
				Object.assign(window, {WebSocket: real.WebSocket, setTimeout: real.setTimeout, clearTimeout: real.clearTimeout});
				Math.random = real.random; Date.now = real.now;
			}
			return seen;
		})()`, `[false,"connecting",1,true,false,"open",true,1,"waiting 500 1006",false,"connecting","waiting 1000 1006","connecting",` +
			`"open","waiting 2000 1006","connecting","open","waiting 3000 1001","connecting",3000,"waiting 1000 1006",10000,` +
			`"connecting","open","closed  4001",0,6,"connecting","open","closed  1000",1000,0,"closed"]`},
	} {
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("JSON.stringify("+tt.expression+")"))
		if err != nil || got != tt.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tt.expression, got, err, tt.want)
		}
	}
}
