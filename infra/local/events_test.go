package local_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"aliquot/infra/local"
)

// TestFunctionsAnswerTheirEvents sends samples of events/ through the real binaries, each with the environment and the
// role of the template.
func TestFunctionsAnswerTheirEvents(t *testing.T) {
	s, err := local.Start(t.Context(), local.Options{Functions: true, Idle: true, Warn: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	status := func(want int) func(*testing.T, []byte) {
		return func(t *testing.T, answer []byte) {
			var res events.APIGatewayV2HTTPResponse
			if err := json.Unmarshal(answer, &res); err != nil || res.StatusCode != want {
				t.Errorf("answered %s, want status %d", answer, want)
			}
		}
	}
	failures := func(want int) func(*testing.T, []byte) {
		return func(t *testing.T, answer []byte) {
			var res events.SQSEventResponse
			if err := json.Unmarshal(answer, &res); err != nil || len(res.BatchItemFailures) != want {
				t.Errorf("answered %s, want %d failures", answer, want)
			}
		}
	}
	nothing := func(t *testing.T, answer []byte) {
		if string(answer) != "null" {
			t.Errorf("answered %s", answer)
		}
	}
	tests := []struct {
		function, event string
		check           func(*testing.T, []byte)
	}{
		{"api", "no-credentials", status(401)},
		{"api", "preflight", status(200)},
		{"clinicaldata", "no-token", status(401)},
		{"clinicaldata", "token", status(401)}, // nobody is set up
		{"clinicaldata", "import-two-boundaries", status(401)},
		{"csvimport", "test-event", failures(0)},
		{"csvimport", "no-such-object", failures(0)}, // its job tells
		{"csvimport", "unreadable", failures(1)},     // which goes to the dead letters in time
		{"odmimport", "object-created", failures(0)}, // its job tells
		{"odmimport", "no-such-job", failures(0)},
		{"odmimport", "unreadable", failures(1)},
		{"sweep", "minute", nothing},
	}
	for _, test := range tests {
		t.Run(test.function+"/"+test.event, func(t *testing.T) {
			payload, err := os.ReadFile(filepath.Join("../../events", test.function, test.event+".json"))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := s.Invoke(t.Context(), test.function, payload)
			if err != nil {
				t.Fatal(err)
			}
			test.check(t, answer)
		})
	}
}
