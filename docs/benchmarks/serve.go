package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
)

// Commands on the control connection. Each is answered with one byte when it is done.
const (
	cmdBroadcast = 'b' // followed by the length in 4 bytes, and the payload
	cmdCollect   = 'c' // collects garbage, and returns free memory to the kernel
)

// serve is the server's process: one peer, until its control connection ends.
func serve(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("peer", "troupe", "which server")
	options := flags.String("options", "{}", "what the workload needs, in JSON")
	busy := flags.Bool("busy", false, "with a busy program beside it, in its session and on its core")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var o peer.Options
	if err := json.Unmarshal([]byte(*options), &o); err != nil {
		return err
	}
	p, ok := peer.Find(*name)
	if !ok || p.Serve == nil {
		return fmt.Errorf("there is no peer %q in this program", *name)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	if o.TLS {
		if ln, err = peer.TLS(ln); err != nil {
			return err
		}
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer control.Close()
	broadcast, err := p.Serve(ln, o)
	if err != nil {
		return err
	}
	if *busy {
		stop, err := startSpin(false)
		if err != nil {
			return err
		}
		defer stop()
	}
	fmt.Fprintln(out, ln.Addr(), control.Addr())
	c, err := control.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	return obey(c, broadcast)
}

func obey(c net.Conn, broadcast peer.Broadcast) error {
	in := bufio.NewReader(c)
	for {
		command, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch command {
		case cmdBroadcast:
			var size uint32
			if err := binary.Read(in, binary.BigEndian, &size); err != nil {
				return err
			}
			payload := make([]byte, size)
			if _, err := io.ReadFull(in, payload); err != nil {
				return err
			}
			if err := broadcast(payload); err != nil {
				return err
			}
		case cmdCollect:
			// Several times, with pauses: a pool keeps its contents for one more collection.
			for range 3 {
				debug.FreeOSMemory()
				time.Sleep(10 * time.Millisecond)
			}
		}
		if _, err := c.Write([]byte{command}); err != nil {
			return err
		}
	}
}
