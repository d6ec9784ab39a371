package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Web addresses are links, and nothing else is.
func TestLinks(t *testing.T) {
	srv := start(t, "127.0.0.1:0")
	ann := browse(t)
	ann.join(srv.addr, "lobby", "Ann")
	for _, tt := range []struct {
		said string
		want string // the addresses that are links, as JSON
	}{
		{"see https://example.com/a?b=c#d.", `["https://example.com/a?b=c#d"]`},
		{"(http://example.com/a_(b)), HTTPS://EXAMPLE.COM!", `["http://example.com/a_(b)","https://example.com/"]`},
		{"javascript:alert(1) data:text/html,x //example.com www.example.com ftp://example.com", `[]`},
		{"https://bank.example@evil.example/ https://:x@evil.example", `[]`},
		{`https://example.com/"onclick="alert(1) <a href="https://example.com/x">y</a>`, `["https://example.com/","https://example.com/x"]`},
		{"https:// http://", `[]`},
	} {
		ann.say(tt.said)
		ann.until(tt.said, `!document.querySelector("#lines .pending") && document.querySelector("#lines li:last-child .text")?.innerText === `+quote(tt.said))
		const links = `JSON.stringify([...document.querySelectorAll("#lines li:last-child .text a")].map(a => a.href))`
		got, err := chromedp.Run(ann.ctx, chromedp.Evaluate[string](links))
		if err != nil || got != tt.want {
			t.Errorf("%q: got the links %s, %v; want %s", tt.said, got, err, tt.want)
		}
	}
	if n := ann.number(`[...document.querySelectorAll("#lines .text a")].filter(a => a.rel !== "noopener noreferrer nofollow ugc" || a.target !== "_blank").length`); n != 0 {
		t.Errorf("%d links tell the other page where they come from, or replace this one; want none", n)
	}
	ann.look("links")
}

// A message that was not sent keeps its position: after what was said before it, even if the page hears of that later, and
// before what was said after it. A visit to another room does not change that.
func TestUnsent(t *testing.T) {
	srv := start(t, "127.0.0.1:0")
	ann, bob := browse(t), browse(t)
	ann.join(srv.addr, "lobby", "Ann")
	ann.run(js(`{ const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function(d) { window.socket = this; if (!window.cut) send.call(this, d); }; null }`))
	bob.join(srv.addr, "lobby", "Bob")
	ann.shows("#log", "Bob has joined")
	ann.say("first")
	bob.shows("#log", "first")

	order := func(when string, want ...string) {
		t.Helper()
		ann.until(when, `[...document.querySelectorAll("#lines .text")].map(e => e.innerText).join() === "`+strings.Join(want, ",")+`"`)
	}
	ann.run(js(`window.cut = true; socket.onmessage = null`)) // the network is gone, and neither side knows it yet
	bob.say("before")
	bob.shows("#log", "before")
	ann.say("lost")
	order("Ann sees what she says", "first", "lost")
	bob.say("after")
	bob.shows("#log", "after")
	ann.run(js(`window.cut = false; socket.close(3000)`))
	order("Ann is back", "first", "before", "lost", "after")
	ann.shows("#lines .failed", "Not sent. Send again")
	ann.look("unsent")

	ann.run(chromedp.SetValue("#go input", "attic"), chromedp.Click("#go button"))
	ann.shows("#title", "attic")
	ann.until("Ann is in the attic", `document.querySelector("#count").innerText === "1 here"`)
	order("another room")
	ann.run(js(`history.back()`))
	order("Ann is in the lobby again", "first", "before", "lost", "after")

	ann.run(chromedp.Click("#lines .failed button"))
	order("sent again, it comes last", "first", "before", "after", "lost")
	bob.until("Bob gets it, once", `[...document.querySelectorAll("#lines .text")].filter(e => e.innerText === "lost").length === 1`)
	ann.until("nothing is pending", `!document.querySelector("#lines .pending, #lines .failed")`)
}

// The page says once that something may be missing, however often the server has crashed since the last message.
func TestGap(t *testing.T) {
	srv := start(t, "127.0.0.1:0")
	ann := browse(t)
	ann.join(srv.addr, "lobby", "Ann")
	ann.say("one")
	ann.until("it was said", `document.querySelector("#lines .message:not(.pending)")`)
	for range 2 {
		addr := srv.addr
		if err := srv.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = srv.cmd.Wait() // killed
		ann.shows("#state", "reconnecting")
		srv = start(t, addr)
		ann.shows("#state", "connected")
	}
	if n := ann.number(`document.querySelectorAll("#lines .gap").length`); n != 1 {
		t.Errorf("after two crashes without a message in between: got %d gap lines, want 1", n)
	}
	ann.say("two")
	ann.until("it was said", `document.querySelectorAll("#lines .message:not(.pending)").length === 2`)
	srv.stop()
}

func quote(s string) string { return "`" + strings.ReplaceAll(s, "`", "\\`") + "`" }
