package docs_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	protoactor = "github.com/asynkron/protoactor-go"
	coder      = "github.com/coder/websocket"
	deflate    = "github.com/klauspost/compress"
)

// mayImport says for each package what its files that are not tests may import, besides the standard
// library, its own internals and the packages below those. Packages of ours are written without the
// module path, third parties as their module; "/..." stands for everything below.
//
// An internal package has a row of its own or that of the package it belongs to, an example the row of "examples/...".
var mayImport = map[string][]string{
	"actor/exit":                {},
	"websock":                   {"actor/exit"},
	"actor":                     {"actor/exit", "actor/internal/...", protoactor + "/..."},
	"actor/proto":               {"actor", "actor/internal/...", protoactor + "/..."},
	"actor/host":                {"actor", "actor/exit", "actor/internal/..."},
	"actor/cluster":             {"actor", "actor/exit", "actor/host", "websock"},
	"actor/cluster/clustertest": {"actor", "actor/cluster", "actor/cluster/internal/...", "actor/host"},
	"supervisor":                {"actor", "actor/exit", "actor/host"},
	"registry":                  {"actor", "actor/cluster", "actor/host", "websock"},
	"socket":                    {"websock", "actor", "actor/exit", "actor/host", "supervisor", deflate + "/...", "golang.org/x/sys/...", "golang.org/x/time/rate"},
	"socket/internal/handshake": {coder},
	"socket/sockettest":         {"socket", "socket/internal/...", "actor", "supervisor", "websock"},
	"socket/observer":           {"actor", "actor/cluster", "actor/exit", "actor/host", "registry", "socket", "supervisor", "websock"},
	"socket/observer/cmd/wsctl": {"socket", "websock"},
	"examples/...":              {"actor/...", "websock", "supervisor", "registry", "socket/...", "examples/metrics", "examples/slowlink", "golang.org/x/sys/..."},
	"examples/chat":             {"actor/...", "examples/chat/chat", "examples/metrics", "registry", "supervisor", "socket", "socket/observer"},
}

// topLevel is what there is to find at the top: a reader chooses a folder by its name, so there is no room for another one.
var topLevel = []string{"actor", "docs", "examples", "registry", "socket", "supervisor", "websock"}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); e.IsDir() && !strings.HasPrefix(name, ".") && !slices.Contains(topLevel, name) {
			t.Errorf("folder %s at the top: what several packages need stands below one of %v", name, topLevel)
		}
	}
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), s.name, s.text, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		var imports []string
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports = append(imports, p)
		}
		for _, problem := range checkImports(path.Dir(s.name), imports) {
			t.Errorf("%s: %s", s.name, problem)
		}
	}
}

// checkImports returns what is wrong with the direct imports of a package; dir is its directory, relative
// to the root.
func checkImports(dir string, imports []string) []string {
	row := owner(dir)
	allowed, ok := mayImport[row]
	if !ok {
		return []string{fmt.Sprintf("package %s has no row in mayImport (docs/imports_test.go): "+
			"say there what it may import, or move it below a package that has one", dir)}
	}
	var problems []string
	for _, p := range imports {
		first, _, _ := strings.Cut(p, "/")
		ours, isOurs := strings.CutPrefix(p, module+"/")
		switch {
		case !strings.Contains(first, "."): // the standard library
		case p == module:
			problems = append(problems, fmt.Sprintf("imports %s, which is no package", p))
		case isOurs && (ours == row || within(ours, row+"/internal/...")):
		case isOurs && slices.ContainsFunc(allowed, func(pattern string) bool { return within(ours, pattern) }):
		case !isOurs && slices.ContainsFunc(allowed, func(pattern string) bool { return within(p, pattern) }):
		default:
			problems = append(problems, fmt.Sprintf("imports %s, but %s may import only %s (mayImport in docs/imports_test.go)",
				p, row, strings.Join(append([]string{"the standard library"}, allowed...), ", ")))
		}
	}
	return problems
}

// owner names the row that decides for the package in dir.
func owner(dir string) string {
	if _, ok := mayImport[dir]; ok {
		return dir
	}
	if strings.HasPrefix(dir, "examples/") {
		return "examples/..."
	}
	if i := strings.Index(dir+"/", "/internal/"); i >= 0 {
		return dir[:i]
	}
	return dir
}

// within reports whether p is pattern, or below it when it ends in "/...".
func within(p, pattern string) bool {
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == top || strings.HasPrefix(p, top+"/")
	}
	return p == pattern
}

func TestCheckImports(t *testing.T) {
	ours := func(names ...string) []string {
		for i := range names {
			names[i] = module + "/" + names[i]
		}
		return names
	}
	for name, tt := range map[string]struct {
		dir     string
		imports []string
		want    string // part of the only problem; empty: none
	}{
		"standard library":             {"actor/exit", []string{"errors", "log/slog"}, ""},
		"row":                          {"websock", ours("actor/exit"), ""},
		"own internals":                {"registry", ours("registry/internal/shard"), ""},
		"own internals of an internal": {"socket/internal/wire", ours("socket/internal/deflate"), ""},
		"internals in the row":         {"socket/sockettest", ours("socket/internal/wire"), ""},
		"internal, by its owner":       {"actor/internal/engine", []string{protoactor + "/actor"}, ""},
		"third party in the row":       {"socket/internal/wire", []string{deflate + "/flate"}, ""},
		"an internal with a row":       {"socket/internal/handshake", []string{coder}, ""},
		"an example":                   {"examples/echo/page", ours("socket", "actor"), ""},

		"against the arrow":          {"actor", ours("socket"), "imports " + module + "/socket, but actor may import only"},
		"contract needs no runtime":  {"websock", ours("actor"), "but websock may import only the standard library, actor/exit"},
		"no third party":             {"websock", []string{coder}, "imports " + coder},
		"protoactor in its door":     {"actor/proto", append(ours("actor", "actor/internal/engine"), protoactor+"/actor"), ""},
		"protoactor above actor":     {"socket", []string{protoactor + "/actor"}, "but socket may import only"},
		"protoactor in an example":   {"examples/echo", []string{protoactor + "/actor"}, "imports " + protoactor},
		"coder beside the handshake": {"socket/internal/wire", []string{coder}, "but socket may import only"},
		"coder in the test kit":      {"socket/sockettest", []string{coder}, "imports " + coder},
		"a module with a like name":  {"socket", []string{coder + "2"}, "imports " + coder + "2"},
		"a package without a row":    {"util", nil, "package util has no row"},
		"internal without an owner":  {"internal/util", nil, "package internal/util has no row"},
		"below a package with a row": {"websock/extra", nil, "package websock/extra has no row"},
		"the root as a package":      {".", nil, "package . has no row"},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkImports(tt.dir, tt.imports)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("checkImports(%q, %q) = %q, want no problem", tt.dir, tt.imports, got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("checkImports(%q, %q) = %q, want one problem with %q", tt.dir, tt.imports, got, tt.want)
			}
		})
	}
}
