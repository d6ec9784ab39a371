package natsengine_test

import (
	"context"
	"log"

	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
)

// A node at NATS servers of its own kind, with TLS and an account for the cluster.
func ExampleNew() {
	engine, err := natsengine.New(natsengine.Config{
		URL: "tls://nats-0.example.com:4222,tls://nats-1.example.com:4222",
		Options: []nats.Option{
			nats.UserCredentials("/run/secrets/troupe.creds"), // an NKey and a JWT; nats.UserInfo for a user and a password
			nats.RootCAs("/run/secrets/ca.pem"),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	sys, err := actor.NewSystem(actor.Config{Node: "web-1"})
	if err != nil {
		log.Fatal(err)
	}
	node, err := cluster.New(sys, cluster.Config{Engine: engine})
	if err != nil {
		log.Fatal(err)
	}
	if err := node.Serve(context.Background()); err != nil { // a supervisor does this
		log.Fatal(err)
	}
}
