package handshake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"

	"github.com/coder/websocket"
)

// DialOptions say what a server is asked for, and how it is reached.
type DialOptions struct {
	HTTP         *http.Client // nil: http.DefaultClient
	Header       http.Header  // of the request; see [CheckHeader]. Its Host is the request's
	Subprotocols []string     // in order of preference; see [CheckSubprotocols]
	Compress     bool         // permessage-deflate
}

// Dialed is a connection whose opening handshake is done.
type Dialed struct {
	Conn        net.Conn      // without deadlines
	Body        io.Closer     // of the 101; to be closed when Conn is: a RoundTripper around http.Transport may wait for that
	Subprotocol string        // "": none
	Deflate     bool          // permessage-deflate; the server refers to no message before, and we must not either
	Early       []byte        // what net/http has read after the head of the answer; nil: nothing
	Request     *http.Request // as it was sent, the last one after redirects
}

// AnswerError says that a server has answered, and that there is no WebSocket all the same. With Status 101 the answer
// was not what RFC 6455 asks for, or the connection could not be taken over.
type AnswerError struct {
	Status int
	Header http.Header
	Err    error // what was wrong with a 101, else the text of the answer, if it has one; may be nil
}

func (e *AnswerError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *AnswerError) Unwrap() error { return e.Err }

// CheckURL returns an error for a URL that cannot be dialled. Its text does not show the URL, which may hold a token.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return withoutURL(err)
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("scheme %q: want ws, wss, http or https", u.Scheme)
	case u.Host == "":
		return errors.New("no host")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return errors.New("a fragment, which the URL of a WebSocket has not (RFC 6455 section 3)")
	}
	return nil
}

// CheckHeader returns an error for a header that sets a field of the handshake.
func CheckHeader(h http.Header) error {
	for name := range h {
		switch key := http.CanonicalHeaderKey(name); key {
		case "Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Accept",
			"Connection", "Upgrade":
			return fmt.Errorf("the header sets %s, which is a field of the handshake", key)
		}
	}
	return nil
}

// Dial does the opening handshake of a client (RFC 6455 section 4.1). Connecting, proxies, TLS, redirects and cookies are
// the HTTP client's, and the time it takes is bounded by ctx, and by the client's Timeout. Neither means anything to the
// connection that is returned.
//
// An [*AnswerError] says what the server has answered. With any other error there was no answer. No error shows the URL.
func Dial(ctx context.Context, rawURL string, o DialOptions) (Dialed, error) {
	client := http.DefaultClient
	if o.HTTP != nil {
		client = o.HTTP
	}
	if client.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, client.Timeout,
			fmt.Errorf("no answer within the Timeout %v of the http.Client: %w", client.Timeout, context.DeadlineExceeded))
		defer cancel()
	}
	if err := errors.Join(CheckURL(rawURL), CheckHeader(o.Header)); err != nil {
		return Dialed{}, err
	}
	t := &takeover{ctx: ctx, base: client.Transport, o: &o}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	done := false
	defer func() {
		if !done { // also when a RoundTripper panics
			t.close()
		}
	}()
	if err := t.dial(rawURL, client); err != nil {
		return Dialed{}, err
	}
	done = true
	return t.dialed, nil
}

// dial has websocket.Dial do the handshake. The websocket.Conn that it returns is dropped: it starts nothing, and its
// connection is nobody's. Its finalizer has to go, since a cycle with a finalizer is never freed.
func (t *takeover) dial(rawURL string, client *http.Client) error {
	own := *client
	own.Transport, own.Timeout = t, 0
	check := own.CheckRedirect
	if check == nil {
		check = tenRedirects // websocket.Dial sets one of its own, with which net/http's limit is gone
	}
	own.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		// It would show the query of our URL to wherever a server sends us, even without TLS: net/http's rule for that
		// does not know ws.
		if via[0].Header.Get("Referer") == "" {
			r.Header.Del("Referer")
		}
		return check(r, via)
	}
	header, host := http.Header{}, ""
	for name, values := range t.o.Header {
		if key := http.CanonicalHeaderKey(name); key != "Host" {
			header[key] = append(header[key], values...)
		} else if len(values) > 0 { // net/http takes it from the request alone
			host = values[0]
		}
	}
	if t.o.Compress { // coder/websocket does not know that we do
		header.Set("Sec-Websocket-Extensions", deflateOffer)
	}
	ws, resp, err := websocket.Dial(t.ctx, rawURL, &websocket.DialOptions{
		HTTPClient: &own, HTTPHeader: header, Host: host, Subprotocols: t.o.Subprotocols,
		CompressionMode: websocket.CompressionDisabled,
	})
	if ws != nil {
		runtime.SetFinalizer(ws, nil)
	}
	switch {
	case t.err != nil: // what we have found says more
		err = t.err
	case err == nil:
		return nil
	case resp == nil:
		return withoutURL(err)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return &AnswerError{Status: resp.StatusCode, Header: resp.Header, Err: answerText(resp)}
	}
	return &AnswerError{Status: http.StatusSwitchingProtocols, Header: t.header, Err: err}
}

// tenRedirects is the limit of a Client without CheckRedirect.
func tenRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// answerText is the first line of an answer that is text; nil: it is something else.
func answerText(resp *http.Response) error {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") || resp.Body == nil {
		return nil
	}
	var body [256]byte // websocket.Dial has read the beginning of it
	n, _ := resp.Body.Read(body[:])
	if line, _, _ := strings.Cut(strings.TrimSpace(string(body[:n])), "\n"); line != "" {
		return errors.New(quote(line))
	}
	return nil
}

// withoutURL is the part of an error of net/http or net/url that does not show the URL.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
