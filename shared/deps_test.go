// Package shared_test holds the architecture: which package may import which.
package shared_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// A rule is a package, by its folder, and what it may import besides the standard library: packages of the project that
// stand further up in the table, and modules, which have a dot in their name.
type rule struct{ folder, may string }

const (
	module = "aliquot"
	sdk    = "github.com/aws/aws-sdk-go-v2 github.com/aws/smithy-go"
	lambda = "github.com/aws/aws-lambda-go"
)

// architecture is every package of the project. A package imports only what stands above it, so that imports point one way:
// domain, engine, adapters, doors, assembly, tools. A line here deserves the thought that a new table would get:
//
//   - Only the adapters (store, blob, queue), what turns events into calls (trigger), and the assembly (wire) know AWS.
//     The domain and the engine see it through interfaces of their own.
//   - Nothing in shared knows a function, and a function knows only trigger and wire.
//   - Nothing that is deployed imports infra.
//
// Tests are free to import what they need.
var architecture = []rule{
	// The domain.
	{"shared/fault", ""},
	{"shared/biobank", "shared/fault"},
	{"shared/biobank/biobanktest", "shared/biobank github.com/google/go-cmp"},

	// What stands beside it.
	{"shared/jobs", ""},
	{"shared/auth", "shared/fault shared/biobank golang.org/x/crypto"},
	{"shared/csvfile", ""},
	{"shared/archive", "golang.org/x/text"},
	{"shared/router", ""},
	{"shared/odm", ""},
	{"shared/clinical", "shared/fault shared/biobank shared/odm"},

	// The engine.
	{"shared/csvimport", "shared/fault shared/biobank shared/jobs shared/csvfile shared/archive"},
	{"shared/odmexport", "shared/biobank shared/odm shared/clinical"},
	{"shared/odmimport", "shared/fault shared/biobank shared/jobs shared/csvfile shared/odm shared/clinical shared/archive shared/odmexport"},

	// The adapters.
	{"shared/store", "shared/biobank shared/jobs shared/auth " + sdk},
	{"shared/blob", sdk},
	{"shared/queue", sdk},

	// The doors.
	{"shared/api", "shared/router shared/fault shared/biobank shared/jobs shared/auth shared/csvfile shared/csvimport shared/store shared/blob"},
	{"shared/odmapi", "shared/router shared/fault shared/biobank shared/jobs shared/auth shared/archive shared/clinical shared/odmexport shared/odmimport shared/store shared/blob shared/odm"},

	// The assembly.
	{"shared/trigger", "shared/fault shared/jobs " + lambda},
	{"shared/wire", "shared/biobank shared/jobs shared/auth shared/csvimport shared/store shared/blob shared/queue shared/api " +
		"shared/clinical shared/odmimport shared/odmapi github.com/caarlos0/env " + sdk},
	{"functions/api", "shared/trigger shared/wire " + lambda},
	{"functions/clinicaldata", "shared/trigger shared/wire " + lambda},
	{"functions/csvimport", "shared/trigger shared/wire " + lambda},
	{"functions/odmimport", "shared/trigger shared/wire " + lambda},
	{"functions/sweep", "shared/trigger shared/wire " + lambda},

	// The tools. The local stack knows the template and the services, and nothing of what runs on it.
	{"infra/local", "go.yaml.in/yaml golang.org/x/sync " + sdk + " " + lambda},
	{"infra/local/localtest", "infra/local"},
	{"infra/bench", "shared/biobank shared/clinical shared/odm shared/jobs shared/csvimport shared/odmimport shared/odmexport shared/blob shared/store shared/wire infra/local " + sdk},
	{"infra/bench/hello", lambda},
	{"infra/admin", "shared/biobank shared/auth"},
	{"infra/admin/cmd", "shared/biobank shared/auth shared/store infra/admin " + sdk},
	{"infra/local/cmd/stack", "shared/biobank shared/auth shared/store shared/blob infra/local infra/admin " +
		"github.com/schollz/progressbar " + sdk},
}

func TestImports(t *testing.T) {
	for _, fault := range check(os.DirFS(".."), architecture) {
		t.Error(fault)
	}
}

