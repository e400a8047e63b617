package odmapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"aliquot/shared/blob"
	"aliquot/shared/fault"
)

// spill is an answer that goes to the results bucket once it is too large to be given inline (design.md section 6).
type spill struct {
	*call
	contentType string
	name        string // of the file, for who saves it
	inline      bytes.Buffer
	stored      *blob.Writer
}

func (c *call) spill(contentType, name string) *spill {
	return &spill{call: c, contentType: contentType, name: name}
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
func (s *spill) answer() (writer, error) {
	if s.stored == nil {
		return plainBody{s.contentType, s.inline.Bytes()}, nil
	}
	if err := s.stored.Close(); err != nil {
		return nil, err
	}
	file := blob.Object{Bucket: s.api.Results, Key: s.key()}
	link, err := s.api.Blobs.PresignGet(s.Context(), file, blob.Download{Name: s.name}, linkFor)
	return elsewhere(link.URL), err
}

// plainBody is a body as it is.
type plainBody struct {
	contentType string
	body        []byte
}

func (b plainBody) write(w http.ResponseWriter) (status int) {
	w.Header().Set("Content-Type", b.contentType+";charset=UTF-8")
	_, _ = io.Copy(w, bytes.NewReader(b.body)) // the caller may have hung up
	return http.StatusOK
}

// list answers with a JSON array between two texts, of which no more than a page is held. next gives the objects of the next
// page, and tells whether there is another one. A list that takes longer than the caller can wait is refused: it can be
// asked for page by page.
func list[T any](c *call, before string, next func() (page []T, more bool, err error), after string) (any, error) {
	out := c.spill("application/json", "answer.json")
	if err := writePages(out, before+"[", next, "]"+after); err != nil {
		if broken := out.abort(); broken != nil {
			return nil, broken
		}
		return nil, err
	}
	return out.answer()
}

func writePages[T any](s *spill, text string, next func() (page []T, more bool, err error), after string) error {
	for more := true; more; {
		page, another, err := next()
		if err != nil {
			return err
		}
		more = another
		if more && s.api.Now().Sub(s.at) >= s.api.Patience {
			return fault.New("COMMON_INVALID_REQUEST", "The list takes longer than an answer may. Ask for pages of it with maxResults and after.")
		}
		for i := range page {
			body, err := json.Marshal(&page[i])
			if err != nil {
				return fmt.Errorf("encode a list: %w", err)
			}
			if _, err := s.Write(append([]byte(text), body...)); err != nil {
				return err
			}
			text = ","
		}
	}
	if text != "," { // nothing came
		after = text + after
	}
	_, err := io.WriteString(s, after)
	return err
}
