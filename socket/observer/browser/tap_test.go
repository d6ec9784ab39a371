package browser

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// frames is what the tap shows, as "in text", "out text", the gaps as they are.
const frames = `[...document.querySelectorAll(".frames li")].map(li => li.matches(".gap") ? li.innerText : li.querySelector("b").innerText + " " + li.querySelector("code").innerText)`

// echoed has a client send texts, and waits for the answers.
func echoed(c *sockettest.Conn, from, to int) {
	for i := from; i < to; i++ {
		c.Send(websock.Text(fmt.Sprintf("number %d", i)))
		c.Want(websock.Text(fmt.Sprintf("number %d", i)))
	}
}

// tapped is echoed, so slowly that the server need not leave frames out.
func (b *tab) tapped(c *sockettest.Conn, from, to int) {
	b.t.Helper()
	const seen = `Number(document.querySelector(".tap .note").innerText.match(/([\d,]+) frames? seen/)[1].replace(",", ""))`
	for ; from < to; from += 100 {
		before, end := b.number(seen), min(from+100, to)
		echoed(c, from, end)
		b.until("the frames are seen", fmt.Sprintf(`%s === %d`, seen, before+2*(end-from)))
	}
}

// The tap shows frames in order, says where some are missing, holds still when asked to, and keeps the last ones only.
func TestTap(t *testing.T) {
	p := start(t)
	ann := p.dial(p.chat, "ann", "ann")
	pid := p.pid("ann").String()
	b := browse(t)
	b.open(p, "process/"+pid)
	b.run(chromedp.Click(".tap button:first-child"))
	b.shows(".tap .note", "0 frames seen.")

	echoed(ann, 0, 100)
	b.shows(".tap .note", "200 frames seen.")
	b.until("all of them, in order", frames+`.join("|") === Array.from({length: 100}, (_, i) => "in number " + i + "|out number " + i).join("|")`)
	b.shows(".process pre", `"said": 100`)

	ann.Send(websock.Text("<b>bold</b>\x00\u202e"), websock.Binary([]byte{0, 1, 0xfe, 'A'}))
	ann.Want(websock.Text("<b>bold</b>\x00\u202e"), websock.Binary([]byte{0, 1, 0xfe, 'A'}))
	b.until("a text as it is, bytes as such", frames+`.filter(f => f.startsWith("in ")).slice(-2).join("|").replace(/ +/g, " ") === "in <b>bold</b>\ufffd\ufffd|in 00 01 fe 41 ···A"`)
	b.harmless("the tap")
	b.run(chromedp.SetValue("#payload", "hex"), js(`document.querySelector("#payload").dispatchEvent(new Event("change"))`))
	b.until("a text as bytes", frames+`.at(-4).startsWith("in 3c 62 3e 62 6f 6c 64")`)
	b.run(chromedp.SetValue("#payload", "text"), js(`document.querySelector("#payload").dispatchEvent(new Event("change"))`))
	b.look("tap")

	// A megabyte.
	ann.Send(websock.Text(strings.Repeat("m", 1_000_000)))
	ann.Want(websock.Text(strings.Repeat("m", 1_000_000)))
	b.until("its beginning", frames+`.at(-1) === "out " + "m".repeat(512) + "\n… and 976 KiB more"`)
	ann.Send(websock.Binary(bytes.Repeat([]byte{0xff}, 1_000_000)))
	ann.Want(websock.Binary(bytes.Repeat([]byte{0xff}, 1_000_000)))
	b.until("its beginning, too", frames+`.at(-1).startsWith("out ff ff") && `+frames+`.at(-1).endsWith("more") && `+frames+`.at(-1).length < 4000`)

	// Pause.
	seen := b.number(frames + `.length`)
	b.run(chromedp.Click(".tap [aria-pressed]"))
	echoed(ann, 0, 50)
	b.shows(".tap .note", "Paused: 100 frames since then.")
	if n := b.number(frames + `.length`); n != seen {
		t.Errorf("while the tap is paused %d lines are shown, want the %d of before", n, seen)
	}
	b.run(chromedp.Click(".tap [aria-pressed]"))
	b.until("what was held", frames+`.slice(-100).join("|") === Array.from({length: 50}, (_, i) => "in number " + i + "|out number " + i).join("|")`)

	// The end of what is kept, in both states.
	b.tapped(ann, 0, 400)
	b.shows(".tap .note", "the last 500 are kept")
	b.until("the last 500", frames+`.length === 500 && `+frames+`.at(-1) === "out number 399"`)
	b.run(chromedp.Click(".tap [aria-pressed]"))
	b.tapped(ann, 400, 800)
	b.shows(".tap .note", "Paused: 800 frames since then.")
	b.run(chromedp.Click(".tap [aria-pressed]"))
	b.until("a gap, and the last ones", frames+`.length === 500 && `+frames+`.at(-1) === "out number 799"`)
	b.run(chromedp.Click(".tap button:nth-child(3)"))
	b.until("nothing", frames+`.length === 0`)

	// What the server has left out.
	b.run(js(fmt.Sprintf(`connection.onmessage({data: JSON.stringify({type: "frames", pid: %q, lost: 17, frames: [
		{at: "2026-01-01T00:00:00Z", direction: "in", opcode: "text", size: 1, text: "a"}, {at: "2026-01-01T00:00:01Z", direction: "in", opcode: "text", size: 1, text: "b\u0000\u001b\u202e", lost: 3}]})})`, pid)))
	b.until("two gaps", frames+`.join("|") === "17 frames left out here: this page was too slow.|in a|3 frames left out here: this page was too slow.|in b␀␛\ufffd"`)

	// The connection of the page is lost, and comes back: the tap goes on, and says so.
	b.run(js(`connection.close()`))
	b.until("live again", `document.querySelector("#state").innerText === "live" && connection.readyState === 1`)
	b.until("a gap", frames+`.at(-1) === "The connection was lost: frames are missing here."`)
	echoed(ann, 0, 1)
	b.until("further frames", frames+`.at(-1) === "out number 0"`)

	ann.Close(4000, "<i>bye</i>")
	b.until("the end", frames+`.slice(-3).join("|") === "in 4000 <i>bye</i>|out 4000|It has ended."`)
	b.shows("main .note", "It has ended at")
	b.until("what was recorded", `document.querySelectorAll("main > .process > section:last-child tbody tr").length > 10`)
	b.look("recorded")
}

// Where payloads are private, the tap shows sizes, and says why.
func TestTap_withoutPayload(t *testing.T) {
	p := start(t)
	c := p.dial(p.feed, "feed", "")
	b := browse(t)
	b.open(p, "process/"+p.pid("feed").String())
	b.run(chromedp.Click(".tap button:first-child"))
	b.shows(".tap .note", "0 frames seen.")
	echoed(c, 0, 3)
	b.shows(".tap .note", "6 frames seen. Payloads are not shown: see socket.Config.TapPayload.")
	b.until("sizes only", frames+`.join("|") === "in |out |in |out |in |out " && document.querySelector(".frames .size").innerText === "8 B"`)
	b.run(chromedp.Click(".tap button:first-child"))
	b.shows(".tap .note", "Stopped.")
	echoed(c, 0, 3)
	b.run(chromedp.Click(".tap button:first-child"))
	echoed(c, 0, 1)
	b.shows(".tap .note", "8 frames seen")
}
