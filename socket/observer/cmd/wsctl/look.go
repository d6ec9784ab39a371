package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type count struct{ Frames, Bytes int64 }

type socketRow struct {
	PID, Server, Label, Subject, Address string
	Asleep                               bool
	Since                                time.Time
	RTT                                  float64 `json:"rtt_ms"`
	Mailbox                              int
	Lag                                  struct {
		Messages int
		Bytes    int64
		Age      float64 `json:"age_ms"`
		LeftOut  uint64  `json:"left_out"`
	}
	Read, Written count
}

type socketList struct {
	At                  time.Time
	Of, Looked, Matched int
	Sampled             bool
	Rows                []socketRow
}

func ls(ctx context.Context, c *client, f *flags, _ []string) error {
	var v socketList
	if err := c.get(ctx, "sockets?"+f.query(), &v); err != nil || c.json {
		return err
	}
	return v.print(c.out)
}

func (v *socketList) print(out io.Writer) error {
	t := newTable(out, "PID", "SERVER", "LABEL", "SUBJECT", "ADDRESS", "AGE", "MAILBOX", "LAG", "RTT", "READ", "WRITTEN")
	for _, s := range v.Rows {
		rtt := "-"
		if s.RTT > 0 {
			rtt = millis(s.RTT)
		}
		t.row(s.PID, s.Server, s.Label, s.Subject, s.Address, since(v.At, s.Since), strconv.Itoa(s.Mailbox), millis(s.Lag.Age), rtt,
			size(s.Read.Bytes), size(s.Written.Bytes))
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d of %d sockets%s\n", len(v.Rows), v.Of, sampled(v.Sampled, v.Looked, v.Of))
	return err
}

// sampled says so when not all were looked at.
func sampled(yes bool, looked, of int) string {
	if !yes {
		return ""
	}
	return fmt.Sprintf("; this is a SAMPLE: %d of %d were looked at", looked, of)
}

// topCommand is ls again and again.
func topCommand(ctx context.Context, c *client, f *flags, _ []string) error {
	if f.every <= 0 {
		return usage("-every must be positive")
	}
	file, _ := c.out.(*os.File)
	screen := false
	if file != nil && !c.json {
		info, err := file.Stat()
		screen = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	for n := 1; ; n++ {
		var v socketList
		if err := c.get(ctx, "sockets?"+f.query(), &v); err != nil {
			return err
		}
		if !c.json {
			if screen {
				fmt.Fprint(c.out, "\x1b[H\x1b[2J")
			}
			fmt.Fprintln(c.out, v.At.Format(time.TimeOnly))
			if err := v.print(c.out); err != nil {
				return err
			}
		}
		if n == f.times {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(f.every):
		}
	}
}

type exitRow struct {
	PID, Server, Label, Subject, Cause, Reason string
	Ended                                      time.Time
	Lifetime                                   float64 `json:"lifetime_ms"`
	Sent, Received                             *struct{ Code int }
	Events                                     []event
}

func (e *exitRow) code() string {
	switch {
	case e.Sent != nil:
		return strconv.Itoa(e.Sent.Code)
	case e.Received != nil:
		return strconv.Itoa(e.Received.Code)
	}
	return "-"
}

func exits(ctx context.Context, c *client, f *flags, _ []string) error {
	var v struct {
		At   time.Time
		Rows []exitRow
	}
	if err := c.get(ctx, "exits?"+f.query(), &v); err != nil || c.json {
		return err
	}
	t := newTable(c.out, "AGO", "PID", "SERVER", "LABEL", "SUBJECT", "CAUSE", "CODE", "LIFETIME", "REASON")
	for _, e := range v.Rows {
		t.row(since(v.At, e.Ended), e.PID, e.Server, e.Label, e.Subject, e.Cause, e.code(), millis(e.Lifetime), e.Reason)
	}
	return t.flush()
}

type event struct {
	At      float64 `json:"at_ms"`
	Sent    bool
	What    string
	Size    int
	Took    float64 `json:"took_ms"`
	Waiting int
}

type process struct {
	At                          time.Time
	PID, Label, Actor, Handling string
	Alive, Ending               bool
	Since                       time.Time
	Mailbox                     int
	Oldest                      float64 `json:"oldest_ms"`
	Handled, Dropped            uint64
	Parent                      string
	Children                    []string
	Total                       int     `json:"children_total"`
	For                         float64 `json:"for_ms"`
	Socket                      *socketRow
	Registrations               []struct{ Kind, Name, Key string }
	State                       *value
	StateError                  string `json:"state_error"`
	Events                      []event
	Exit                        exitRow
}

type value struct {
	Type string
	JSON json.RawMessage
	Text string
	Cut  bool
}

func (v *value) String() string {
	s := v.Text
	if v.JSON != nil {
		s = string(v.JSON)
	}
	if v.Cut {
		s += " … (cut)"
	}
	return s
}

func show(ctx context.Context, c *client, _ *flags, args []string) error {
	var p process
	if err := c.get(ctx, "process/"+url.PathEscape(args[0]), &p); err != nil || c.json {
		return err
	}
	line := func(key, format string, args ...any) {
		fmt.Fprintf(c.out, "%-10s %s\n", clean(key), clean(fmt.Sprintf(format, args...)))
	}
	line("pid", "%s", p.PID)
	if !p.Alive {
		e := p.Exit
		line("ended", "%s ago, after %s", since(p.At, e.Ended), millis(e.Lifetime))
		line("label", "%s", e.Label)
		line("subject", "%s", e.Subject)
		line("cause", "%s, close code %s", e.Cause, e.code())
		line("reason", "%s", e.Reason)
		printEvents(c.out, e.Events)
		return nil
	}
	line("label", "%s", p.Label)
	line("actor", "%s", p.Actor)
	line("age", "%s", since(p.At, p.Since))
	line("mailbox", "%d, the oldest for %s", p.Mailbox, millis(p.Oldest))
	line("handled", "%d, dropped %d", p.Handled, p.Dropped)
	if p.Handling != "" {
		line("handling", "%s for %s", p.Handling, millis(p.For))
	}
	if p.Ending {
		line("ending", "yes")
	}
	if p.Parent != "" {
		line("parent", "%s", p.Parent)
	}
	for _, child := range p.Children {
		line("child", "%s", child)
	}
	if s := p.Socket; s != nil {
		line("server", "%s", s.Server)
		line("subject", "%s", s.Subject)
		line("address", "%s", s.Address)
		line("asleep", "%v", s.Asleep)
		line("rtt", "%s", millis(s.RTT))
		line("lag", "%d messages, %s, the oldest for %s, %d left out", s.Lag.Messages, size(s.Lag.Bytes), millis(s.Lag.Age), s.Lag.LeftOut)
		line("read", "%d frames, %s", s.Read.Frames, size(s.Read.Bytes))
		line("written", "%d frames, %s", s.Written.Frames, size(s.Written.Bytes))
	}
	for _, r := range p.Registrations {
		line(r.Kind, "%s %s", r.Name, r.Key)
	}
	if p.State != nil {
		line("state", "%s %s", p.State.Type, p.State)
	}
	if p.StateError != "" {
		line("state", "not known: %s", p.StateError)
	}
	printEvents(c.out, p.Events)
	return nil
}

func printEvents(out io.Writer, events []event) {
	for _, e := range events {
		s := fmt.Sprintf("+%-8s %s", millis(e.At), e.What)
		if e.Sent {
			s = fmt.Sprintf("+%-8s sent %s", millis(e.At), e.What)
		}
		if e.Size > 0 {
			s += ", " + size(int64(e.Size))
		}
		switch {
		case e.Sent:
		case e.Took < 0:
			s += ", has not returned"
		default:
			s += ", took " + millis(e.Took)
		}
		if e.Waiting > 0 {
			s += fmt.Sprintf(", %d waiting", e.Waiting)
		}
		fmt.Fprintf(out, "%-10s %s\n", "event", clean(s))
	}
}

type node struct {
	ID, Kind, Type, Name, State, Last, PID, Label string
	Restarts, More                                int
	Mailbox, Open                                 *int
	Children                                      []node
}

func tree(ctx context.Context, c *client, _ *flags, _ []string) error {
	var v struct {
		Cut   bool
		Roots []node
	}
	if err := c.get(ctx, "tree", &v); err != nil || c.json {
		return err
	}
	for _, n := range v.Roots {
		n.print(c.out, 0)
	}
	if len(v.Roots) == 0 {
		fmt.Fprintln(c.out, "the program shows no supervisors: observer.Config.Supervisors is empty")
	}
	if v.Cut {
		fmt.Fprintln(c.out, "the tree is larger; the rest is left out")
	}
	return nil
}

func (n *node) print(out io.Writer, depth int) {
	s := strings.Repeat("  ", depth) + n.ID
	for _, part := range []string{n.Kind, n.State, n.PID} {
		if part != "" {
			s += "  " + part
		}
	}
	switch {
	case n.Open == nil:
	case n.Kind == "system":
		s += fmt.Sprintf("  %d processes", *n.Open)
	default:
		s += fmt.Sprintf("  %d open", *n.Open)
	}
	if n.Mailbox != nil && *n.Mailbox > 0 {
		s += fmt.Sprintf("  mailbox %d", *n.Mailbox)
	}
	if n.Restarts > 0 {
		s += fmt.Sprintf("  restarts %d", n.Restarts)
	}
	if n.Last != "" {
		s += "  last: " + n.Last
	}
	fmt.Fprintln(out, clean(s))
	for i := range n.Children {
		n.Children[i].print(out, depth+1)
	}
	if n.More > 0 {
		fmt.Fprintf(out, "%s... and %d more\n", strings.Repeat("  ", depth+1), n.More)
	}
}

func nodes(ctx context.Context, c *client, _ *flags, _ []string) error {
	var v struct {
		At          time.Time
		Name, Error string
		Rows        []struct {
			Node, Boot string
			Since      time.Time
			RTT        float64 `json:"rtt_ms"`
			Window     int64
			InUse      int64  `json:"in_use"`
			BytesIn    uint64 `json:"bytes_in"`
			BytesOut   uint64 `json:"bytes_out"`
			Refused    uint64
			Resent     uint64
		}
	}
	if err := c.get(ctx, "nodes", &v); err != nil || c.json {
		return err
	}
	fmt.Fprintf(c.out, "this is %s\n", clean(v.Name))
	if v.Error != "" {
		fmt.Fprintf(c.out, "not connected: %s\n", clean(v.Error))
	}
	t := newTable(c.out, "NODE", "BOOT", "UP FOR", "RTT", "IN USE", "IN", "OUT", "REFUSED", "RESENT")
	for _, n := range v.Rows {
		t.row(n.Node, n.Boot, since(v.At, n.Since), millis(n.RTT), size(n.InUse)+" of "+size(n.Window), size(int64(n.BytesIn)), size(int64(n.BytesOut)),
			strconv.FormatUint(n.Refused, 10), strconv.FormatUint(n.Resent, 10))
	}
	return t.flush()
}
