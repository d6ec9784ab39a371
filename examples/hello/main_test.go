package main

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSockets(t *testing.T) *socket.Server {
	t.Helper()
	sockets, err := socket.New(socket.Config{System: sockettest.NewSystem(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sockets.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return sockets
}

// What one client says reaches all.
func TestHello(t *testing.T) {
	h := routes(newSockets(t))
	ann, _ := sockettest.Dial(t, h, nil)
	ann.Send(websock.Text("alone")) // Init has run when it comes back
	ann.Want(websock.Text("alone"))
	bob, _ := sockettest.Dial(t, h, nil)
	bob.Send(websock.Text("hello"))
	bob.Want(websock.Text("hello"))
	ann.Want(websock.Text("hello"))
}

func TestHello_page(t *testing.T) {
	w := httptest.NewRecorder()
	routes(newSockets(t)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Header().Get("Content-Type"); w.Code != 200 || w.Body.String() != page || !strings.HasPrefix(got, "text/html") {
		t.Errorf("GET /: got %d, %s, %q; want the page", w.Code, got, w.Body)
	}
}

// The README shows these two files, as they are.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.go", "index.html"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "\n"+string(file)+"```\n") {
			t.Errorf("README.md does not show examples/hello/%s as it is", name)
		}
	}
	code, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(code), "\n)\n")
	lines := 0
	for line := range strings.Lines(body) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines > 30 {
		t.Errorf("the first program has %d lines after its imports, want at most 30", lines)
	}
}
