package report

import (
	"fmt"
	"html"
	"strings"
)

// A Panel is one set of axes in a chart of lines.
type Panel struct {
	Axis   string
	Series []Series // at most two
}

// A Series is one line.
type Series struct {
	Name   string
	Points []Point
}

// A Point is a value at a time in seconds.
type Point struct{ X, Y float64 }

// Lines returns an SVG of panels below each other, with one time axis. Each begins at 0.
func Lines(title string, panels []Panel) string {
	const (
		width, left, right = 720, 70, 130
		tall, gap          = 110, 44
	)
	height := 10 + (tall+gap)*len(panels) + 14
	end := 1.0
	for _, p := range panels {
		for _, line := range p.Series {
			for _, at := range line.Points {
				end = max(end, at.X)
			}
		}
	}
	x := func(v float64) float64 { return left + v/end*(width-left-right) }
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&s, "<title id=\"t\">%s</title>\n<desc id=\"d\">", html.EscapeString(title))
	for _, p := range panels {
		for _, line := range p.Series {
			if n := len(line.Points); n > 0 {
				fmt.Fprintf(&s, "%s, %s: from %s to %s. ", html.EscapeString(p.Axis), html.EscapeString(line.Name),
					number(line.Points[0].Y), number(line.Points[n-1].Y))
			}
		}
	}
	s.WriteString("</desc>\n" + style + lineStyle)
	for i, p := range panels {
		top := 30 + i*(tall+gap)
		largest := 0.0
		for _, line := range p.Series {
			for _, at := range line.Points {
				largest = max(largest, at.Y)
			}
		}
		if largest == 0 {
			largest = 1
		}
		largest *= 1.05
		y := func(v float64) float64 { return float64(top+tall) - v/largest*tall }
		fmt.Fprintf(&s, `<text class="axis" x="%d" y="%d">%s</text>`+"\n", left, top-8, html.EscapeString(p.Axis))
		fmt.Fprintf(&s, `<path class="frame" d="M%d %dV%dH%d"/>`+"\n", left, top, top+tall, width-right)
		fmt.Fprintf(&s, `<text class="label" x="%d" y="%.1f">%s</text>`+"\n", left-8, y(largest/1.05)+5, number(largest/1.05))
		fmt.Fprintf(&s, `<text class="label" x="%d" y="%d">0</text>`+"\n", left-8, top+tall+5)
		taken := -100.0
		for j, line := range p.Series {
			if len(line.Points) == 0 {
				continue
			}
			class := [...]string{"line own-line", "line"}[j%2]
			fmt.Fprintf(&s, `<path class="%s" d="`, class)
			for k, at := range line.Points {
				fmt.Fprintf(&s, "%c%.1f %.1f", "ML"[min(k, 1)], x(at.X), y(at.Y))
			}
			s.WriteString("\"/>\n")
			last := line.Points[len(line.Points)-1]
			at := y(last.Y) + 5
			if d := at - taken; d < 16 && d > -16 {
				at = taken + 16
			}
			taken = at
			fmt.Fprintf(&s, `<text class="value" x="%.1f" y="%.1f">%s %s</text>`+"\n", x(last.X)+6, at, html.EscapeString(line.Name), number(last.Y))
		}
	}
	fmt.Fprintf(&s, `<text class="label" x="%d" y="%d">%s s</text>`+"\n", width-right, height-10, number(end))
	s.WriteString("</svg>\n")
	return s.String()
}

const lineStyle = `<style>
.line { fill: none; stroke: #59636e; stroke-width: 1.5 }
.own-line { stroke: #0969da; stroke-width: 2 }
.frame { fill: none; stroke: #8c959f }
@media (prefers-color-scheme: dark) {
	.line { stroke: #9198a1 }
	.own-line { stroke: #4493f8 }
}
</style>
`
