package odmapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/odm"
)

// The retrieval of clinical data (sections 6 and 7).

func retrieveRoutes() []route {
	return []route{{pattern: "GET /clinicaldata/{study}/{participant}/{event}/{form}", tell: asText, serve: retrieve}}
}

// maxRetrieval is how long data are collected: what takes longer would not reach the caller.
const maxRetrieval = 22 * time.Second

// retrieve answers with the data of a study or site as ODM, in XML or JSON. Each of participant, event and form may be *; an
// event may be several with commas, and one of its repeats as SE_A[2]. Who has no role gets a document without data.
func retrieve(c *call) (any, error) {
	asJSON, err := wantsJSON(c.Header.Values("Accept"))
	if err != nil {
		return nil, err
	}
	place, err := c.api.Registry.Place(c.Context(), c.PathValue("study"))
	if err != nil {
		return nil, err
	}
	q := switches(c.URL.Query())
	r, err := c.retrieval(place, q)
	if err != nil {
		return nil, err
	}
	count, err := r.Find(c.Context())
	if err != nil {
		return nil, err
	}
	out := &spill{call: c, contentType: "application/xml"}
	w := odm.NewXMLWriter(out)
	if asJSON {
		out.contentType = "application/json"
		w = odm.NewJSONWriter(out, odm.JSON{ClinicalData: count})
	}
	if err := c.document(place, r, q, w); err != nil {
		return nil, errors.Join(err, out.abort())
	}
	return out.answer()
}

// document writes the parts that are asked for.
func (c *call) document(place *clinical.Place, r *clinical.Retrieval, q query, w *odm.Writer) error {
	err := w.Write(&odm.ODM{
		FileOID: "Study-MetaD" + c.at.Format("20060102150405-0700"), Description: "Study Metadata",
		CreationDateTime: c.at.Format("2006-01-02T15:04:05-07:00"), FileType: "Snapshot", ODMVersion: "1.3",
	})
	if err != nil {
		return err
	}
	if q.is("includeMetadata", false) && len(r.Scopes) > 0 && place.Study.Version > 0 {
		if err := c.definitions(place, r.Scopes, w); err != nil {
			return err
		}
	}
	if q.is("clinicalData", true) {
		if err := r.Data(c.Context(), func(p odm.Part) error { return c.within(w.Write(p)) }); err != nil {
			return err
		}
	}
	return w.Close()
}

// within ends what takes too long.
func (c *call) within(err error) error {
	if err == nil && c.api.Now().Sub(c.at) > maxRetrieval {
		return fault.New("COMMON_INVALID_REQUEST",
			"This is more than one request can collect in time. Ask for it by site, participant, event or form.").WithKind(fault.Busy)
	}
	return err
}

// wantsJSON chooses the form of the answer (section 6.1).
func wantsJSON(accept []string) (bool, error) {
	known := false
	for _, header := range accept {
		for one := range strings.SplitSeq(header, ",") {
			mediaType, _, err := mime.ParseMediaType(strings.TrimSpace(one))
			if err != nil {
				continue
			}
			known = true
			switch strings.ToLower(mediaType) {
			case "application/xml", "text/xml":
				return false, nil
			case "application/json", "*/*", "application/*":
				return true, nil
			}
		}
	}
	if known {
		return false, errNotAcceptable
	}
	return true, nil
}

// query are the parameters of a request, by their names in lower case (section 6.1).
type query map[string]string

func switches(v url.Values) query {
	q := query{}
	for name, values := range v {
		q[strings.ToLower(name)] = values[len(values)-1]
	}
	return q
}

// is tells whether a switch is on.
func (q query) is(name string, usual bool) bool {
	v, sent := q[strings.ToLower(name)]
	if !sent || v == "" {
		return usual
	}
	return strings.EqualFold(v, "y") || strings.EqualFold(v, "yes")
}

