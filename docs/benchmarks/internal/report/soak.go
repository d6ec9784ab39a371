package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// SoakFile is where [Render] finds the soak, if there is one.
const SoakFile = "results/soak.json"

// A Soak is one long run of Troupe under clients that do all they can do.
type Soak struct {
	Began    time.Time     `json:"began"`
	For      time.Duration `json:"for_ns"`
	Clients  int           `json:"clients"`
	Config   string        `json:"config"`
	Machine  Machine       `json:"machine"`
	Samples  []SoakSample  `json:"samples"`
	Before   SoakSample    `json:"before"` // when the clients of a warm-up had left
	After    SoakSample    `json:"after"`  // when all had left
	Failed   uint64        `json:"failed"` // what the clients found wrong
	Failures []string      `json:"failures"`
}

// A SoakSample is a look at the server, after a garbage collection. Counts are since the beginning.
type SoakSample struct {
	At         time.Duration `json:"at_ns"`
	RSS        int64         `json:"rss_bytes"`
	Heap       uint64        `json:"heap_bytes"`
	Goroutines int           `json:"goroutines"`
	Sockets    int           `json:"sockets"`
	Asleep     int           `json:"asleep"`
	Echoes     uint64        `json:"echoes"`
	Deliveries uint64        `json:"deliveries"`
	Connects   uint64        `json:"connects"`
	Closes     uint64        `json:"closes"`
	Resets     uint64        `json:"resets"`
	HalfCloses uint64        `json:"half_closes"`
	Rejoins    uint64        `json:"rejoins"`
}

// A Check is one thing that a soak has to show.
type Check struct {
	Title, Got, Want string
	OK               bool
}

// The tolerances of a soak, from the second window to the last, and from before the clients to after them. Medians of
// equal load differ by what is asleep, and in what the pools hold, at the moment of the look; a leak of a goroutine or
// of a buffer at one connection in a hundred is more than that after ten minutes. Resident memory follows the heap late,
// for the collector gives back late.
const (
	heapGrowth, heapSlack           = 1.10, 1 << 20
	rssGrowth, rssSlack             = 1.15, 4 << 20
	goroutineGrowth, goroutineSlack = 1.10, 20
	afterSlack                      = 5 // goroutines, when nobody is there
)

// Checks returns the verdict.
func (s Soak) Checks() []Check {
	var checks []Check
	add := func(title string, got, limit float64, unit string) {
		checks = append(checks, Check{title, strings.TrimSpace(number(got) + " " + unit), strings.TrimSpace("at most " + number(limit) + " " + unit), got <= limit})
	}
	add("lost, doubled, reordered, or otherwise wrong", float64(s.Failed), 0, "")
	width := min(time.Minute, s.For/4)
	early, late := s.window(width, 2*width), s.window(s.For-width, s.For)
	if len(early) == 0 || len(late) == 0 {
		return append(checks, Check{Title: "samples in the second and in the last window", Got: "none", Want: "some"})
	}
	look := func(title, unit string, factor, slack, scale float64, f func(SoakSample) float64) {
		a, b := middle(early, f), middle(late, f)
		add(fmt.Sprintf("%s, last %v (second: %s)", title, width, number(a/scale)), b/scale, (a*factor+slack)/scale, unit)
	}
	look("heap in use", "MB", heapGrowth, heapSlack, 1e6, func(x SoakSample) float64 { return float64(x.Heap) })
	look("resident memory", "MB", rssGrowth, rssSlack, 1e6, func(x SoakSample) float64 { return float64(x.RSS) })
	look("goroutines", "", goroutineGrowth, goroutineSlack, 1, func(x SoakSample) float64 { return float64(x.Goroutines) })
	add("sockets when all have left", float64(s.After.Sockets), 0, "")
	add(fmt.Sprintf("goroutines when all have left (before: %d)", s.Before.Goroutines), float64(s.After.Goroutines),
		float64(s.Before.Goroutines+afterSlack), "")
	add(fmt.Sprintf("heap when all have left (before: %s MB)", number(float64(s.Before.Heap)/1e6)), float64(s.After.Heap)/1e6,
		(float64(s.Before.Heap)*heapGrowth+heapSlack)/1e6, "MB")
	asleep := middle(s.Samples, func(x SoakSample) float64 { return float64(x.Asleep) })
	awake := middle(s.Samples, func(x SoakSample) float64 { return float64(x.Sockets - x.Asleep) })
	return append(checks, Check{"sockets asleep and awake, median", number(asleep) + " and " + number(awake), "some of both", asleep > 0 && awake > 0})
}

