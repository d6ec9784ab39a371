package browser

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// With 10,000 sockets and a tree of 200 the page opens, stays live, sorts and finds.
func TestMany(t *testing.T) {
	p := start(t)
	for i := range many - 1 {
		p.dial(p.chat, fmt.Sprintf("guest-%05d", i), fmt.Sprintf("user-%d.", i/3))
	}
	b := browse(t)
	b.open(p, "overview")
	b.until("the number of sockets", `document.querySelector(".tile .value").innerText.replace(",", "") === "`+fmt.Sprint(many-1)+`"`)
	p.dial(p.chat, "the last one", "ann")
	b.until("one more", `document.querySelector(".tile .value").innerText.replace(",", "") === "`+fmt.Sprint(many)+`"`)

	b.open(p, "sockets")
	b.shows("main .note", "The first 100 of "+number(many)+" sockets.")
	b.until("100 rows", `document.querySelectorAll("tbody tr").length === 100`)
	b.until("sorted by lag", `document.querySelector("[aria-sort=descending]").innerText === "Lag"`)
	b.run(chromedp.Focus(`th:nth-child(7) button`), enter)
	b.until("by age, the oldest first", `location.hash.includes("sort=age&order=desc") && document.querySelector("[aria-sort=descending]").innerText === "Age" &&
		document.querySelector("tbody a").innerText === "guest-00000"`)
	b.run(enter)
	b.until("the youngest first", `document.querySelector("[aria-sort=ascending]").innerText === "Age" && document.querySelector("tbody a").innerText === "the last one"`)
	b.until("the focus is where it was", `document.activeElement.innerText === "Age"`)

	b.run(press("/", "Slash", "/"), chromedp.KeyEvent("user-77."))
	b.until("those of one user", `document.querySelectorAll("tbody tr").length === 3 && document.querySelector("main .note").innerText === "3 that match, of `+number(many)+` sockets."`)
	b.until("the address says what is looked for", `location.hash.includes("q=user-77.")`)
	b.run(chromedp.Reload())
	b.until("and a page that is loaded anew, too", `document.querySelector("#find")?.value === "user-77." && document.querySelectorAll("tbody tr").length === 3`)

	b.open(p, "sockets?limit=1000&sort=age&order=asc")
	b.until("1,000 rows", `document.querySelectorAll("tbody tr").length === 1000`)
	p.dial(p.chat, "newcomer", "ann")
	b.until("a newcomer on top", `document.querySelector("tbody a").innerText === "newcomer" && document.querySelectorAll("tbody tr").length === 1000`)

	b.open(p, "tree")
	b.until("the nodes of the tree", `document.querySelectorAll("[role=treeitem]").length > 200`)
	room, ok := p.rooms.Whereis("room-07")
	if !ok {
		t.Fatal("room-07 is not there")
	}
	room.Send(errors.New("out of order"))
	b.until("a restart", `document.querySelector("[aria-label^='room-07 1 restart']")`)
}

// number is n as the page writes it.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// A list that is a sample says so.
func TestSample(t *testing.T) {
	p := start(t)
	b := browse(t)
	b.open(p, "sockets")
	b.run(js(`const show = connection.onmessage; connection.onmessage = () => {}; show({data: JSON.stringify({type: "snapshot", path: "sockets?limit=100",
		data: {at: new Date().toISOString(), of: 412000, looked: 200000, sampled: true, matched: 0, rows: []}})})`))
	b.shows("main .note.sampled", "A sample: 200,000 of 412,000 sockets were looked at. 0 that match.")
}