// The check itself finds what it is there for.
func TestImportsThatAreRefused(t *testing.T) {
	rules := []rule{
		{"shared/fault", ""},
		{"shared/biobank", "shared/fault"},
		{"shared/store", "shared/biobank example.org/cloud"},
	}
	source := func(imports ...string) *fstest.MapFile {
		text := "package p\n"
		for _, i := range imports {
			text += "import " + strconv.Quote(i) + "\n"
		}
		return &fstest.MapFile{Data: []byte(text)}
	}
	tests := []struct {
		name, file string
		imports    []string
		want       []string
	}{
		{"all is well", "shared/store/a.go", []string{"fmt", "net/http", "aliquot/shared/biobank", "example.org/cloud/v2/s3"}, nil},
		{
			"upwards", "shared/biobank/a.go",
			[]string{"aliquot/shared/store"},
			[]string{"shared/biobank/a.go imports aliquot/shared/store, which its rule does not allow"},
		},
		{
			"a module", "shared/biobank/a.go",
			[]string{"example.org/cloud/s3"},
			[]string{"shared/biobank/a.go imports example.org/cloud/s3, which its rule does not allow"},
		},
		{
			"a module of a longer name", "shared/store/a.go",
			[]string{"example.org/clouds"},
			[]string{"shared/store/a.go imports example.org/clouds, which its rule does not allow"},
		},
		{
			"files for other systems", "shared/fault/a_plan9.go",
			[]string{"aliquot/shared/store"},
			[]string{"shared/fault/a_plan9.go imports aliquot/shared/store, which its rule does not allow"},
		},
		{
			"a package without a rule", "shared/new/a.go",
			[]string{"fmt"},
			[]string{"shared/new has no rule: give it a line in the table"},
		},
		{"tests are free", "shared/fault/a_test.go", []string{"aliquot/shared/store", "example.org/cloud"}, nil},
		{"test data is not ours", "shared/fault/testdata/a.go", []string{"aliquot/shared/store"}, nil},
		{"hidden folders are not ours", ".cache/a.go", []string{"aliquot/shared/store"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstest.MapFS{"shared/fault/fault.go": source(), "shared/biobank/b.go": source(), "shared/store/s.go": source()}
			tree[test.file] = source(test.imports...)
			if diff := cmp.Diff(test.want, check(tree, rules)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a module of its own", func(t *testing.T) {
		tree := fstest.MapFS{"shared/fault/fault.go": source(), "infra/own/go.mod": {}, "infra/own/a.go": source("aliquot/shared/store")}
		if got := check(tree, rules[:1]); got != nil {
			t.Errorf("got %q, want nothing", got)
		}
	})
	t.Run("a rule that points upwards, a rule without a package", func(t *testing.T) {
		tree := fstest.MapFS{"shared/fault/fault.go": source(), "shared/biobank/b.go": source()}
		upwards := []rule{{"shared/fault", "shared/biobank"}, {"shared/biobank", ""}, {"shared/gone", ""}}
		want := []string{
			"the rule of shared/fault allows shared/biobank, which does not stand above it",
			"shared/gone has a rule but no package",
		}
		if diff := cmp.Diff(want, check(tree, upwards)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// check tells what in a tree of packages does not agree with the rules. Every file counts, whatever system it is for;
// tests do not.
func check(tree fs.FS, rules []rule) (faults []string) {
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	may, found := map[string][]string{}, map[string]bool{}
	for _, r := range rules {
		for _, word := range strings.Fields(r.may) {
			if _, above := may[word]; !above && !strings.Contains(word, ".") {
				complain("the rule of %s allows %s, which does not stand above it", r.folder, word)
			}
		}
		may[r.folder] = strings.Fields(r.may)
	}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == "." {
				return nil
			}
			_, err := fs.Stat(tree, name+"/go.mod")
			if other := err == nil; other || d.Name()[0] == '.' || d.Name() == "testdata" || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		folder := path.Dir(name)
		allowed, ruled := may[folder]
		if !ruled && !found[folder] {
			complain("%s has no rule: give it a line in the table", folder)
		}
		found[folder] = true
		if !ruled {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !permitted(imported, allowed) {
				complain("%s imports %s, which its rule does not allow", name, imported)
			}
		}
		return nil
	})
	if err != nil {
		complain("%v", err)
	}
	for _, r := range rules {
		if !found[r.folder] {
			complain("%s has a rule but no package", r.folder)
		}
	}
	return faults
}

func permitted(imported string, allowed []string) bool {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case first == module:
		return slices.Contains(allowed, strings.TrimPrefix(imported, module+"/"))
	case !strings.Contains(first, "."):
		return true // the standard library
	}
	return slices.ContainsFunc(allowed, func(word string) bool {
		return imported == word || strings.HasPrefix(imported, word+"/")
	})
}
