package odmapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
)

// A client that lost the answer to an import cannot know whether to send it again: what has no repeat keys would be added
// twice. With a header Idempotency-Key it can: one key of one user for one study, or site, is one job, whose UUID is made of
// the three. The reference has no such header; it is that of the IETF's draft.

const (
	keyHeader = "Idempotency-Key"
	maxKey    = 255 // bytes
	// keyUsed refuses a key that came with something else before. The code is ours.
	keyUsed clinical.Code = "idempotencyKeyAlreadyUsed"
	// paramBody is the parameter of a job with the sum of what its request brought, where that had a key.
	paramBody = "body"
)

// identity is what a job is known by: its UUID and, where its request had a key, the sum of what the request brought.
type identity struct{ uuid, body string }

// identify draws the UUID of a job, or makes it of the request's key; oid is the study's or site's as the client names it.
// Where the key has a job already, that is the answer, whatever has become of the study since: the client lost it.
func (c *call) once(jobType, oid string, in *parts) (id identity, answer any, err error) {
	key := strings.TrimSpace(c.Header.Get(keyHeader))
	if key == "" {
		id.uuid, err = odmimport.NewUUID(c.api.Random)
		return id, nil, err
	}
	if len(key) > maxKey {
		return id, nil, fault.New("COMMON_INVALID_INPUT", "%s has at most %d characters.", keyHeader, maxKey)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s", c.actor.ID, jobType, clinical.Fold(oid), key)
	if id.uuid, err = odmimport.NewUUID(strings.NewReader(string(h.Sum(nil)))); err != nil {
		return id, nil, err
	}
	id.body = in.sum()
	known, err := c.api.Jobs.ByUUID(c.Context(), id.uuid)
	if err != nil || known == nil {
		return id, nil, err
	}
	answer, err = id.answer(known)
	return id, answer, err
}

// answer is the answer to a request whose job there is. The refusal is keyUsed if that was made of something else.
func (id identity) answer(j *jobs.Job) (any, error) {
	if j.Params[paramBody] != id.body {
		return nil, named{keyUsed, "\nThe " + keyHeader + " came with another file before. Send another key with this one."}
	}
	return text("job uuid: " + j.UUID), nil
}

// sum tells what a request brought from anything else.
func (p *parts) sum() string {
	h := sha256.New()
	for _, b := range append([][]byte{[]byte(p.name), p.document}, p.zips...) {
		fmt.Fprintf(h, "%d\x00", len(b))
		_, _ = h.Write(b) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}
