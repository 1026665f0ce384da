package docs_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
)

// sources parses the Go files of a folder of the module, tests left out.
func sources(t *testing.T, folder string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, 0)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatal(folder, err)
	}
	return files
}

// constants gives the texts of the constants of a type, by its name.
func constants(t *testing.T, name string, folders ...string) []string {
	t.Helper()
	var texts []string
	for _, folder := range folders {
		for _, file := range sources(t, folder) {
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.ValueSpec); ok && spec.Type != nil && lastName(spec.Type) == name {
					for _, v := range spec.Values {
						texts = append(texts, literal(v))
					}
				}
				return true
			})
		}
	}
	if len(texts) < 3 {
		t.Fatalf("found %q of %s", texts, name)
	}
	return texts
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		return text
	}
	return ""
}

// sent gives every code that the handlers send, and where.
func sent(t *testing.T) map[string]string {
	t.Helper()
	codes := map[string]string{}
	for path, file := range sources(t, "..") {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 4 {
				return true
			}
			if name := lastName(call.Fun); name != "headerProblem" && (name != "New" || !strings.HasPrefix(path, "../problem/") && !isProblem(call.Fun)) {
				return true
			}
			switch code := call.Args[1].(type) {
			case *ast.BasicLit:
				codes[literal(code)] = path
			case *ast.CallExpr: // string(r.Code), of a type whose constants are read below
				if lastName(code.Fun) != "string" {
					t.Errorf("%s: a code that this test cannot read", path)
				}
			case *ast.BinaryExpr: // "cle-"+string(reason), read below too
				if literal(code.X) != "cle-" {
					t.Errorf("%s: a code that this test cannot read", path)
				}
			case *ast.Ident:
				if code.Name != "code" || !strings.HasSuffix(path, "hub/translate.go") {
					t.Errorf("%s: a code that this test cannot read", path)
				}
			default:
				t.Errorf("%s: a code that this test cannot read", path)
			}
			return true
		})
	}
	for _, code := range constants(t, "RefusalCode", "../../internal/habilitation", "../../internal/registry") {
		codes[code] = "a RefusalCode"
	}
	for _, refusal := range constants(t, "FetchRefusal", "../../internal/registry") {
		codes["cle-"+refusal] = "a FetchRefusal"
	}
	for _, reason := range constants(t, "Reason", "../auth") {
		p := (&auth.Denial{Reason: auth.Reason(reason)}).Problem()
		codes[strings.TrimPrefix(p.Type, "/docs/erreurs#")] = "a Reason"
	}
	return codes
}

func isProblem(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && lastName(s.X) == "problem"
}

func TestThePageOfErrorsHasEveryTypeThatIsSentAndNoOther(t *testing.T) {
	t.Parallel()
	html := served(t)["/docs/erreurs"]
	codes := sent(t)
	for code, where := range codes {
		if !strings.Contains(html, ` id="`+code+`"`) {
			t.Errorf("%s sends %q, which /docs/erreurs does not explain: add it to problem.Types", where, code)
		}
	}
	for _, described := range problem.Types() {
		if codes[described.Code] == "" {
			t.Errorf("nothing sends %q", described.Code)
		}
		if described.Statuses == "" || described.Title == "" || described.Meaning == "" || described.Remedy == "" {
			t.Errorf("%q is not wholly described", described.Code)
		}
	}
	if len(codes) < 40 {
		t.Errorf("found %d codes only", len(codes))
	}
}

func TestTheSampleOfAnErrorIsAProblemDocument(t *testing.T) {
	t.Parallel()
	sample, err := docs.Sample("erreur.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(sample.Text))
	decoder.DisallowUnknownFields()
	var p problem.Problem
	if err := decoder.Decode(&p); err != nil || len(p.Errors) != 1 {
		t.Fatal(p, err)
	}
	if code := strings.TrimPrefix(p.Type, "/docs/erreurs#"); sent(t)[code] == "" {
		t.Errorf("nothing sends %q", code)
	}
}
