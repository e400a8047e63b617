// Package docs_test holds the project's texts to the truth: their links and commands, the settings and parts they name, and
// the lines of the README that are there to be pasted.
package docs_test

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/api"
	"aliquot/shared/odmapi"
)

const root = "../.."

// texts are the project's Markdown files, by their path.
func texts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	walk(t, func(name string) bool { return path.Ext(name) == ".md" }, all)
	if len(all) < 5 {
		t.Fatalf("found %d texts only", len(all))
	}
	return all
}

// walk reads the files that are wanted.
func walk(t *testing.T, wanted func(name string) bool, into map[string]string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (d.Name()[0] == '.' && d.Name() != ".ci" || d.Name() == "build" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !wanted(name):
			return nil
		}
		into[name] = mustRead(t, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

// found are the first groups of a pattern's matches, sorted, each once.
func found(pattern, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	fences = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$")
	spans  = regexp.MustCompile("`([^`\n]+)`")
)

// code is what a text sets as code: blocks and spans.
func code(text string) (all []string) {
	for _, m := range fences.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	for _, m := range spans.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
		all = append(all, m[1])
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	for name, text := range texts(t) {
		for _, link := range found(`\]\(([^)\s]+)\)`, fences.ReplaceAllString(text, "")) {
			target, heading, _ := strings.Cut(link, "#")
			if strings.Contains(target, "://") {
				continue
			}
			where := name
			if target != "" {
				where = path.Join(path.Dir(name), target)
			}
			if !exists(where) {
				t.Errorf("%s links to %s, which does not exist", name, link)
			} else if heading != "" && !slices.Contains(headings(mustRead(t, where)), heading) {
				t.Errorf("%s links to %s, which has no such heading", name, link)
			}
		}
	}
}

// headings are a text's headings in the form in which links name them.
func headings(text string) (all []string) {
	for _, h := range found(`(?m)^#+ (.+)$`, fences.ReplaceAllString(text, "")) {
		kept := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(h), "")
		all = append(all, strings.ReplaceAll(kept, " ", "-"))
	}
	return all
}

func TestPathsAreThere(t *testing.T) {
	for name, text := range texts(t) {
		for _, c := range code(text) {
			if regexp.MustCompile(`^(shared|infra|functions|events|\.ci)/[A-Za-z0-9_./-]+$`).MatchString(c) && !exists(c) {
				t.Errorf("%s names %s, which does not exist", name, c)
			}
		}
	}
}

func TestTargetsOfMakeAreThere(t *testing.T) {
	targets := found(`(?m)^([a-z][a-z-]*):`, mustRead(t, "Makefile"))
	for name, text := range texts(t) {
		for _, c := range code(text) {
			for _, target := range found(`\bmake ([a-z][a-z-]*)`, c) {
				if !slices.Contains(targets, target) {
					t.Errorf("%s says make %s, and there is no such target", name, target)
				}
			}
		}
	}
}

// Whoever adds a setting, a parameter, a table, a function or a route tells it in the README.
func TestReadmeIsComplete(t *testing.T) {
	readme, template := mustRead(t, "README.md"), mustRead(t, "template.yaml")

	t.Run("settings", func(t *testing.T) {
		source := map[string]string{}
		walk(t, func(name string) bool {
			ours := path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "/testdata/")
			return ours || name == "Makefile" || name == "template.yaml"
		}, source)
		var used []string
		for _, text := range source {
			used = append(used, found(`\b(ALIQUOT_[A-Z_]*[A-Z])\b`, text)...)
		}
		slices.Sort(used)
		if diff := cmp.Diff(slices.Compact(used), found("(?m)^\\| `(ALIQUOT_[A-Z_]+)`", readme)); diff != "" {
			t.Errorf("settings in the code and in the README's tables (-code +README):\n%s", diff)
		}
	})

	section := func(from, to string) string {
		_, text, ok := strings.Cut(template, "\n"+from+":\n")
		text, _, more := strings.Cut(text, "\n"+to+":\n")
		if !ok || !more {
			t.Fatalf("template.yaml has no %s before %s", from, to)
		}
		return text
	}
	t.Run("parameters", func(t *testing.T) {
		for _, p := range found(`(?m)^  ([A-Za-z]+):$`, section("Parameters", "Conditions")) {
			if !strings.Contains(readme, "`"+p+"`") {
				t.Errorf("the README does not name the parameter %s", p)
			}
		}
	})
	t.Run("resources", func(t *testing.T) {
		resources := section("Resources", "Outputs")
		for _, id := range found(`(?m)^  ([A-Za-z]+):\n    Type: AWS::(?:DynamoDB::Table|S3::Bucket|SQS::Queue)$`, resources) {
			if !strings.Contains(readme, "`"+id+"`") {
				t.Errorf("the README does not name %s", id)
			}
		}
		for _, id := range found(`(?m)^  ([A-Za-z]+)Function:\n    Type: AWS::Serverless::Function$`, resources) {
			if name := strings.ToLower(id); !strings.Contains(readme, "[functions/"+name+"/main.go]") && !strings.Contains(readme, "["+name+"](functions/"+name+"/main.go)") {
				t.Errorf("the README does not list the function %s", name)
			}
		}
	})
	t.Run("folders", func(t *testing.T) {
		for _, parent := range []string{"shared", "infra"} {
			entries, err := os.ReadDir(filepath.Join(root, parent))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				folder := parent + "/" + e.Name()
				if e.IsDir() && !strings.Contains(readme, "]("+folder+")") {
					t.Errorf("the README's map does not have %s", folder)
				}
			}
		}
	})
	t.Run("routes", func(t *testing.T) { wantRoutes(t, "routes", api.Routes()) })
	t.Run("clinical routes", func(t *testing.T) { wantRoutes(t, "clinical routes", odmapi.Routes()) })
}