// retrieval is what a request asks for, as far as the caller may see it.
func (c *call) retrieval(place *clinical.Place, q query) (*clinical.Retrieval, error) {
	any := func(name string) string {
		if v := c.PathValue(name); v != "*" {
			return v
		}
		return ""
	}
	r := &clinical.Retrieval{
		Store: c.api.Registry.Store, Study: place.Study.ID, Participant: any("participant"), Form: any("form"),
		Audits: q.is("includeAudits", false), Notes: q.is("includeDNs", false) || q.is("includeDN", false),
		Archived: q.is("showArchived", false), User: c.people(),
	}
	for one := range strings.SplitSeq(any("event"), ",") {
		if one == "" {
			continue
		}
		o := clinical.Occurrence{Event: one}
		if event, key, ok := strings.Cut(strings.TrimSuffix(one, "]"), "["); ok {
			n, err := strconv.Atoi(key)
			if err != nil || n < 1 {
				n = -1 // no repeat has that number
			}
			o = clinical.Occurrence{Event: event, Key: n}
		}
		r.Events = append(r.Events, o)
	}
	if c.actor.MayRead(place) != nil || place.Study.Version == 0 {
		return r, nil // nothing to see
	}
	var err error
	r.Scopes, err = c.scopes(place)
	return r, err
}

// scopes are the study and the sites that were asked for and that the caller sees.
func (c *call) scopes(place *clinical.Place) ([]clinical.Scope, error) {
	meta, err := c.api.Registry.Metadata(c.Context(), place.Study)
	if err != nil {
		return nil, err
	}
	if place.IsSite() {
		return []clinical.Scope{{ID: place.Site.ID, OID: place.Site.OID, Meta: meta.For(place.Site.OID)}}, nil
	}
	sites, err := c.api.Registry.Sites(c.Context(), place.Study.ID)
	if err != nil {
		return nil, err
	}
	all, only := c.actor.Sees(place.Study)
	var out []clinical.Scope
	if all {
		out = append(out, clinical.Scope{ID: place.Study.ID, OID: place.Study.OID, Meta: meta.Study})
	}
	for _, s := range sites {
		switch {
		case all:
			// Who sees the whole study sees forms that a site hides.
			out = append(out, clinical.Scope{ID: s.ID, OID: s.OID, Meta: meta.Study})
		case only[s.ID]:
			out = append(out, clinical.Scope{ID: s.ID, OID: s.OID, Meta: meta.For(s.OID)})
		}
	}
	return out, nil
}

// people finds users, each once for a request.
func (c *call) people() func(context.Context, int64) (clinical.Person, error) {
	known := map[int64]clinical.Person{}
	return func(ctx context.Context, id int64) (clinical.Person, error) {
		if p, ok := known[id]; ok {
			return p, nil
		}
		key := biobank.SetKey(biobank.User, id)
		recs, err := c.api.Users.Fetch(ctx, key)
		if err != nil {
			return clinical.Person{}, err
		}
		doc, err := biobank.Decode[biobank.UserDoc](recs[key])
		if err != nil {
			return clinical.Person{}, err
		}
		p := clinical.Person{ID: id, Login: doc.LoginName, Name: strings.TrimSpace(doc.FirstName + " " + doc.LastName)}
		known[id] = p
		return p, nil
	}
}

// definitions writes the metadata of the study and of its sites, and who has a role there, each as far as the caller sees
// it: somebody of a site gets the definitions of the study under the site's OID, without what the site hides.
func (c *call) definitions(place *clinical.Place, scopes []clinical.Scope, w *odm.Writer) error {
	studies, err := c.api.Registry.Definitions(c.Context(), place.Study)
	if err != nil {
		return err
	}
	byOID := map[string]*odm.Study{}
	for _, s := range studies {
		byOID[clinical.Fold(s.OID)] = s
	}
	whole := byOID[clinical.Fold(place.Study.OID)]
	if whole == nil {
		return fmt.Errorf("the metadata of study %d do not define it", place.Study.ID)
	}
	withStudy := slices.ContainsFunc(scopes, func(s clinical.Scope) bool { return s.ID == place.Study.ID })
	for _, s := range scopes {
		own := byOID[clinical.Fold(s.OID)]
		if !withStudy {
			own = visible(whole, s)
		}
		if own == nil {
			continue // the study's definitions hold as they are
		}
		if err := w.Write(own); err != nil {
			return err
		}
	}
	for _, s := range scopes {
		admin, err := c.admin(s)
		if err != nil {
			return err
		}
		if len(admin.User) == 0 {
			continue
		}
		if err := w.Write(admin); err != nil {
			return err
		}
	}
	return nil
}

