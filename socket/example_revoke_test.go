package socket_test

import (
	"log"
	"net/http"
	"sync"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// A user may have three sockets, and loses them when the account is closed. What newHandler asks is changed first, then the
// sockets are revoked: so whoever is on the way meets one of the two.
func ExampleServer_Revoke() {
	var closedAccounts sync.Map
	sockets, err := socket.New(socket.Config{
		Subject:       func(r *http.Request) string { return r.Header.Get("X-User") },
		MaxPerSubject: 3,
		SubjectPolicy: socket.ReplaceOldest,
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/ws", sockets.Handler(func(r *http.Request) (websock.Handler, error) {
		if _, closed := closedAccounts.Load(r.Header.Get("X-User")); closed {
			return nil, &socket.UpgradeError{Status: http.StatusForbidden}
		}
		return idleHandler{}, nil
	}))
	closeAccount := func(user string) {
		closedAccounts.Store(user, true)
		n := sockets.Revoke(user, &websock.CloseError{Code: 4003, Reason: "account closed"})
		log.Printf("%d sockets of %s end", n, user)
	}
	closeAccount("ann")
}
