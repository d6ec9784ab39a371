package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean is a text in one line, without anything that a terminal would obey. The observer cleans, too, but what answers may be
// something else.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return utf8.RuneError
		}
		return r
	}, s)
}

// cell is a text in a table.
func cell(s string) string {
	const most = 60
	s = clean(s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	if s == "" {
		return "-"
	}
	return s
}

// table writes rows under a head. The column of PIDs is written whole, for who copies one.
type table struct {
	w   *tabwriter.Writer
	pid int // its column; -1: there is none
}

func newTable(out io.Writer, head ...string) *table {
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), slices.Index(head, "PID")}
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		if i == t.pid && cells[i] != "" {
			cells[i] = clean(cells[i])
			continue
		}
		cells[i] = cell(cells[i])
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }

// since is how long ago t was, at a moment.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return short(now.Sub(t))
}

// millis is a duration in milliseconds.
func millis(ms float64) string { return short(time.Duration(ms * float64(time.Millisecond))) }

func short(d time.Duration) string {
	switch {
	case d <= 0:
		return "0"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// size is a number of bytes.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, prefix := float64(n), 0
	for f >= unit && prefix < len("KMGTP") {
		f /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[prefix-1])
}
