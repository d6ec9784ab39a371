package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	clusterName = "troupe" // servers of different names refuse each other

	// pingInterval gives up a connection that is dead after 10 to 15 s. nats-server's 2 minutes would keep a cut of the
	// network from healing for as long.
	pingInterval = 5 * time.Second
	// routeRetries is how often a route to a server that is known by hearsay is tried, once a second: that heals a cut of
	// an hour between two nodes, and does not try those of former deploys for ever.
	routeRetries = 3600
	tlsTimeout   = 5 // seconds
)

// options makes what the server takes of cfg, or says what is wrong with it.
func options(cfg Config) (*server.Options, error) {
	if (cfg.User == "") != (cfg.Password == "") {
		return nil, errors.New("embedded: Config.User and Config.Password belong together: one of them is missing")
	}
	opts := &server.Options{NoSigs: true, PingInterval: pingInterval, Username: cfg.User, Password: cfg.Password}
	if err := cfg.clients(opts); err != nil {
		return nil, err
	}
	if cfg.Listen == "" && len(cfg.Routes) > 0 {
		return nil, errors.New("embedded: Config.Routes without Config.Listen: servers connect in both directions")
	}
	if cfg.Listen == "" {
		return opts, nil
	}
	host, port, err := cfg.address("Listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	opts.ReconnectErrorReports = routeRetries // the first failure is logged, and not each
	opts.Cluster = server.ClusterOpts{
		Name: clusterName, Host: host, Port: port, Username: cfg.User, Password: cfg.Password,
		NoAdvertise:    true, // nobody is to connect to the client port of another node's server
		PoolSize:       1,    // all goes through one account, and so through one connection
		ConnectRetries: routeRetries,
	}
	if cfg.TLS != nil {
		opts.Cluster.TLSConfig, opts.Cluster.TLSTimeout = cfg.TLS.Clone(), tlsTimeout
	}
	for _, route := range cfg.Routes {
		if _, _, err := cfg.address("Routes", route); err != nil {
			return nil, err
		}
		u := &url.URL{Scheme: "nats-route", Host: route}
		if cfg.User != "" {
			u.User = url.UserPassword(cfg.User, cfg.Password)
		}
		opts.Routes = append(opts.Routes, u)
	}
	return opts, nil
}

// clients sets what concerns clients. The own node's is one.
func (cfg Config) clients(opts *server.Options) error {
	switch {
	case cfg.ClientListen != "":
		host, port, err := cfg.address("ClientListen", cfg.ClientListen)
		if err != nil {
			return err
		}
		opts.Host, opts.Port = host, port
		if cfg.TLS != nil {
			opts.TLS, opts.TLSConfig, opts.TLSTimeout = true, cfg.TLS.Clone(), tlsTimeout
		}
	case cfg.Listen != "":
		// nats-server starts its routes only when it listens for clients, too. A password that nobody knows keeps them out.
		opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT
		opts.Username, opts.Password = "in-process", rand.Text()
	default:
		opts.DontListen = true
	}
	return nil
}

// address takes an address apart, and refuses one that others can reach while something is missing.
func (cfg Config) address(field, address string) (host string, port int, err error) {
	if strings.Contains(address, "@") { // a password may stand before it, so what it is must not be said
		return "", 0, fmt.Errorf("embedded: Config.%s has an @ in it: it is a host and a port; Config.User and Config.Password are for all servers", field)
	}
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("embedded: Config.%s %q is no host and port: %w", field, address, err)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("embedded: Config.%s %q: the port is no number up to 65535", field, address)
	}
	if port = int(n); port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if loopback(host) {
		return host, port, nil
	}
	var missing []string
	if cfg.TLS == nil {
		missing = append(missing, "Config.TLS")
	}
	if cfg.User == "" {
		missing = append(missing, "Config.User", "Config.Password")
	}
	if len(missing) > 0 {
		return "", 0, fmt.Errorf("embedded: Config.%s %q is no loopback address, and whoever reaches a server may do everything to every process; missing: %s",
			field, address, strings.Join(missing, ", "))
	}
	return host, port, nil
}

// loopback tells whether only this machine reaches a host. A name is taken for one that others reach, but localhost.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
