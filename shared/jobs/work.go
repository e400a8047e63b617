package jobs

import (
	"errors"
	"io"
	"time"
)

// What the importers share: messages that come later, events of dropped files, objects.

// Later means that the message must come again after a while; it is no failure.
type Later struct{ After time.Duration }

func (l *Later) Error() string { return "come again in " + l.After.String() }

// Event is S3's Object Created, as EventBridge brings it. A message that is none has no object in it.
type Event struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			VersionID string `json:"version-id"`
		} `json:"object"`
	} `json:"detail"`
}

// IsObject tells whether e is about an object.
func (e *Event) IsObject() bool { return e.Source == "aws.s3" && e.DetailType == "Object Created" }

// Writer is an object being made. Abort drops it, and does nothing after Close.
type Writer interface {
	io.WriteCloser
	Abort() error
}

// ErrNoFile means that there is no such object.
var ErrNoFile = errors.New("no such file")
