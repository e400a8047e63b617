package odmapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/odmexport"
	"aliquot/shared/odmimport"
)

// The retrieval of clinical data (sections 6 and 7). What can be collected while the caller waits is the answer; what takes
// longer becomes a job, and the caller is sent to where its document will be (see infra/decisions/long-retrievals.md).

func retrieveRoutes() []route {
	return []route{
		{pattern: "GET /clinicaldata/{study}/{participant}/{event}/{form}", tell: asText, serve: retrieve},
		{pattern: "GET /clinicaldata/retrievals/{uuid}", tell: asText, serve: collected},
	}
}

// errLong ends what takes longer than the caller can wait.
var errLong = errors.New("the data take longer than the caller can wait")

// retrieve answers with the data of a study or site as ODM, in XML or JSON. Each of participant, event and form may be *; an
// event may be several with commas, and one of its repeats as SE_A[2]. Who has no role gets a document without data. With
// legacyNamespaceKeys=y, which is ours, JSON has keys of namespaces as OpenClinica's; a setting tells what it is where a request
// does not.
func retrieve(c *call) (any, error) {
	asJSON, err := wantsJSON(c.Header.Values("Accept"))
	if err != nil {
		return nil, err
	}
	any := func(name string) string {
		if v := c.PathValue(name); v != "*" {
			return v
		}
		return ""
	}
	q := switches(c.URL.RawQuery)
	ask := odmexport.Request{
		Study: c.PathValue("study"), Participant: any("participant"), Events: any("event"), Form: any("form"), JSON: asJSON,
		Metadata: q.is("includeMetadata", false), Data: q.is("clinicalData", true), Audits: q.is("includeAudits", false),
		Notes: q.is("includeDNs", false) || q.is("includeDN", false), Archived: q.is("showArchived", false),
		Namespaces: q.is("legacyNamespaceKeys", c.api.NamespaceKeys),
	}
	ctx, cancel := context.WithTimeoutCause(c.Context(), c.api.Patience, errLong)
	defer cancel()
	out := c.spill(ask.ContentType(), ask.FileName())
	err = c.document(ctx, ask, out)
	if err == nil {
		return out.answer()
	}
	if err := out.abort(); err != nil {
		return nil, err
	}
	if errors.Is(context.Cause(ctx), errLong) {
		return c.hand(ask)
	}
	return nil, err
}

func (c *call) document(ctx context.Context, ask odmexport.Request, out io.Writer) error {
	doc, err := c.open(ctx, ask)
	if err != nil {
		return err
	}
	_, err = doc.Write(ctx, out, nil, nil)
	return err
}

func (c *call) open(ctx context.Context, ask odmexport.Request) (*odmexport.Document, error) {
	collector := &odmexport.Collector{Studies: c.api.Registry, Users: c.api.Users}
	return collector.Open(ctx, c.actor, ask, c.at)
}

// handsPerMinute is how many of a user's requests become jobs in a minute: whoever gives up waiting and asks again makes
// another one each time.
const handsPerMinute = 10

// hand makes a job of a request, and sends the caller to where its document will be.
func (c *call) hand(ask odmexport.Request) (any, error) {
	if err := c.atMost(handsPerMinute, fmt.Sprintf("retrieval of user %d", c.actor.ID), "At most %d requests for data that take long can be begun in a minute. Wait a minute."); err != nil {
		return nil, err
	}
	uuid, err := odmimport.NewUUID(c.api.Random)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}
	j := &jobs.Job{
		ObjectType: odmimport.TypeRetrieval, UUID: uuid, Status: jobs.Queued, Total: -1, OwnerID: c.actor.ID, Owner: c.actor.User.LoginName,
		CreatedAt: c.at, Params: map[string]string{odmimport.ParamRequest: string(text)},
	}
	if err := c.start(j); err != nil {
		return nil, err
	}
	return c.comeAgain(uuid), nil
}

func (c *call) comeAgain(uuid string) elsewhere {
	return elsewhere(c.prefix + "/clinicaldata/retrievals/" + uuid)
}