// visible is a study's definition as one of its sites sees it.
func visible(study *odm.Study, site clinical.Scope) *odm.Study {
	s := *study
	s.OID = site.OID
	s.MetaDataVersion = slices.Clone(s.MetaDataVersion)
	for i := range s.MetaDataVersion {
		v := &s.MetaDataVersion[i]
		v.StudyEventDef = slices.Clone(v.StudyEventDef)
		for j := range v.StudyEventDef {
			e := &v.StudyEventDef[j]
			def := site.Meta.Event(e.OID)
			e.FormRef = slices.DeleteFunc(slices.Clone(e.FormRef), func(f odm.FormRef) bool {
				form := site.Meta.Form(f.FormOID)
				if def == nil || form == nil {
					return false
				}
				ref := def.Ref(form)
				return ref != nil && ref.Hidden
			})
		}
	}
	return &s
}

// admin are the users with a role at a study or site.
func (c *call) admin(s clinical.Scope) (*odm.AdminData, error) {
	out := &odm.AdminData{StudyOID: s.OID}
	ids, err := c.api.Registry.Holders(c.Context(), map[int64]bool{s.ID: true})
	if err != nil || len(ids) == 0 {
		return out, err
	}
	var keys []biobank.Key
	for _, id := range ids {
		keys = append(keys, biobank.SetKey(biobank.User, id))
	}
	users, err := c.api.Users.Fetch(c.Context(), keys...)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		doc, err := biobank.Decode[biobank.UserDoc](users[k])
		if err != nil {
			return nil, err
		}
		institute := biobank.SetKey(biobank.Institute, doc.InstituteID)
		recs, err := c.api.Users.Fetch(c.Context(), institute)
		if err != nil {
			return nil, err
		}
		of, err := biobank.Decode[biobank.InstituteDoc](recs[institute])
		if err != nil {
			return nil, err
		}
		out.User = append(out.User, odm.User{
			OID: clinical.UserOID(ids[i]), FullName: strings.TrimSpace(doc.FirstName + " " + doc.LastName),
			FirstName: doc.FirstName, LastName: doc.LastName, Organization: of.Name,
		})
	}
	return out, nil
}

// spill is an answer that goes to the results bucket once it is too large to be given inline (design.md section 6).
type spill struct {
	*call
	contentType string
	inline      bytes.Buffer
	stored      *blob.Writer
}

// Write implements io.Writer.
func (s *spill) Write(p []byte) (int, error) {
	if s.stored == nil && s.inline.Len()+len(p) <= maxBody {
		return s.inline.Write(p)
	}
	if s.stored == nil {
		s.stored = s.api.Blobs.Create(s.Context(), s.api.Results, s.key(), s.contentType)
		if _, err := s.inline.WriteTo(s.stored); err != nil {
			return 0, err
		}
	}
	return s.stored.Write(p)
}

func (s *spill) key() string { return "answers/" + s.id }

func (s *spill) abort() error {
	if s.stored == nil {
		return nil
	}
	return s.stored.Abort()
}

// answer is the body, or where it lies.
func (s *spill) answer() (any, error) {
	if s.stored == nil {
		return plainBody{s.contentType, s.inline.Bytes()}, nil
	}
	if err := s.stored.Close(); err != nil {
		return nil, err
	}
	name := "clinicaldata.xml"
	if s.contentType == "application/json" {
		name = "clinicaldata.json"
	}
	link, err := s.api.Blobs.PresignGet(s.Context(), blob.Object{Bucket: s.api.Results, Key: s.key()}, name, linkFor)
	return elsewhere(link.URL), err
}

// plainBody is a body as it is.
type plainBody struct {
	contentType string
	body        []byte
}

func (b plainBody) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", b.contentType+";charset=UTF-8")
	_, _ = io.Copy(w, bytes.NewReader(b.body)) // the caller may have hung up
}
