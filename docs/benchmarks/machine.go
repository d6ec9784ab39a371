package main

import (
	"runtime/debug"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
)

// modules are the versions of the servers, by path.
func modules() map[string]string {
	versions := map[string]string{}
	for _, p := range peer.All {
		if p.Version != nil && p.Version() != "" {
			versions[p.Name] = p.Version()
		}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versions
	}
	for _, d := range info.Deps {
		for _, p := range peer.All {
			if d.Path == p.Module && d.Replace == nil {
				versions[d.Path] = d.Version
			}
		}
	}
	return versions
}
