package lint

import (
	"go/ast"
	"go/token"
	"testing"
)

// docs checks that exported names have comments: functions, types, methods of
// exported types, and constants and variables, for which the comment of their
// group or the one at the line's end will do.
func (z *sizes) docs(t *testing.T, s source, ex exceptions) {
	need := func(name *ast.Ident, comments ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		z.exported++
		for _, c := range comments {
			if c != nil {
				z.documented++
				return
			}
		}
		ex.report(t, "doc", s.path+" "+name.Name, "exported without a comment")
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiverExported(d.Recv.List[0].Type) {
				need(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					need(spec.Name, spec.Doc, d.Doc, spec.Comment)
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						need(n, spec.Doc, d.Doc, spec.Comment)
					}
				}
			}
		}
	}
}

func receiverExported(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiverExported(e.X)
	case *ast.IndexExpr:
		return receiverExported(e.X)
	case *ast.IndexListExpr:
		return receiverExported(e.X)
	case *ast.Ident:
		return e.IsExported()
	}
	return false
}

func TestPackagesAreDocumented(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if name, mine := ours(p.ImportPath); mine && p.Doc == "" && p.Name != "" {
			t.Errorf("package %s has no package comment", name)
		}
	}
}