// wantRoutes holds the README's table of that name to the routes.
func wantRoutes(t *testing.T, name string, routes []string) {
	t.Helper()
	begin, end := "<!-- "+name+": make golden writes them -->\n", "<!-- end of "+name+" -->\n"
	want := routeTable(routes)
	before, rest, ok := strings.Cut(mustRead(t, "README.md"), begin)
	got, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("the README has no place for the %s, between %q and %q", name, begin, end)
	}
	if os.Getenv("ALIQUOT_GOLDEN") == "write" {
		err := os.WriteFile(filepath.Join(root, "README.md"), []byte(before+begin+want+end+after), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s of the code and of the README (-code +README), which make golden writes:\n%s", name, diff)
	}
}

// routeTable lists routes by what they are about: a line for each first part of the paths.
func routeTable(routes []string) string {
	verbs, nouns := map[string][]string{}, map[string][]string{}
	for _, r := range routes {
		verb, path, _ := strings.Cut(r, " ")
		noun, below, _ := strings.Cut(path[1:], "/")
		noun = "/" + noun
		if len(verbs[path]) == 0 {
			nouns[noun] = append(nouns[noun], below)
		}
		verbs[path] = append(verbs[path], verb)
	}
	table := "| Path | Calls, below it |\n|---|---|\n"
	for _, noun := range slices.Sorted(maps.Keys(nouns)) {
		// What is called in the same way stands together.
		same := map[string][]string{}
		for _, below := range nouns[noun] {
			how := strings.Join(verbs[strings.TrimSuffix(noun+"/"+below, "/")], " ")
			if below == "" {
				below = "/"
			}
			same[how] = append(same[how], "`"+below+"`")
		}
		var cells []string
		for _, how := range slices.Sorted(maps.Keys(same)) {
			slices.Sort(same[how])
			cells = append(cells, how+": "+strings.Join(same[how], " "))
		}
		table += "| `" + noun + "` | " + strings.Join(cells, "<br>") + " |\n"
	}
	return table
}

func TestEveryAlarmHasARunbook(t *testing.T) {
	index := mustRead(t, "infra/runbooks/README.md")
	alarms := found(`(?m)^  ([A-Za-z]+):\n    Type: AWS::CloudWatch::Alarm$`, mustRead(t, "template.yaml"))
	if len(alarms) == 0 {
		t.Fatal("template.yaml has no alarms")
	}
	if diff := cmp.Diff(alarms, pages(t, "infra/runbooks")); diff != "" {
		t.Errorf("alarms and runbooks (-template +infra/runbooks):\n%s", diff)
	}
	for _, alarm := range alarms {
		if !strings.Contains(index, "("+alarm+".md)") {
			t.Errorf("infra/runbooks/README.md does not list %s", alarm)
		}
		wantHeadings(t, "infra/runbooks/"+alarm+".md", []string{"What it means", "Look here", "Do this"})
	}
}

func TestDecisionsSayWhatWasDecided(t *testing.T) {
	index := mustRead(t, "infra/decisions/README.md")
	for _, page := range pages(t, "infra/decisions") {
		if !strings.Contains(index, "("+page+".md)") {
			t.Errorf("infra/decisions/README.md does not list %s", page)
		}
		wantHeadings(t, "infra/decisions/"+page+".md", []string{"Question", "Choice", "Turned down", "What it costs"})
	}
}

// pages are the texts of a folder besides its README, without their ending.
func pages(t *testing.T, folder string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if page := strings.TrimSuffix(filepath.Base(name), ".md"); page != "README" {
			all = append(all, page)
		}
	}
	return all
}

func wantHeadings(t *testing.T, name string, want []string) {
	t.Helper()
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(mustRead(t, name), -1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headings of %s (-want +got):\n%s", name, diff)
	}
}

// What lies in events/ is in its table, and the other way round.
func TestEventsAreListed(t *testing.T) {
	payloads := map[string]string{}
	walk(t, func(name string) bool {
		ok, err := path.Match("events/*/*.json", name)
		return ok && err == nil
	}, payloads)
	var want []string
	for name := range payloads {
		want = append(want, strings.TrimPrefix(name, "events/"))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, found("(?m)^\\| `([a-z]+/[^`]+\\.json)`", mustRead(t, "events/README.md"))); diff != "" {
		t.Errorf("payloads and events/README.md (-events +README):\n%s", diff)
	}
}
