package api_test

import (
	"archive/zip"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

const dropName = "cpr_create_20260301093000000_cpId_1.csv"

type entry struct{ name, body string }

func mustZip(t *testing.T, entries ...entry) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestScheduleDropsFiles(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	boss := w.newUser("boss", "INSTITUTE")
	schedule := func(c caller, filename, body string) answer {
		t.Helper()
		return c.uploadTo("/import-jobs/schedule", "file", filename, body)
	}
	drops := func() (names []string) {
		t.Helper()
		list, err := w.api.Blobs.List(t.Context(), w.api.Intake, "", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			names = append(names, l.Key)
		}
		return names
	}

	schedule(boss, dropName, participants).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	schedule(c, dropName, participants).refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("PATCH", "/users/2", `{"dropFolder":true}`)
	schedule(c, "participants.csv", participants).refused(t, 400, "IMPORT_JOB_INV_FILENAME")
	damaged := []byte(mustZip(t, entry{dropName, participants}))
	damaged[60+len(dropName)] ^= 0xff
	for name, tt := range map[string]struct{ zip, codes string }{
		"no ZIP":            {"PPID\n1\n", "COMMON_INVALID_INPUT"},
		"empty":             {mustZip(t), "IMPORT_JOB_CSV_NOT_FOUND_IN_ZIP"},
		"only a folder":     {mustZip(t, entry{"folder/", ""}), "IMPORT_JOB_CSV_NOT_FOUND_IN_ZIP"},
		"a path":            {mustZip(t, entry{"../" + dropName, "x"}), "IMPORT_JOB_INV_FILENAME"},
		"another's folder":  {mustZip(t, entry{"boss/" + dropName, "x"}), "IMPORT_JOB_INV_FILENAME"},
		"one bad, one good": {mustZip(t, entry{dropName, "x"}, entry{"readme.txt", "x"}), "IMPORT_JOB_INV_FILENAME"},
		"one name twice":    {mustZip(t, entry{dropName, "x"}, entry{dropName, "y"}), "COMMON_INVALID_INPUT"},
		"a bomb":            {mustZip(t, entry{dropName, strings.Repeat("0", 10<<20)}), "COMMON_INVALID_INPUT"},
		"a damaged file":    {string(damaged), "COMMON_INVALID_INPUT"},
	} {
		a := schedule(c, "drop.zip", tt.zip)
		if a.status != http.StatusBadRequest || a.codes(t) != tt.codes {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, tt.codes)
		}
	}
	if got := drops(); len(got) != 0 {
		t.Fatalf("dropped %q", got)
	}

	if a := schedule(c, dropName, participants); a.body != `{"scheduled":1}` {
		t.Errorf("one file: %d %s", a.status, a.body)
	}
	second := strings.Replace(dropName, "cpr", "visit", 1)
	if a := schedule(c, "DROP.ZIP", mustZip(t, entry{dropName, participants}, entry{second, participants})); a.body != `{"scheduled":2}` {
		t.Errorf("a ZIP: %d %s", a.status, a.body)
	}
	if got, want := strings.Join(drops(), " "), "admin/"+dropName+" admin/"+second; got != want {
		t.Errorf("dropped %q, want %q", got, want)
	}
}
