package odmapi

import (
	"strconv"

	"aliquot/shared/clinical"
)

// Forms of participants' events. The reference has no API for them; the paths, which are like those of events, and the bodies
// are ours.

func formRoutes() []route {
	const study, site = "/clinicaldata/studies/{study}/forms", "/clinicaldata/studies/{study}/sites/{site}/forms"
	return []route{
		{pattern: "PUT " + study, tell: asOwnMessage, serve: updateForm},
		{pattern: "PUT " + site, tell: asOwnMessage, serve: updateForm},
	}
}

type formView struct {
	SubjectKey      string `json:"subjectKey"`
	EventOID        string `json:"studyEventOID"`
	EventKey        string `json:"studyEventRepeatKey"`
	FormOID         string `json:"formOID"`
	LayoutOID       string `json:"formLayoutOID"`
	Status          string `json:"formStatus"`
	SDVStatus       string `json:"sdvStatus,omitempty"`
	InterviewerName string `json:"interviewerName,omitempty"`
	InterviewDate   string `json:"interviewDate,omitempty"`
	Removed         bool   `json:"removed,omitempty"`
	Archived        bool   `json:"archived,omitempty"`
}

// updateForm changes a form that was begun, named by {"subjectKey","studyEventOID","studyEventRepeatKey","formOID"}: what is
// given of {"interviewerName","interviewDate","removed","archived"}; {"reason"} says why. It makes no form and takes no
// values: imports do.
func updateForm(c *call) (any, error) {
	var in struct {
		SubjectKey                             loose
		StudyEventOID, FormOID                 string
		StudyEventRepeatKey                    loose
		InterviewerName, InterviewDate, Reason string
		Removed, Archived                      *bool
	}
	p, meta, err := c.asked(&in)
	if err != nil {
		return nil, err
	}
	f, err := c.api.Registry.UpdateForm(c.Context(), c.by(), p, meta, clinical.FormDraft{
		Label: string(in.SubjectKey), Event: in.StudyEventOID, EventKey: string(in.StudyEventRepeatKey), Form: in.FormOID,
		InterviewerName: in.InterviewerName, InterviewDate: in.InterviewDate, Removed: in.Removed, Archived: in.Archived, Reason: in.Reason,
	})
	if err != nil {
		return nil, err
	}
	return formView{
		SubjectKey: string(in.SubjectKey), EventOID: f.Event, EventKey: strconv.Itoa(f.EventKey), FormOID: f.OID, LayoutOID: f.Layout,
		Status: f.Status, SDVStatus: f.SDV, InterviewerName: f.InterviewerName, InterviewDate: f.InterviewDate, Removed: f.Removed, Archived: f.Archived,
	}, nil
}
