package report

import (
	"fmt"
	"html"
	"strings"
)

// A Bar is one server in a chart.
type Bar struct {
	Label  string
	Value  Summary
	Accent bool
}

// Chart returns an SVG of horizontal bars. A thin line shows the spread, and title and text stand in it for those who
// do not see it. It has no background, and its colours follow the reader's theme.
func Chart(title, axis string, bars []Bar) string {
	const (
		width, left, right = 720, 120, 130
		row, top           = 28, 34
	)
	largest := 0.0
	for _, b := range bars {
		largest = max(largest, b.Value.Max)
	}
	if largest == 0 {
		largest = 1
	}
	x := func(v float64) float64 { return left + v/largest*(width-left-right) }
	height := top + row*len(bars) + 8
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&s, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s.", html.EscapeString(title), html.EscapeString(axis))
	for _, b := range bars {
		fmt.Fprintf(&s, " %s: %s.", html.EscapeString(b.Label), number(b.Value.Median))
	}
	s.WriteString("</desc>\n" + style)
	fmt.Fprintf(&s, `<text class="axis" x="%d" y="18">%s</text>`+"\n", left, html.EscapeString(axis))
	for i, b := range bars {
		y := top + i*row
		class := "bar"
		if b.Accent {
			class = "bar own"
		}
		fmt.Fprintf(&s, `<text class="label" x="%d" y="%d">%s</text>`+"\n", left-8, y+16, html.EscapeString(b.Label))
		fmt.Fprintf(&s, `<rect class="%s" x="%d" y="%d" width="%.1f" height="20" rx="2"/>`+"\n", class, left, y+1, x(b.Value.Median)-left)
		fmt.Fprintf(&s, `<path class="span" d="M%.1f %dH%.1f"/>`+"\n", x(b.Value.Min), y+11, x(b.Value.Max))
		fmt.Fprintf(&s, `<text class="value" x="%.1f" y="%d">%s</text>`+"\n", x(max(b.Value.Max, b.Value.Median))+8, y+16, number(b.Value.Median))
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// Both themes have a contrast of at least 4.5 for text and 3 for bars.
const style = `<style>
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.label { text-anchor: end }
.axis { fill: #59636e }
.bar { fill: #8c959f }
.own { fill: #0969da }
.span { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
	text { fill: #f0f6fc }
	.axis { fill: #9198a1 }
	.bar { fill: #656c76 }
	.own { fill: #4493f8 }
	.span { stroke: #f0f6fc }
}
</style>
`
