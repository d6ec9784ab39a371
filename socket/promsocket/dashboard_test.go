package promsocket_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-dev/troupe/socket/promsocket"
)

const dashboard = "../../docs/how-to/grafana.json"

// metric is what Describe says of one.
type metric struct {
	name      string
	labels    []string
	histogram bool
}

var (
	descName   = regexp.MustCompile(`fqName: "(\w+)"`)
	descLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	word       = regexp.MustCompile(`\w+`)
)

// histograms are those metrics that are one, which Describe does not say.
var histograms = []string{
	"troupe_socket_duration_seconds", "troupe_socket_rtt_seconds", "troupe_callback_duration_seconds", "troupe_broadcast_duration_seconds",
	"troupe_broadcast_recipients",
}

// described are all metrics of a Collector.
func described() (all []metric) {
	descs := make(chan *prometheus.Desc, 100)
	new(promsocket.Collector).Describe(descs)
	close(descs)
	for d := range descs {
		name := descName.FindStringSubmatch(d.String())[1]
		all = append(all, metric{
			name:      name,
			labels:    word.FindAllString(descLabels.FindStringSubmatch(d.String())[1], -1),
			histogram: slices.Contains(histograms, name),
		})
	}
	return all
}

// panels are those of the dashboard, rows included.
type panels struct {
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ RefID, Expr, LegendFormat string }
	}
	Templating struct {
		List []struct{ Name, Query string }
	}
}

func readDashboard(t *testing.T) (p panels) {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%s: %v", dashboard, err)
	}
	return p
}

// grouping has labels, whose names look like those of series. seriesName is that of a series in what is left, and what stands in
// the braces after it.
var (
	grouping   = regexp.MustCompile(`\bby \(([^)]*)\)`)
	seriesName = regexp.MustCompile(`\b(troupe_(?:socket|callback|drain|process|message|supervisor|registry|broadcast|node|link)_\w+?)(_bucket|_count|_sum)?(?:\{([^}]*)\})?(?:[[),\s]|$)`)
)

// TestDashboard: it shows each metric of the collector, and none that is not there; nor a label that its metric has not.
func TestDashboard(t *testing.T) {
	p := readDashboard(t)
	byName := map[string]metric{}
	for _, m := range described() {
		byName[m.name] = m
	}
	shown := map[string]bool{}
	check := func(title, expr string) {
		found := seriesName.FindAllStringSubmatch(grouping.ReplaceAllString(expr, ""), -1)
		if len(found) == 0 {
			t.Errorf("%s: no series in %s", title, expr)
		}
		for _, f := range found {
			m, ok := byName[f[1]]
			if !ok {
				t.Errorf("%s: %s is no metric of the collector, in %s", title, f[1], expr)
				continue
			}
			shown[m.name] = true
			if m.histogram != (f[2] != "") {
				t.Errorf("%s: %s%s, in %s; only a histogram has _bucket, _count and _sum, and nothing else", title, f[1], f[2], expr)
			}
			for _, label := range labelsOf(expr, f[3]) {
				if label != "le" && label != "instance" && !slices.Contains(m.labels, label) {
					t.Errorf("%s: %s has no label %s, in %s", title, m.name, label, expr)
				}
			}
		}
	}
	for _, panel := range p.Panels {
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
			for _, l := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, l[1]) {
					t.Errorf("%s: the legend has %s, by which nothing is grouped in %s", panel.Title, l[1], target.Expr)
				}
			}
		}
	}
	for name := range byName {
		if !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// labelsOf are the labels that an expression groups by, and those in the braces of a series.
func labelsOf(expr, braces string) (labels []string) {
	for _, by := range grouping.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, word.FindAllString(by[1], -1)...)
	}
	for _, l := range regexp.MustCompile(`(\w+)(?:=~|!=|!~|=)"`).FindAllStringSubmatch(braces, -1) {
		labels = append(labels, l[1])
	}
	return labels
}

// TestDashboard_form: six rows, and what Grafana needs to show each panel in its place.
func TestDashboard_form(t *testing.T) {
	p := readDashboard(t)
	var rows []string
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, panel := range p.Panels {
		if panel.Type == "row" {
			rows = append(rows, panel.Title)
		}
		if ids[panel.ID] {
			t.Errorf("the id %d is there twice", panel.ID)
		}
		ids[panel.ID] = true
		g := panel.GridPos
		if g.X+g.W > 24 || g.W == 0 || g.H == 0 {
			t.Errorf("%s is at %+v; there are 24 columns", panel.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		refs := map[string]bool{}
		for _, target := range panel.Targets {
			if target.RefID == "" || refs[target.RefID] {
				t.Errorf("%s: refId %q is empty, or there twice", panel.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
	if want := []string{"Traffic", "Ends", "Pressure", "Processes", "Deploy", "Nodes"}; !slices.Equal(rows, want) {
		t.Errorf("the rows are %q, want %q", rows, want)
	}
	if l := p.Templating.List; len(l) != 2 || l[1].Query != "label_values(troupe_socket_active, troupe_server)" {
		t.Errorf("the variables are %+v, want datasource, and server of the label troupe_server", l)
	}
}
