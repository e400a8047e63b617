package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/wire"
)

type settings struct {
	Table string `env:"WIRE_TEST_TABLE"`
	Queue string `env:"WIRE_TEST_QUEUE"`
	Rows  int    `env:"WIRE_TEST_ROWS" default:"5000"`
	Tries int    `env:"WIRE_TEST_TRIES" default:"5"`
}

func TestSettings(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want settings
		err  string
	}{
		"all": {
			map[string]string{"WIRE_TEST_TABLE": "t", "WIRE_TEST_QUEUE": "q", "WIRE_TEST_ROWS": "7", "WIRE_TEST_TRIES": "1"},
			settings{"t", "q", 7, 1},
			"",
		},
		"defaults": {
			map[string]string{"WIRE_TEST_TABLE": "t", "WIRE_TEST_QUEUE": "q", "WIRE_TEST_ROWS": ""},
			settings{"t", "q", 5000, 5},
			"",
		},
		"everything wrong at once": {
			map[string]string{"WIRE_TEST_QUEUE": "", "WIRE_TEST_ROWS": "many"},
			settings{},
			"settings: WIRE_TEST_TABLE is not set, WIRE_TEST_QUEUE is not set, WIRE_TEST_ROWS is no number",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var got settings
			err := wire.Settings(&got)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