// collected sends whoever asked for a document on to it, as soon as it is there; a caller who follows meets nothing but
// redirections, which last until then. The endpoint is ours.
func collected(c *call) (any, error) {
	again := time.NewTimer(c.api.Patience)
	defer again.Stop()
	for {
		j, err := c.job(odmimport.TypeRetrieval)
		switch {
		case err != nil:
			return nil, err
		case j == nil || j.OwnerID != c.actor.ID:
			return nil, clinical.InvalidUUID
		case j.Status == jobs.Completed:
			return c.found(j)
		case j.Status.Final():
			return nil, fault.New("COMMON_INVALID_REQUEST", "%s", j.Reason) // to wait would be of no use
		}
		const often = time.Second
		select {
		case <-c.Context().Done():
			return nil, c.Context().Err()
		case <-again.C:
			return c.comeAgain(j.UUID), nil
		case <-time.After(often):
		}
	}
}

// found sends the caller to the document that a job has collected, while the caller still sees all that it is about.
func (c *call) found(j *jobs.Job) (any, error) {
	ask, err := odmimport.RequestOf(j)
	if err != nil {
		return nil, err
	}
	now, err := c.open(c.Context(), *ask)
	if err != nil {
		return nil, err
	}
	then, err := odmimport.Sees(j)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(then, func(id int64) bool { return !slices.Contains(now.Sees(), id) }) {
		return nil, clinical.InvalidUUID
	}
	file := blob.Object{Bucket: c.api.Results, Key: j.Report}
	if _, err := c.api.Blobs.Head(c.Context(), file); errors.Is(err, blob.ErrNotFound) {
		return nil, clinical.InvalidUUID // it was kept for a day
	} else if err != nil {
		return nil, err
	}
	link, err := c.api.Blobs.PresignGet(c.Context(), file, blob.Download{Name: ask.FileName()}, linkFor)
	return elsewhere(link.URL), err
}

// wish is how much a form of the answer is wanted: by the most exact of the media ranges that it is in, and where in the
// header that stands.
type wish struct {
	quality      float64
	exact, place int
}

// take is what remains wanted of a form that another range is about, too.
func (w wish) take(other wish) wish {
	if other.exact > w.exact || other.exact == w.exact && other.quality > w.quality {
		return other
	}
	return w
}

// wantsJSON chooses the form of the answer (section 6.1): the one of the higher quality, of two the one that is named first,
// of two in one range JSON. Who says nothing that can be read gets JSON.
func wantsJSON(accept []string) (bool, error) {
	var asXML, asJSON wish
	place := 0
	for one := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mediaType, params, err := mime.ParseMediaType(strings.TrimSpace(one))
		if err != nil {
			continue
		}
		place++
		w := wish{quality: 1, place: place}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			w.quality = q
		}
		switch mediaType {
		case "application/xml", "text/xml":
			w.exact = 3
			asXML = asXML.take(w)
		case "application/json":
			w.exact = 3
			asJSON = asJSON.take(w)
		case "application/*":
			w.exact = 2
			asXML, asJSON = asXML.take(w), asJSON.take(w)
		case "text/*":
			w.exact = 2
			asXML = asXML.take(w)
		case "*/*":
			w.exact = 1
			asXML, asJSON = asXML.take(w), asJSON.take(w)
		}
	}
	switch {
	case place == 0:
		return true, nil
	case asXML.quality <= 0 && asJSON.quality <= 0:
		return false, errNotAcceptable
	case asXML.quality != asJSON.quality:
		return asJSON.quality > asXML.quality, nil
	}
	return asJSON.place <= asXML.place, nil
}

// query are the parameters of a request, by their names in lower case (section 6.1).
type query map[string]string

// switches reads them. Of several of one name the last counts; what cannot be read is passed over.
func switches(raw string) query {
	q := query{}
	for one := range strings.SplitSeq(raw, "&") {
		values, err := url.ParseQuery(one)
		if err != nil {
			continue
		}
		for name, v := range values {
			q[strings.ToLower(name)] = v[len(v)-1]
		}
	}
	return q
}

// is tells whether a switch is on: anything but y and yes is no.
func (q query) is(name string, usual bool) bool {
	v, sent := q[strings.ToLower(name)]
	if !sent {
		return usual
	}
	return strings.EqualFold(v, "y") || strings.EqualFold(v, "yes")
}
