package browser

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// busy is a program on a node of four, with sockets of which some have ended, one is not read, and rooms of which one restarts.
func busy(t *testing.T) *program {
	t.Helper()
	c := clustertest.New(t, clustertest.Config{Nodes: 4, Seed: 1, Node: func(int, *actor.System) cluster.Config { return cluster.Config{} }})
	p := startOn(t, c.System(0), c.Node(0))
	p.access.Store(uint32(observer.Act))
	var all []*sockettest.Conn
	for i := range 60 {
		all = append(all, p.dial(p.chat, fmt.Sprintf("guest-%04d", i), fmt.Sprintf("user-%d@example.com", i%40)))
	}
	for i := range 5 {
		p.dial(p.feed, fmt.Sprintf("feed-%02d", i), "")
	}
	for i, c := range all {
		switch {
		case i < 40:
			echoed(c, 0, i%7+1)
		case i < 46:
			p.pid(fmt.Sprintf("guest-%04d", i)).Send(errors.New("the row is gone: users/17"))
		case i < 50:
			c.Close(1001, "")
		}
	}
	all[51].Pause(64)
	t.Cleanup(all[51].Resume)
	for range 5 {
		p.pid("guest-0051").Send(websock.Text("a price that nobody reads, again and again, and it is a long one, too"))
	}
	for range 3 {
		room, ok := p.rooms.Whereis("room-17")
		if ok {
			room.Send(errors.New("cannot read the state"))
		}
	}
	return p
}

// Each view, in both sizes and schemes.
func TestViews(t *testing.T) {
	p := busy(t)
	for _, tt := range []struct{ name, view, shows string }{
		{"overview", "overview", "Servers"}, {"tree", "tree", "shard-3"}, {"sockets", "sockets", "guest-0051"}, {"processes", "processes", "worker-0-00"},
		{"nodes", "nodes", "n3"}, {"exits", "exits", "the row is gone"}, {"drain", "drain", "feed"}, {"presence", "presence", "lobby"},
		{"process", "process/" + p.pid("guest-0003").String(), "user-3@example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := browse(t)
			b.open(p, tt.view)
			b.until(tt.shows+" in "+tt.view, `document.querySelector("main").textContent.includes(`+quote(tt.shows)+`)`)
			if tt.name == "overview" {
				b.until("charts", snapshots(8))
			}
			b.look(tt.name)
		})
	}
}

// All can be reached and done by the keyboard.
func TestKeyboard(t *testing.T) {
	p := start(t)
	b := browse(t)
	b.open(p, "tree")
	b.until("nodes", `document.querySelectorAll("[role=treeitem]").length > 200`)
	tab := press("Tab", "Tab", "")
	b.run(tab)
	b.until("the link that skips", `document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().top >= 0`)
	b.run(enter)
	b.until("the content has the focus", `document.activeElement.id === "main" && location.hash === "#/tree"`)
	for range 7 { // the filter and its five buttons, then the tree
		b.run(tab)
	}
	name := func(what, want string) {
		t.Helper()
		b.until(what, `document.activeElement.getAttribute("aria-label")?.startsWith(`+quote(want)+`)`)
	}
	name("the first node", "service")
	b.run(press("ArrowDown", "ArrowDown", ""))
	name("the one below", "rooms")
	b.run(press("ArrowLeft", "ArrowLeft", ""))
	b.until("it is folded", `document.activeElement.getAttribute("aria-expanded") === "false" && !document.querySelector("[aria-label^=room-]")`)
	name("it has the focus still", "rooms +30")
	b.run(press("ArrowRight", "ArrowRight", ""), press("ArrowRight", "ArrowRight", ""))
	name("its first child", "room-00")
	b.run(enter)
	b.shows(".about", "room-00")
	b.until("it is selected", `document.activeElement.getAttribute("aria-selected") === "true"`)
	b.run(press("End", "End", ""))
	name("the last node", "feed")
	b.until("which can be seen", `(r => r.top > 0 && r.bottom < innerHeight)(document.activeElement.getBoundingClientRect())`)
	b.run(press("/", "Slash", "/"), chromedp.KeyEvent("worker-3-1"), enter)
	b.until("what was found", `document.querySelector(".hit[aria-selected=true]").getAttribute("aria-label").startsWith("worker-3-10")`)

	for _, view := range []string{"Overview", "Tree", "Sockets", "Processes", "Registry", "Nodes", "Exits", "Drain"} {
		b.run(chromedp.Focus(`nav a:nth-child(`+fmt.Sprint(b.number(`[...document.querySelectorAll("nav a")].findIndex(a => a.innerText === "`+view+`") + 1`))+`)`), enter)
		b.until(view, `document.querySelector("nav [aria-current]").innerText === "`+view+`" && document.activeElement.matches("h1")`)
	}
}