// Passed tells whether all checks are met.
func (s Soak) Passed() bool {
	return !slices.ContainsFunc(s.Checks(), func(c Check) bool { return !c.OK })
}

// Table is the verdict in Markdown.
func (s Soak) Table() string {
	var p strings.Builder
	p.WriteString("| check | got | wanted | met |\n|---|---|---|---|\n")
	for _, c := range s.Checks() {
		fmt.Fprintf(&p, "| %s | %s | %s | %s |\n", c.Title, c.Got, c.Want, answer(c.OK))
	}
	return p.String()
}

func (s Soak) window(from, to time.Duration) []SoakSample {
	return slices.DeleteFunc(slices.Clone(s.Samples), func(x SoakSample) bool { return x.At < from || x.At > to })
}

func middle(samples []SoakSample, f func(SoakSample) float64) float64 {
	var all []float64
	for _, x := range samples {
		all = append(all, f(x))
	}
	m, _ := summarize(all)
	return m.Median
}

// Write writes the soak as JSON.
func (s Soak) Write(name string) error { return writeJSON(name, s) }

// section is the soak's part of the page.
func (s Soak) section(p *strings.Builder) {
	fmt.Fprintf(p, "\n## Soak\n\n%v with %d clients (%s), %s, commit %s. Each sample is taken after a garbage collection.\n\n",
		s.For, s.Clients, s.Config, s.Began.Format("2006-01-02 15:04 MST"), s.Machine.Commit)
	if n := len(s.Samples); n > 0 {
		x := s.Samples[n-1]
		fmt.Fprintf(p, "%s connects, %s clean closes, %s resets, %s half closes, %s times left and joined again, %s echoes, %s broadcast deliveries.\n\n",
			thousands(int64(x.Connects)), thousands(int64(x.Closes)), thousands(int64(x.Resets)), thousands(int64(x.HalfCloses)),
			thousands(int64(x.Rejoins)), thousands(int64(x.Echoes)), thousands(int64(x.Deliveries)))
	}
	p.WriteString("![Memory, goroutines and messages per second over time](charts/soak.svg)\n\n" + s.Table())
	for _, f := range s.Failures {
		fmt.Fprintf(p, "- %s\n", f)
	}
}

// chart is memory, goroutines and messages per second over time.
func (s Soak) chart() string {
	series := func(name string, f func(SoakSample) float64) Series {
		line := Series{Name: name}
		for _, x := range s.Samples {
			line.Points = append(line.Points, Point{x.At.Seconds(), f(x)})
		}
		return line
	}
	rate := func(name string, f func(SoakSample) uint64) Series {
		line := Series{Name: name}
		for i := 1; i < len(s.Samples); i++ {
			a, b := s.Samples[i-1], s.Samples[i]
			line.Points = append(line.Points, Point{b.At.Seconds(), float64(f(b)-f(a)) / (b.At - a.At).Seconds()})
		}
		return line
	}
	return Lines("Soak: memory, goroutines and messages per second over time", []Panel{
		{"memory, MB", []Series{
			series("resident", func(x SoakSample) float64 { return float64(x.RSS) / 1e6 }),
			series("heap", func(x SoakSample) float64 { return float64(x.Heap) / 1e6 }),
		}},
		{"count", []Series{
			series("sockets", func(x SoakSample) float64 { return float64(x.Sockets) }),
			series("goroutines", func(x SoakSample) float64 { return float64(x.Goroutines) }),
		}},
		{"per second", []Series{
			rate("deliveries", func(x SoakSample) uint64 { return x.Deliveries }),
			rate("echoes", func(x SoakSample) uint64 { return x.Echoes }),
		}},
	})
}
