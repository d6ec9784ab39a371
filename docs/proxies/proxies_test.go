package proxies_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

const page = "../how-to/behind-a-proxy.md"

// patience bounds what a test waits for. It is no statement about speed.
const patience = time.Minute

// block is the first code block of the page in a language.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n```"+language+"\n")
	code, _, ended := strings.Cut(rest, "\n```\n")
	if !ok || !ended {
		t.Fatalf("%s has no block in %s", page, language)
	}
	return code
}

// edit replaces what must be there.
func edit(t *testing.T, text, old, with string) string {
	t.Helper()
	re := regexp.MustCompile("(?m)" + old)
	if !re.MatchString(text) {
		t.Fatalf("no %s in\n%s", old, text)
	}
	return re.ReplaceAllString(text, with)
}

type echo struct{}

func (echo) Init(context.Context) websock.Result                            { return websock.OK() }
func (echo) HandleIn(_ context.Context, msg websock.Message) websock.Result { return websock.Push(msg) }
func (echo) HandleInfo(context.Context, any) websock.Result                 { return websock.OK() }

// output is what a program, or a logger, has written.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// serve runs a server of sockets at /ws. The log is complete when stop has returned.
func serve(t *testing.T) (addr string, log *output, stop func()) {
	t.Helper()
	log = new(output)
	sockets, err := socket.New(socket.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return echo{}, nil }))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := sockets.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		server.Close()
		<-served
	})
	t.Cleanup(stop)
	return listener.Addr().String(), log, stop
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts a program and waits until it listens on addr. It is killed with the test.
func run(t *testing.T, addr, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // Debian keeps daemons out of the PATH of users
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Fatalf("%s is not installed (Debian: apt-get install %s): %v", name, name, err)
	}
	out := new(output)
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s:\n%s", name, out)
		}
	})
	late := time.After(patience)
	for { // another program does not say when it listens
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("%s ended: %v\n%s", name, err, out)
		case <-late:
			t.Fatalf("%s does not listen on %s", name, addr)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// client talks to a proxy that has a certificate of its own.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// try opens a socket as a page of origin would, and has a message echoed. status is that of the answer.
func try(t *testing.T, url, origin string) (status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := client()
	defer c.CloseIdleConnections()
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: c, HTTPHeader: http.Header{"Origin": {origin}}})
	if resp == nil {
		t.Fatalf("%s from %s: %v", url, origin, err)
	}
	if err != nil {
		return resp.StatusCode
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatalf("%s: write: %v", url, err)
	}
	if _, p, err := conn.Read(ctx); err != nil || string(p) != "hello" {
		t.Fatalf("%s: got %q, %v, want hello", url, p, err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("%s: close: %v", url, err)
	}
	return resp.StatusCode
}

func TestNginx(t *testing.T) {
	for name, tt := range map[string]struct {
		drop   string // a line of the page's block
		with   string // that stands in its place
		status int
		log    string // in the line about the refusal
	}{
		"as on the page":     {status: 101},
		"without Host":       {drop: `.*\$http_host;\n`, status: 403, log: "if a proxy has changed the Host, have it pass on"},
		"Host without port":  {drop: `\$http_host`, with: "$$host", status: 403, log: `host=127.0.0.1 `},
		"without HTTP/1.1":   {drop: `.*proxy_http_version.*\n`, status: 426, log: "nginx: proxy_http_version 1.1"},
		"without Upgrade":    {drop: `.*\$http_upgrade;\n`, status: 426, log: "does not pass on the headers Connection and Upgrade"},
		"without Connection": {drop: `.*Connection "upgrade";\n`, status: 426, log: "does not pass on the headers Connection and Upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			backend, log, stop := serve(t)
			addr, dir := freeAddr(t), t.TempDir()
			location := edit(t, block(t, "nginx"), `127\.0\.0\.1:4000`, backend)
			if tt.drop != "" {
				location = edit(t, location, tt.drop, tt.with)
			}
			conf := "daemon off; master_process off; pid " + dir + "/pid; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				conf += kind + "_temp_path " + filepath.Join(dir, kind) + ";\n"
			}
			conf += "server { listen " + addr + ";\n" + location + "\n}\n}\n"
			file := write(t, dir, "nginx.conf", conf)
			run(t, addr, "nginx", "-c", file, "-e", "stderr")
			if got := try(t, "ws://"+addr+"/ws", "http://"+addr); got != tt.status {
				t.Errorf("the page's own origin: got %d, want %d", got, tt.status)
			}
			if got := try(t, "ws://"+addr+"/ws", "https://evil.example"); tt.status == 101 && got != 403 {
				t.Errorf("a foreign origin: got %d, want 403", got)
			}
			stop()
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log has no %q:\n%s", tt.log, log)
			}
		})
	}
}

func TestHAProxy(t *testing.T) {
	backend, log, stop := serve(t)
	addr, dir := freeAddr(t), t.TempDir()
	conf := edit(t, block(t, "haproxy"), `bind :443 `, "bind "+addr+" ")
	conf = edit(t, conf, `127\.0\.0\.1:4000`, backend)
	conf = edit(t, conf, `/etc/haproxy/site\.pem`, certificate(t, dir))
	conf = "defaults\n    timeout connect 1m\n    timeout client 1m\n    timeout server 1m\n\n" + conf + "\n"
	run(t, addr, "haproxy", "-db", "-f", write(t, dir, "haproxy.cfg", conf))

	if got := try(t, "wss://"+addr+"/ws", "https://"+addr); got != 101 {
		t.Errorf("over HTTP/1.1: got %d, want 101", got)
	}
	if got := try(t, "wss://"+addr+"/ws", "https://evil.example"); got != 403 {
		t.Errorf("a foreign origin: got %d, want 403", got)
	}
	overHTTP2(t, addr)
	stop()
	if n := strings.Count(log.String(), `msg="socket closed"`); n != 2 {
		t.Errorf("%d sockets were closed, want 2:\n%s", n, log)
	}
}

// overHTTP2 opens a socket with an extended CONNECT (RFC 8441), as browsers do.
func overHTTP2(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	transport := &http2.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // net/http has no extended CONNECT
	defer transport.CloseIdleConnections()
	in, out := io.Pipe()
	defer out.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+addr+"/ws", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Origin": {"https://" + addr}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("over HTTP/2: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Fatalf("over HTTP/2: got %s %s, want HTTP/2.0 200", resp.Proto, resp.Status)
	}
	go out.Write([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'}) // masked with zeros
	answer := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, answer); err != nil || string(answer) != "\x81\x02hi" {
		t.Fatalf("over HTTP/2: got % x, %v, want the text hi", answer, err)
	}
	go out.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
	if _, err := io.ReadFull(resp.Body, answer); err != nil || string(answer) != "\x88\x02\x03\xe8" {
		t.Fatalf("over HTTP/2: got % x, %v, want a Close with 1000", answer, err)
	}
}

func write(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate makes one for this test, with its key in the same file.
func certificate(t *testing.T, dir string) (path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err1 := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	secret, err2 := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return write(t, dir, "site.pem", fmt.Sprintf("%s%s",
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}
