package wire_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Every function brings the zones along, since provided.al2023 has none.
func TestFunctionsKnowTimeZones(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.Name}} {{join .Deps " "}}`, "aliquot/functions/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	mains := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "main ") {
			continue
		}
		if mains++; !strings.Contains(line, " time/tzdata ") {
			t.Error("a function does not hold the time zone database")
		}
	}
	if mains == 0 {
		t.Error("there are no functions")
	}
}
