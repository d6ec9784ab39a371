package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/troupe-dev/troupe/socket/observer"
)

// When the connection is lost the page says so, and why, and comes back by itself.
func TestConnection(t *testing.T) {
	p := start(t)
	p.dial(p.chat, "ann", "ann")
	b := browse(t)
	b.open(p, "sockets")
	p.down.Store(true)
	b.run(js(`connection.close()`))
	b.shows("#notice", "The server does not answer. What is shown is from")
	b.shows("#state", "not connected")
	b.shows("main", "ann") // what was known stays
	b.look("lost")
	p.down.Store(false)
	b.shows("#state", "live")
	b.until("no notice", `document.querySelector("#notice").hidden`)
	p.dial(p.chat, "bob", "bob")
	b.shows("main", "bob")

	p.access.Store(uint32(observer.None))
	b.run(js(`connection.close()`))
	b.shows("#notice", "this browser may not look (403)")
	p.access.Store(uint32(observer.View))
	b.shows("#state", "live")

	// The server ends each connection in its time: that is no news.
	b.run(js(`window.told = []; new MutationObserver(() => told.push(document.querySelector("#notice").hidden)).observe(document.querySelector("#notice"), {attributes: true})`),
		js(`window.old = connection; const close = connection.onclose; connection.onclose = e => close({code: 1012}); connection.close()`))
	b.until("live again", `connection !== old && document.querySelector("#state").innerText === "live"`)
	if n := b.number(`told.filter(hidden => !hidden).length`); n != 0 {
		t.Errorf("the page has told %d times that the connection was lost, want none for a restart that takes a second", n)
	}
}

// A pause holds what is shown, and what has come meanwhile is shown after it.
func TestPause(t *testing.T) {
	p := start(t)
	p.dial(p.chat, "ann", "ann")
	b := browse(t)
	b.open(p, "sockets")
	b.run(chromedp.Click("#pause"))
	b.shows("#state", "paused")
	p.dial(p.chat, "bob", "bob")
	b.until("two more snapshots", snapshots(3))
	if n := b.number(`document.querySelectorAll("tbody tr").length`); n != 1 {
		t.Errorf("while the page is paused it shows %d sockets, want the 1 of before", n)
	}
	b.run(chromedp.Click("#pause"))
	b.until("both", `document.querySelectorAll("tbody tr").length === 2`)
}

// snapshots is a condition: so many more have come since it was first looked at.
func snapshots(n int) string {
	return fmt.Sprintf(`(() => { if (!connection.counted) { connection.counted = 1; const on = connection.onmessage; connection.onmessage = e => { connection.counted++; on(e); }; }
		return connection.counted > %d * 2; })()`, n)
}

// A page that is left open keeps no more after an hour than after some minutes.
func TestHour(t *testing.T) {
	p := start(t)
	p.dial(p.chat, "ann", "ann")
	b := browse(t)
	b.open(p, "overview")
	b.until("a snapshot", `connection.onmessage && document.querySelector(".tile .value").innerText === "1"`)
	b.run(js(`fetch("api/v1/overview").then(r => r.json()).then(o => {
		window.real = connection.onmessage; connection.onmessage = () => {};
		window.hour = (from, to, step) => { for (let s = from; s < to; s += step) {
			const data = structuredClone(o);
			data.at = new Date(Date.parse(o.at) + s * 1000).toISOString();
			data.servers[0].opened += s * 10; data.servers[0].read.frames += s * (s % 7); data.servers[0].closed.remote += s; data.runtime.cpu_ms += s * 100;
			real({data: JSON.stringify({type: "snapshot", path: "overview", data})});
		} };
		hour(1, 400, 1);
	})`))
	const size = `(document.querySelectorAll("*").length + [...document.querySelectorAll("path")].reduce((n, p) => n + (p.getAttribute("d") ?? "").length, 0))`
	before := b.number(size)
	if n := b.number(`document.querySelector(".tile .line").getAttribute("d").split(/[ML]/).length - 1`); n < 290 || n > 330 {
		t.Errorf("a chart has %d points after 400 s, want the 300 or so of 5 minutes", n)
	}
	b.run(js(`hour(400, 4000, 10)`))
	if after := b.number(size); after > before+before/5 {
		t.Errorf("the page has %d elements and characters of charts after an hour, and had %d after some minutes; want no more", after, before)
	}
	b.shows(".tile:nth-child(2) .value", "10")
	b.until("the ends of 5 minutes", `/^remote\s3[01]\d\s3,990$/m.test(document.querySelector(".legend").innerText)`)
}
