package jobs_test

import (
	"testing"

	"aliquot/shared/jobs"
)

func TestFilter(t *testing.T) {
	job := &jobs.Job{OwnerID: 7, ObjectType: "visit", Params: map[string]string{"cpId": "3", "entityType": "Visit"}}
	for _, c := range []struct {
		name   string
		filter jobs.Filter
		want   bool
	}{
		{"anything", jobs.Filter{}, true},
		{"of nobody", jobs.Filter{OwnerIDs: []int64{}}, false},
		{"of another", jobs.Filter{OwnerIDs: []int64{8}}, false},
		{"of the owner", jobs.Filter{OwnerIDs: []int64{8, 7}}, true},
		{"of another type", jobs.Filter{ObjectTypes: []string{"cpr"}}, false},
		{"of its type", jobs.Filter{ObjectTypes: []string{"cpr", "visit"}}, true},
		{"with another value", jobs.Filter{Params: map[string][]string{"cpId": {"4"}}}, false},
		{"with a parameter it does not have", jobs.Filter{Params: map[string][]string{"formId": {"3"}}}, false},
		{"with one of the parameters", jobs.Filter{Params: map[string][]string{"cpId": {"4"}, "entityType": {"Visit"}}}, true},
		{"all of it", jobs.Filter{OwnerIDs: []int64{7}, ObjectTypes: []string{"visit"}, Params: map[string][]string{"cpId": {"3"}}}, true},
	} {
		if got := c.filter.Matches(job); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestFinalStates(t *testing.T) {
	for status, want := range map[jobs.Status]bool{jobs.Queued: false, jobs.InProgress: false, jobs.Completed: true, jobs.Failed: true, jobs.Stopped: true} {
		if status.Final() != want {
			t.Errorf("%s is final: %t", status, !want)
		}
	}
}
