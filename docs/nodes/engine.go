package nodes

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/supervisor"
)

// outOfProbe is a Node that supervisor.Probe does not ask.
func outOfProbe(node *cluster.Node) supervisor.ChildSpec {
	return supervisor.ChildSpec{ID: "node", Service: supervisor.ServiceFunc(node.Serve), Shutdown: node.ShutdownTime()}
}

// acrossMachines is an embedded server that others reach. dir has ca.crt, and tls.crt and tls.key of this machine.
func acrossMachines(listen string, routes []string, dir, password string) (*embedded.Server, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	ca := x509.NewCertPool()
	if !ca.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in ca.crt of %s", dir)
	}
	return embedded.Start(embedded.Config{
		Listen: listen, // :6222
		Routes: routes, // web-1.internal:6222, web-2.internal:6222
		TLS: &tls.Config{
			MinVersion:   tls.VersionTLS13,
			Certificates: []tls.Certificate{pair}, // for the name that Routes of the others have
			RootCAs:      ca,
			ClientCAs:    ca,
			ClientAuth:   tls.RequireAndVerifyClientCert,
		},
		User:     "troupe",
		Password: password,
	})
}
