package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// A build is a server program with the library of one tree.
type build struct {
	commit  string // of the tree, short
	title   string // the first line of the commit message; "": none
	program string
	note    string // what a reader must know about how it was built; "": nothing
}

func (b build) String() string { return strings.TrimSpace(b.commit + " " + b.title) }

// root is the main module, seen from here.
const root = "../.."

// builds makes the servers of the commit ref and of the working tree in dir.
func builds(ctx context.Context, ref, dir string) (base, now build, err error) {
	now = build{commit: "working tree at " + report.Commit(), program: filepath.Join(dir, "now")}
	if base, err = resolve(ctx, ref); err != nil {
		return base, now, err
	}
	tree := filepath.Join(dir, "tree")
	if err := extract(ctx, base.commit, tree); err != nil {
		return base, now, err
	}
	if err := goBuild(ctx, ".", now.program); err != nil {
		return base, now, err
	}
	base.program = filepath.Join(dir, "base")
	base.note, err = buildBase(ctx, base.commit, tree, base.program)
	return base, now, err
}

// resolve finds the commit to compare with. Without a ref it is the one at which HEAD branched off from main. Where there is
// no main it is HEAD, so that only what is not committed yet makes a difference.
func resolve(ctx context.Context, ref string) (build, error) {
	if ref == "" {
		fork, err := git(ctx, "merge-base", "HEAD", "main")
		if err != nil {
			fork, err = git(ctx, "rev-parse", "HEAD")
		}
		if err != nil {
			return build{}, err
		}
		ref = strings.TrimSpace(string(fork))
	}
	line, err := git(ctx, "log", "-1", "--format=%h %s", ref, "--")
	if err != nil {
		return build{}, fmt.Errorf("-base %s: %w", ref, err)
	}
	commit, title, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	return build{commit: commit, title: title}, nil
}

// buildBase builds a server with the library in tree. It takes the server of this module, so that nothing but the library
// differs. If that does not compile, because the library has other names there, it takes the server of that tree's own
// benchmarks, and the note says so.
func buildBase(ctx context.Context, commit, tree, program string) (note string, err error) {
	mod, err := moduleFor(ctx, tree, filepath.Dir(program))
	if err != nil {
		return "", err
	}
	failed := goBuild(ctx, ".", program, "-mod=mod", "-modfile="+mod)
	if failed == nil {
		return "", nil
	}
	if err := goBuild(ctx, filepath.Join(tree, "docs", "benchmarks"), program); err != nil {
		return "", fmt.Errorf("no benchmark server can be built with the library of %s. Name a younger commit with -base.\n"+
			"The server of the working tree: %w\nThe server of %s itself: %w", commit, failed, commit, err)
	}
	return fmt.Sprintf("the benchmark server of the working tree does not compile with the library of %s, so %s runs its own. "+
		"Part of what differs may be the servers' (docs/benchmarks/internal/peer/troupe.go). The compiler says:\n%v", commit, commit, failed), nil
}

// moduleFor writes a go.mod into dir: this one, with the library in tree.
func moduleFor(ctx context.Context, tree, dir string) (string, error) {
	mod := filepath.Join(dir, "base.mod")
	for from, to := range map[string]string{"go.mod": mod, "go.sum": filepath.Join(dir, "base.sum")} {
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(to, text, 0o666); err != nil {
			return "", err
		}
	}
	edit := exec.CommandContext(ctx, "go", "mod", "edit", "-replace", "github.com/troupe-dev/troupe="+tree, mod)
	if text, err := edit.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", edit.Args, err, text)
	}
	return mod, nil
}

// goBuild builds the benchmarks in dir. The program contains no paths, so that equal trees give equal programs.
func goBuild(ctx context.Context, dir, program string, flags ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-buildvcs=false", "-o", program}, append(flags, ".")...)...)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}

// extract writes the tree of a commit to dir. Unlike a git worktree it leaves nothing in the repository to be removed.
func extract(ctx context.Context, commit, dir string) error {
	archive, err := git(ctx, "archive", "--format=tar", commit)
	if err != nil {
		return err
	}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("git archive: %w", err)
		}
		if !filepath.IsLocal(h.Name) || h.Typeflag != tar.TypeReg {
			continue // folders are made for their files, and nothing here needs a link
		}
		name := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("git archive: %w", err)
		}
		if err := os.WriteFile(name, text, h.FileInfo().Mode().Perm()); err != nil {
			return err
		}
	}
}

// git runs in the root of the main module.
func git(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w\n%s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
