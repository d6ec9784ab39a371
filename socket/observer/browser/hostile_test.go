package browser

import (
	"errors"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// What strangers have written is text, wherever it is shown.
func TestHostile(t *testing.T) {
	const evil = `<img src=x onerror="hacked=1"><script>hacked=1</script>`
	long := strings.Repeat("long ", 200_000)
	p := start(t)
	ann := p.dial(p.chat, evil+"\x00\x1b[31m\u202e"+long, "%3Cb%3Eann%3C/b%3E%01%E2%80%AE")
	bob := p.dial(p.chat, "bob", "bob")
	pid := p.pid(evil + "\x00\x1b[31m\u202e" + long)
	me := p.pid("bob")
	for name, err := range map[string]error{
		"Register": p.reg.Register("name "+evil, me, nil), "Join": p.reg.Join(evil, me, evil), "Track": p.reg.Track("topic "+evil, me, evil, map[string]string{evil: long}),
		"Join by a name that is no text": p.reg.Join("a\x00b", me, nil),
	} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if _, err := p.rooms.Spawn(t.Context(), "room "+evil, p.sys, func() actor.Actor { return &room{} }, actor.SpawnOptions{}); err != nil {
		t.Fatal(err)
	}
	b := browse(t)
	for _, tt := range []struct{ view, shows string }{
		{"sockets", evil}, {"sockets", "<b>ann</b>"}, {"processes?q=room+" + evil[:4], "room " + evil}, {"tree", "room " + evil[:20]},
		{"groups", evil}, {"names", "name " + evil}, {"presence", "topic " + evil},
		{"group?name=" + escape(evil), `img src=x onerror`}, {"topic?name=" + escape("topic "+evil), evil}, {"process/" + pid.String(), evil},
	} {
		b.open(p, tt.view)
		b.until(tt.shows+" in "+tt.view, `document.querySelector("main").textContent.includes(`+quote(tt.shows)+`)`)
		b.harmless(tt.view)
	}
	b.open(p, "groups")
	b.until("a link to the group whose name is no text", `document.querySelector('main a[href="#/group?name=a%EF%BF%BDb&id=YQBi"]')`)
	b.open(p, "group?name=a%EF%BF%BDb&id=YQBi")
	b.until("its member", `document.querySelector("main").textContent.includes("1 member.")`)
	b.open(p, "sockets")
	b.look("hostile")

	// Its end, and what its peer says.
	ann.Send(websock.Text("x"))
	ann.Want(websock.Text("x"))
	pid.Send(errors.New("reason " + evil + "\x00" + long))
	bob.Close(4000, evil)
	b.open(p, "exits")
	b.shows("main", "reason "+evil)
	b.shows("main", "4000 "+evil)
	b.harmless("exits")
	b.open(p, "process/"+pid.String())
	b.shows("main .note", "It has ended at")
	b.harmless("a process that has ended")

	// An address that somebody was sent.
	for _, hash := range []string{"process/" + escape(evil), "sockets?q=" + escape(evil) + "&sort=" + escape(evil) + "&limit=" + escape(evil), "group?name=" + escape(evil+long[:3000]), "__proto__", "constructor/x", "%", "process/%"} {
		b.run(chromedp.Navigate(p.url + "#/" + hash))
		b.until("an answer", `document.querySelector("main h1") && !document.querySelector("main").innerText.includes("Looking …")`)
		b.harmless(hash)
	}
}

// harmless makes sure that no text of strangers has become an element, a script or a control character.
func (b *tab) harmless(where string) {
	b.t.Helper()
	if n := b.number(`document.querySelectorAll("main img, main script, main b:not(.frames b), main iframe").length + (window.hacked ? 1000 : 0)`); n != 0 {
		b.t.Errorf("%s: %d elements are there that a stranger has written", where, n)
	}
	if n := b.number(`(document.body.textContent.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g) ?? []).length`); n != 0 {
		b.t.Errorf("%s: %d control characters are in the page, want none", where, n)
	}
	if n := b.number(`document.body.textContent.length`); n > 300_000 {
		b.t.Errorf("%s: the page has %d characters of text: long ones were not cut", where, n)
	}
	if n := b.number(`document.documentElement.scrollWidth - innerWidth`); n > 0 {
		b.t.Errorf("%s: the page is %d pixels too wide", where, n)
	}
}
