package browser

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/websock"
)

// Without the right to act there is nothing to act with, and the server refuses what a page sends all the same.
func TestActs_withoutRight(t *testing.T) {
	p := start(t)
	p.dial(p.chat, "ann", "ann")
	b := browse(t)
	pid := p.pid("ann").String()
	b.open(p, "process/"+pid)
	b.shows("#right", "view only, as ann")
	b.until("no form", `![...document.querySelectorAll("main form, .danger")].some(e => e.checkVisibility())`)
	b.open(p, "drain")
	b.until("no button", `![...document.querySelectorAll("main button")].some(e => e.checkVisibility())`)
	for _, path := range []string{"process/" + pid + "/kick", "process/" + pid + "/send", "drain"} {
		if got := b.number(fmt.Sprintf(`fetch("api/v1/%s", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}).then(r => r.status)`, path)); got != http.StatusForbidden {
			t.Errorf("POST %s without the right: got status %d, want 403", path, got)
		}
	}
	// A page that could act and may not any more: it says what the server says.
	p.access.Store(uint32(observer.Act))
	b.run(chromedp.Reload())
	b.open(p, "process/"+pid)
	b.shows("#right", "may act, as ann")
	p.access.Store(uint32(observer.View))
	b.run(chromedp.SetValue("#text", "hello"), chromedp.Click("form:has(#text) button"))
	b.shows("#said", "you may look, not act")
	if !p.pid("ann").Alive() {
		t.Error("the socket has ended, and nobody was allowed to end it")
	}
}

// Kick, send and drain do what they say, after a question.
func TestActs(t *testing.T) {
	p := start(t)
	p.access.Store(uint32(observer.Act))
	ann, bob, carl := p.dial(p.chat, "ann", "ann"), p.dial(p.chat, "bob", "bob"), p.dial(p.chat, "carl", "carl")
	for i := range 100 {
		p.dial(p.feed, fmt.Sprintf("feed-%d", i), "")
	}
	b := browse(t)
	b.open(p, "process/"+p.pid("ann").String())
	b.run(chromedp.SetValue("#text", "maintenance at <b>noon</b>"), chromedp.Click("form:has(#text) button"))
	ann.Want(websock.Text("maintenance at <b>noon</b>"))
	b.shows("#said", "The text was sent.")

	b.run(chromedp.SetValue("#code", "4003"), chromedp.SetValue("#reason", "not <i>welcome</i>"), chromedp.Click("form:has(#code) button"))
	b.shows("dialog", "Its client gets a Close frame with 4003 not <i>welcome</i>.")
	b.look("confirm")
	b.run(chromedp.Click(`dialog button[value=no]`))
	b.until("nothing asks", `!document.querySelector("dialog")`)
	if !p.pid("ann").Alive() {
		t.Fatal("the socket was kicked, though the question was answered with Cancel")
	}
	b.run(chromedp.Click("form:has(#code) button"), chromedp.Click(`dialog button[value=yes]`))
	ann.WantClose(4003, "not <i>welcome</i>")
	b.shows("main .note", "It has ended at")
	b.shows(".facts", "4003 not <i>welcome</i>")
	b.until("no acts on what has ended", `!document.querySelector(".acts").checkVisibility()`)
	b.look("ended")

	b.open(p, "process/"+p.pid("bob").String())
	b.run(chromedp.Click("#kill"), chromedp.Click("form:has(#code) button"))
	b.shows("dialog", "It ends at once")
	b.run(chromedp.Click(`dialog button[value=yes]`))
	bob.WantDropped()

	b.open(p, "drain")
	b.run(chromedp.Click(".drains section:nth-child(2) button"))
	b.shows("dialog", "Drain feed?")
	b.shows("dialog", "100 sockets will be closed")
	b.run(chromedp.Click(`dialog button[value=yes]`))
	b.shows(".drains section:nth-child(2)", "draining")
	b.shows(".drains section:nth-child(2)", "of 100")
	b.look("draining")
	b.until("the drain is over", `document.querySelector(".drains section:nth-child(2)").innerText.includes("100 of 100")`)
	if err := p.feed.Ready(); err == nil {
		t.Error("Ready of the server that was drained: got nil, want an error")
	}
	carl.Send(websock.Text("still here"))
	carl.Want(websock.Text("still here"))
}
