package odmapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
)

// A client that lost the answer to an import, or to a change of an event or a note, cannot know whether to send it again: what
// has no repeat keys would be added twice. With a header Idempotency-Key it can: one key of one user for one study, or site,
// is one job, whose UUID is made of the three, or one change. The reference has no such header; it is that of the IETF's
// draft.

const (
	keyHeader = "Idempotency-Key"
	maxKey    = 255 // bytes
	// paramBody is the parameter of a job with the sum of what its request brought, where that had a key.
	paramBody = "body"
)

// key is what the client calls its request, "" for nothing.
func (c *call) key() (string, error) {
	key := strings.TrimSpace(c.Header.Get(keyHeader))
	if len(key) > maxKey {
		return "", fault.New("COMMON_INVALID_INPUT", "%s has at most %d characters.", keyHeader, maxKey)
	}
	return key, nil
}

// keyed is made of a key, the caller, what kind of request it is of, and the OID of the study or site as the client names it.
// It must stay as it is: with another sum a request that is sent again would be done again.
func (c *call) keyed(key, what, oid string) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s\x00%s", c.actor.ID, what, clinical.Fold(oid), key))
	return h[:]
}

// sum tells texts from all others.
func sum[T string | []byte](texts ...T) []byte {
	h := sha256.New()
	for _, one := range texts {
		fmt.Fprintf(h, "%d\x00", len(one))
		_, _ = h.Write([]byte(one)) // a hash takes everything
	}
	return h.Sum(nil)
}

// byOnce is by for a request that changes something once, if it has a key, however often it is sent. The body has been read;
// about is what the path says besides.
func (c *call) byOnce(what string, p *clinical.Place, about string) (clinical.By, error) {
	by := c.by()
	key, err := c.key()
	if key != "" {
		by.Request = &clinical.Request{
			Name: hex.EncodeToString(c.keyed(key, what, p.Site.OID)), Sum: hex.EncodeToString(sum(about, string(c.sent))),
		}
	}
	return by, err
}

// identity is what a job is known by: its UUID and, where its request had a key, the sum of what the request brought.
type identity struct{ uuid, body string }

// once draws the UUID of a job, or makes it of the request's key; oid is the study's or site's as the client names it.
// Where the key has a job already, that is the answer, whatever has become of the study since: the client lost it.
func (c *call) once(jobType, oid string, in *parts) (id identity, answer any, err error) {
	key, err := c.key()
	switch {
	case err != nil:
		return id, nil, err
	case key == "":
		id.uuid, err = odmimport.NewUUID(c.api.Random)
		return id, nil, err
	}
	if id.uuid, err = odmimport.NewUUID(bytes.NewReader(c.keyed(key, jobType, oid))); err != nil {
		return id, nil, err
	}
	id.body = hex.EncodeToString(sum(append([][]byte{[]byte(in.name), in.document}, in.zips...)...))
	known, err := c.api.Jobs.ByUUID(c.Context(), id.uuid)
	if err != nil || known == nil {
		return id, nil, err
	}
	answer, err = id.answer(known)
	return id, answer, err
}

// answer is the answer to a request whose job there is. The refusal is KeyUsed if that was made of something else.
func (id identity) answer(j *jobs.Job) (any, error) {
	if j.Params[paramBody] != id.body {
		return nil, named{clinical.KeyUsed, "\nThe " + keyHeader + " came with another file before. Send another key with this one."}
	}
	return text("job uuid: " + j.UUID), nil
}
