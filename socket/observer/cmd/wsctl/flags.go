package main

import (
	"flag"
	"io"
	"net/url"
	"strconv"
	"time"
)

// flags are those of the commands.
type flags struct {
	sort, q, server string
	n               int
	every           time.Duration
	times           int
	code            int
	reason          string
	kill            bool
}

func flagsOf(command string, errOut io.Writer) (*flags, *flag.FlagSet) {
	f := &flags{}
	set := flag.NewFlagSet("wsctl "+command, flag.ContinueOnError)
	set.SetOutput(errOut)
	switch command {
	case "top":
		set.DurationVar(&f.every, "every", time.Second, "`time` between two looks")
		set.IntVar(&f.times, "times", 0, "look so often; 0: until it is interrupted")
		fallthrough
	case "ls":
		set.StringVar(&f.sort, "sort", "lag", "what comes first: lag, bytes, mailbox, age, rtt, read, written or idle")
		set.StringVar(&f.server, "server", "", "sockets of this `server` only")
		fallthrough
	case "exits":
		set.StringVar(&f.q, "q", "", "those with this `text` in label, subject, address or PID")
		set.IntVar(&f.n, "n", 20, "so many")
	case "kick":
		set.IntVar(&f.code, "code", 1008, "close `code`")
		set.StringVar(&f.reason, "reason", "", "close `reason`, which the client gets")
		set.BoolVar(&f.kill, "kill", false, "at once: no Close frame, no Terminate")
	}
	return f, set
}

// query are the parameters of a list.
func (f *flags) query() string {
	v := url.Values{"limit": {strconv.Itoa(f.n)}}
	for key, value := range map[string]string{"sort": f.sort, "q": f.q, "server": f.server} {
		if value != "" {
			v.Set(key, value)
		}
	}
	return v.Encode()
}
