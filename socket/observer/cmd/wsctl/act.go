package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

type done struct {
	PID     string
	Servers []string
	Done    string
}

func (c *client) act(ctx context.Context, path string, body any) error {
	var v done
	if err := c.post(ctx, path, body, &v); err != nil || c.json {
		return err
	}
	_, err := fmt.Fprintln(c.out, clean(v.Done+" "+v.PID+strings.Join(v.Servers, ", ")))
	return err
}

func send(ctx context.Context, c *client, _ *flags, args []string) error {
	return c.act(ctx, "process/"+url.PathEscape(args[0])+"/send", map[string]string{"text": args[1]})
}

func kick(ctx context.Context, c *client, f *flags, args []string) error {
	return c.act(ctx, "process/"+url.PathEscape(args[0])+"/kick", map[string]any{"code": f.code, "reason": f.reason, "kill": f.kill})
}

func drain(ctx context.Context, c *client, _ *flags, args []string) error {
	body := map[string]string{} // all servers
	if len(args) == 1 {
		if args[0] == "" {
			return usage("drain: the name of the server is empty: leave it out for all")
		}
		body["server"] = args[0]
	}
	return c.act(ctx, "drain", body)
}
