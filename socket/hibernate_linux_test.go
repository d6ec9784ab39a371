//go:build !troupe_nosyscalls

package socket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestHibernate_leavesThePoller: the descriptor of a socket that sleeps is in one epoll set, the Server's, and no other one of it is
// left there, however often it has been awake. What sleeps is a matter of the kernel, so it is real TCP and real time.
func TestHibernate_leavesThePoller(t *testing.T) {
	site := tcpSite(t, socket.Config{HibernateAfter: time.Millisecond, PingInterval: -1, IdleTimeout: -1}, func() websock.Handler { return echo() })
	const sockets = 20
	before := inEpollSets(t)
	var clients []*rawclient.Client
	for range sockets {
		c := site.connect(rawclient.HandshakeOptions{})
		clients = append(clients, c)
	}
	for range 10 {
		for _, c := range clients {
			for range 3 { // it wakes, and sleeps at once; it wakes again, and stays awake for a moment
				wantEcho(t, c, "hello")
			}
		}
		for site.srv.Stats().Asleep < sockets {
			time.Sleep(time.Millisecond)
		}
	}
	// Go's poller has the clients, and the Server's epoll set, which has the sockets.
	if n := inEpollSets(t) - before; n > 2*sockets+5 {
		t.Errorf("%d descriptors more are in epoll sets, want %d, the %d sockets and as many clients", n, 2*sockets, sockets)
	}
}

// inEpollSets is how many descriptors the epoll sets of this process have.
func inEpollSets(t *testing.T) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, _ := os.Readlink(link); to != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%s", filepath.Base(link)))
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(info), "tfd:")
	}
	return n
}
