package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-dev/troupe/docs/nodes/internal/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// manifest is what this test looks at in the objects of kubernetes.yaml.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Replicas    int
		ServiceName string `yaml:"serviceName"`
		Template    struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args  []string
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					ReadinessProbe struct {
						HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
					} `yaml:"readinessProbe"`
					LivenessProbe struct {
						HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
					} `yaml:"livenessProbe"`
				}
			}
		}
	}
}

func read(t *testing.T) map[string]manifest {
	t.Helper()
	f, err := os.Open("../kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]manifest{}
	for d := yaml.NewDecoder(f); ; {
		var m manifest
		if err := d.Decode(&m); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[m.Kind+" "+m.Metadata.Name] = m
	}
}

// TestManifest runs what kubernetes.yaml runs: its NATS servers, from its ConfigMap, and the program with its arguments,
// with loopback addresses for the names that a cluster gives.
func TestManifest(t *testing.T) {
	objects := read(t)
	nats, shop := objects["StatefulSet nats"], objects["Deployment shop"]
	if nats.Spec.Replicas != 3 || shop.Spec.Replicas != 3 || len(shop.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%d and %d replicas, want 3 of each", nats.Spec.Replicas, shop.Spec.Replicas)
	}

	dir := t.TempDir()
	kit.Certificates(t, filepath.Join(dir, "tls"))
	kit.Certificates(t, dir)
	t.Setenv("TROUPE_NKEY", kit.User(t, filepath.Join(dir, "nats.nk")))
	copyFile(t, filepath.Join(dir, "tls", "ca.crt"), filepath.Join(dir, "ca.crt"))
	var clients, routes []string
	for range nats.Spec.Replicas {
		clients, routes = append(clients, kit.FreeAddr(t)), append(routes, kit.FreeAddr(t))
	}
	var servers []*server.Server
	for i := range clients {
		conf := strings.ReplaceAll(objects["ConfigMap nats"].Data["nats.conf"], "/etc/nats", dir)
		conf = strings.Replace(conf, "0.0.0.0:4222", clients[i], 1)
		conf = strings.Replace(conf, "0.0.0.0:6222", routes[i], 1)
		for j, route := range routes {
			conf = strings.Replace(conf, fmt.Sprintf("nats-%d.%s:6222", j, nats.Spec.ServiceName), route, 1)
		}
		servers = append(servers, kit.Server(t, conf))
	}
	for i, s := range servers {
		kit.WaitFor(t, fmt.Sprintf("server %d is connected to the others", i), func() bool { return s.NumRoutes() >= 2 })
	}

	container := shop.Spec.Template.Spec.Containers[0]
	probe := container.ReadinessProbe.HTTPGet
	var ready []string
	for i := range shop.Spec.Replicas {
		addr := kit.FreeAddr(t)
		var args []string
		for _, arg := range container.Args {
			arg = strings.ReplaceAll(arg, "$(POD_NAME)", fmt.Sprint("shop-", i))
			arg = strings.Replace(arg, "0.0.0.0:4000", addr, 1)
			arg = strings.Replace(arg, "/etc/shop/nats", dir, 1)
			for j, client := range clients {
				arg = strings.Replace(arg, fmt.Sprintf("nats-%d.%s:4222", j, nats.Spec.ServiceName), client, 1)
			}
			args = append(args, arg)
		}
		app, err := newApp(args)
		if err != nil {
			t.Fatal(err)
		}
		if grace := time.Duration(shop.Spec.Template.Spec.Grace) * time.Second; grace < app.ShutdownTime() {
			t.Errorf("terminationGracePeriodSeconds is %v, the program may take %v", grace, app.ShutdownTime())
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- app.Serve(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		ready = append(ready, "http://"+addr+probe.Path)
		kit.WaitFor(t, "it lives", func() bool { return get(t, "http://"+addr+container.LivenessProbe.HTTPGet.Path) == http.StatusOK })
	}
	for _, url := range ready {
		kit.WaitFor(t, url+" is ready", func() bool { return get(t, url) == http.StatusOK })
	}
	for _, s := range servers {
		s.Shutdown()
		s.WaitForShutdown()
	}
	for _, url := range ready {
		kit.WaitFor(t, url+" is not ready without NATS", func() bool { return get(t, url) == http.StatusServiceUnavailable })
	}
}

func get(t *testing.T, url string) int {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	r, err := http.Get(url)
	if err != nil {
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
