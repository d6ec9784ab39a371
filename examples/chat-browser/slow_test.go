package browser

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// example builds a program of the examples and runs it.
func example(t *testing.T, name string, args ...string) *server {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", bin, "./examples/"+name)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./examples/%s: %v\n%s", name, err, out)
	}
	return launch(t, bin, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
}

// choose chooses from a select, as a user does.
func choose(selector, value string) chromedp.Action[chromedp.Void] {
	return js(fmt.Sprintf(`{ const s = document.querySelector(%q); s.value = %q; s.dispatchEvent(new Event("change")) }`, selector, value))
}

func TestStream(t *testing.T) {
	srv := example(t, "stream", "-rate", "20", "-tokens", "100000", "-answers", "2")
	b := browse(t)
	b.run(chromedp.Navigate("http://" + srv.addr + "/"))
	b.shows("#limits", "20 tokens a second, for 2 answers")
	b.look("stream-none")

	// Two at once, and no third.
	ask := func(prompt string) {
		t.Helper()
		b.until("room for an answer", `!document.querySelector("#go").disabled`)
		b.run(chromedp.SetValue("#prompt", prompt), chromedp.Click("#go"))
	}
	ask("Why does the river wait?")
	ask("Who is <b>bold</b>?")
	b.until("both answers come", `[...document.querySelectorAll("#answers li.running .text")].filter(p => p.innerText.length > 100).length === 2`)
	b.until("no room for a third", `document.querySelector("#go").disabled`)
	b.shows("#answers li:first-child h3", "<b>bold</b>")
	b.look("stream-two")

	// One is stopped, and the other goes on.
	b.run(chromedp.Click("#answers li:last-child button"))
	b.shows("#answers li:last-child .how", "stopped, ")
	length := b.number(`document.querySelector("#answers li.running .text").innerText.length`)
	b.until("the other goes on", fmt.Sprintf(`document.querySelector("#answers li.running .text").innerText.length > %d`, length))

	// A slow network: another socket, so what was under way is lost. The stop is heard, and all tokens before it have come.
	b.run(choose("#link", "500"))
	b.shows("#answers li:first-child .how", "lost with the connection")
	b.shows("#state", "connected")
	ask("Slowly, please.")
	ask("And another one.")
	b.until("both come", `[...document.querySelectorAll("#answers li.running .text")].filter(p => p.innerText.length > 60).length === 2`)
	b.run(js(`document.querySelectorAll("#answers li.running button").forEach(b => b.click())`))
	b.until("both are stopped", `document.querySelectorAll("#answers li.stopped").length === 3`)
	if n := b.number(`document.body.innerText.includes("of which") ? 1 : 0`); n != 0 {
		t.Error("tokens of a stopped answer are missing")
	}
	b.shows("#state", "connected")
	b.look("stream-stopped")
	srv.stop()
	b.shows("#state", "back in")
}

func TestPrices(t *testing.T) {
	srv := example(t, "prices", "-halt", "10s")
	fast, slow := browse(t), browse(t)
	fast.run(chromedp.Navigate("http://" + srv.addr + "/"))
	fast.shows("#state", "tab 1")
	slow.run(chromedp.Navigate("http://" + srv.addr + "/?link=1000"))
	slow.shows("#state", "tab 2, 1000 B/s")

	// The slow one gets prices of all symbols, though most are left out. The fast one sees that.
	number := func(id string) string { return `+document.querySelector("#` + id + `").innerText.replaceAll(",", "")` }
	slow.until("much is left out", number("gaps")+" > 300")
	slow.until("all prices have come", `[...document.querySelectorAll("#prices td:last-child")].every(td => td.innerText !== "0")`)
	fast.shows("#tabs", "tab 2, 1000 B/s")
	fast.shows("#tabs .mine", "tab 1 (this one)")
	slow.shows("#tabs .mine", "tab 2, 1000 B/s (this one)")
	if n := slow.number(`document.querySelectorAll("#prices tr").length`); n != 8 {
		t.Errorf("the slow tab shows %d prices, want 8", n)
	}
	fast.look("prices-fast")
	slow.look("prices-slow")

	// A halt: the slow one catches up and is told.
	slow.run(chromedp.Click("#halt"))
	for _, b := range []*tab{slow, fast} {
		b.shows("#halt", "The market is halted")
	}
	slow.shows("#notice", "messages were left out")
	slow.look("prices-caught-up")
	for _, b := range []*tab{slow, fast} {
		b.shows("#halt", "Halt the market")
	}
	srv.stop()
	fast.shows("#state", "back in")
}
