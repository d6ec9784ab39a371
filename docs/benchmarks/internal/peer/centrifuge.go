package peer

import (
	"context"
	"net"
	"net/http"

	"github.com/centrifugal/centrifuge"
)

var centrifugePeer = Peer{
	Name: "centrifuge", Module: "github.com/centrifugal/centrifuge", Serve: serveCentrifuge,
	NoEcho: true, Hello: `{"id":1,"connect":{}}`,
}

func serveCentrifuge(ln net.Listener, o Options) (Broadcast, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{group: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	handler := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		UseWriteBufferPool: true, Compression: o.Deflate, CompressionLevel: 1, CompressionPreparedMessageCacheSize: 1 << 20,
	})
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) })
	return func(payload []byte) error {
		_, err := node.Publish(group, payload)
		return err
	}, nil
}
