package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

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

// watch fails the test when a script of the page throws, or does what the Content-Security-Policy forbids.
func (b *tab) watch() {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.t.Errorf("a script has thrown: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity {
				b.t.Errorf("the policy of the page forbids what it does: %s", e.Entry.Text)
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.EmulateViewport(1280, 800), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: keepConnection})
		return err
	}))
}

// keepConnection lets a test reach the live connection of the page: it is window.connection.
const keepConnection = `window.WebSocket = class extends WebSocket { constructor(url) { super(url); window.connection = this } }`

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
	b.until(fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf(`document.querySelector(%s)?.innerText.includes(%s)`, quote(selector), quote(text)))
}

// open goes to a view, and waits until it has been shown what there is.
func (b *tab) open(p *program, view string) {
	b.t.Helper()
	b.run(chromedp.Navigate(p.url + "#/" + view))
	b.until(view+", live", `document.querySelector("#state").innerText === "live" && document.querySelector("main h1") && !document.querySelector("main").hasAttribute("aria-busy")`)
}

// number evaluates a JavaScript expression.
func (b *tab) number(expression string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return n
}

// quote makes a JavaScript string of a text.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// escape is encodeURIComponent.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// js runs JavaScript and waits for its promise, if it is one.
func js(code string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](code, chromedp.EvalAwaitPromise)
}

// press is a key, as one event, so that the page can keep what it would type.
func press(key, code, text string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: input.DispatchKeyEventTypeKeyDown, Key: key, Code: code, Text: text, WindowsVirtualKeyCode: keyCodes[key],
		})
		return err
	})
}

var keyCodes = map[string]int64{"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Escape": 27}

var enter = press("Enter", "Enter", "\r")

// prefers makes the page see a system in light or dark mode.
func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// look has axe look at the page, once in each size and once in each scheme, and takes pictures for people to look at, in all
// four. SCREENSHOTS names a directory to keep them in.
func (b *tab) look(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	for _, v := range []struct {
		name          string
		width, height int64
		scheme        string
		axe           bool
	}{
		{"phone", 360, 780, "light", true}, {"phone", 360, 780, "dark", false}, {"laptop", 1280, 800, "dark", true}, {"laptop", 1280, 800, "light", false},
	} {
		if dir == "" && !v.axe {
			continue
		}
		b.run(chromedp.EmulateViewport(v.width, v.height), prefers(v.scheme), js(`new Promise(r => requestAnimationFrame(() => setTimeout(r, 250)))`)) // transitions
		if wide := b.number(`document.documentElement.scrollWidth - innerWidth`); wide > 0 {
			b.t.Errorf("%s, %s: the page is %d pixels too wide", name, v.name, wide)
		}
		if v.axe {
			b.accessible(name + ", " + v.name + ", " + v.scheme)
		}
		if dir == "" {
			continue
		}
		png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+v.name+"-"+v.scheme+".png"), png, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.run(chromedp.EmulateViewport(1280, 800), prefers("light"))
}

// axeFile is axe-core, which npm ci puts there, for the page of examples/chat.
const axeFile = "../../../examples/chat-browser/node_modules/axe-core/axe.min.js"

var axe = sync.OnceValues(func() (string, error) {
	source, err := os.ReadFile(axeFile)
	return string(source), err
})

// violation is what axe finds wrong with an element.
type violation struct {
	Rule, Impact, Help, Element, Why string
}

// violations has axe look at the page as it is now, and returns what is serious or critical for people who cannot see
// it, or not well.
func (b *tab) violations(what string) []violation {
	b.t.Helper()
	source, err := axe()
	if err != nil {
		b.t.Fatalf("%v: run npm ci in examples/chat-browser", err)
	}
	b.run(chromedp.Evaluate[chromedp.Void](source + "; null"))
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`axe.run().then(r => {
		if (r.passes.length < 10) throw new Error("axe has looked at " + r.passes.length + " rules only");
		return JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical").flatMap(v => v.nodes.map(n =>
			({Rule: v.id, Impact: v.impact, Help: v.help, Element: n.html, Why: n.failureSummary}))));
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: axe: %v", what, err)
	}
	var found []violation
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		b.t.Fatalf("%s: axe: %v in %s", what, err, text)
	}
	return found
}

// accessible fails the test for each serious violation: once for a rule.
func (b *tab) accessible(what string) {
	b.t.Helper()
	told := map[string]bool{}
	for _, v := range b.violations(what) {
		if !told[v.Rule] {
			b.t.Errorf("%s: %s (%s): %s\n%s\n%s", what, v.Rule, v.Impact, v.Help, v.Element, v.Why)
		}
		told[v.Rule] = true
	}
}
