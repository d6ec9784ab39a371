package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	patience   = 10 * time.Second // for one answer
	mostAnswer = 64 << 20
)

// client talks to an observer.
type client struct {
	base   *url.URL // ends with a slash
	header http.Header
	json   bool
	out    io.Writer
}

// refusedError is an error that the observer has answered.
type refusedError struct {
	status  int
	code    string
	message string
}

func (e *refusedError) Error() string {
	switch {
	case e.code == "forbidden" && e.status == http.StatusForbidden:
		return fmt.Sprintf("%s (403): by default only this machine may look, and nobody may act; observer.Config.Authorize decides, "+
			"and -header sends what it wants to see", e.message)
	case e.code != "":
		return fmt.Sprintf("%s (%d %s)", e.message, e.status, e.code)
	}
	return e.message
}

func (c *client) mountedAt(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usage("-url %s: want http://HOST:PORT/PATH/", base)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	u.RawQuery, u.Fragment = "", ""
	c.base = u
	return nil
}

// at is the URL of what is below api/v1/; path is escaped.
func (c *client) at(path string) string {
	u := *c.base
	path, query, _ := strings.Cut(path, "?")
	return u.JoinPath("api/v1/"+path).String() + map[bool]string{true: "?" + query}[query != ""]
}

// direct follows no redirect: no answer of an observer is one, and what -header sends is not for whoever is named there. net/http would
// leave out Authorization and Cookie, but no other field, and would repeat an act.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (c *client) get(ctx context.Context, path string, v any) error {
	return c.ask(ctx, http.MethodGet, path, nil, v)
}

func (c *client) post(ctx context.Context, path string, body, v any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.ask(ctx, http.MethodPost, path, b, v)
}

// ask sends a request and decodes the answer into v. With -json it prints the answer, too.
func (c *client) ask(ctx context.Context, method, path string, body []byte, v any) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(within, method, c.at(path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	for key, values := range c.header {
		req.Header[key] = values
	}
	if host := c.header.Get("Host"); host != "" {
		req.Host = host
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := direct.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("no observer answers at %s: %w", c.base.Redacted(), unwrapped(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s breaks off: %w", c.base.Redacted(), err)
	}
	if resp.StatusCode >= 300 {
		return refusal(resp, b, c.base.Redacted())
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("what answers at %s is no observer: %w", c.base.Redacted(), err)
	}
	if c.json {
		_, err = c.out.Write(b)
	}
	return err
}

// unwrapped is what is wrong, without the URL, which may have a password in it.
func unwrapped(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func refusal(resp *http.Response, body []byte, base string) error {
	var v struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &v) != nil || v.Error.Code == "" {
		return fmt.Errorf("what answers at %s is no observer: it says %s", base, resp.Status)
	}
	return &refusedError{resp.StatusCode, clean(v.Error.Code), clean(v.Error.Message)}
}
