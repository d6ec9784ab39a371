package otelsocket_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
)

// commentOf is the comment of a type in metrics.go.
func commentOf(name string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), "metrics.go", nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE && g.Specs[0].(*ast.TypeSpec).Name.Name == name {
			return g.Doc.Text(), nil
		}
	}
	return "", fmt.Errorf("metrics.go declares no type %s", name)
}
