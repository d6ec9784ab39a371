package browser

import (
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeFile is axe-core, which npm ci puts there.
const axeFile = "node_modules/axe-core/axe.min.js"

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

// accessible fails the test for each serious violation.
func (b *tab) accessible(what string) {
	b.t.Helper()
	for _, v := range b.violations(what) {
		b.t.Errorf("%s: %s (%s): %s\n%s\n%s", what, v.Rule, v.Impact, v.Help, v.Element, v.Why)
	}
}

// TestAxe makes sure that axe sees something: a page that is wrong in two ways.
func TestAxe(t *testing.T) {
	b := browse(t)
	b.run(chromedp.Navigate("about:blank"), js(`document.documentElement.lang = "en"; document.title = "wrong";
		document.body.innerHTML = "<main><h1>Heading</h1><p style='color:#bbb'>Hard to read</p><button></button><ul role=log><li>No list</li></ul></main>"`))
	rules := map[string]bool{}
	for _, v := range b.violations("a page that is wrong") {
		rules[v.Rule] = true
	}
	for _, want := range []string{"color-contrast", "button-name", "listitem"} {
		if !rules[want] {
			t.Errorf("axe does not find %s: got %v", want, rules)
		}
	}
}
