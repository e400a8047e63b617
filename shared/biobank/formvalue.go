package biobank

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// FormValues are the filled-in fields of a form by the names of their controls, each in the one form in which it is
// stored: texts as they are, numbers without needless digits, dates in epoch milliseconds (of a day: its midnight in
// UTC), options by value, several as an array, files as an object, sub-forms as an array of objects.
type FormValues map[string]json.RawMessage

// FormFile is a file that a field holds. The id is that of an upload.
type FormFile struct {
	Filename    string `json:"filename"`
	FileID      string `json:"fileId"`
	ContentType string `json:"contentType,omitempty"`
}

// maxFormText bounds one text of a form, in characters.
const maxFormText = 16_000

// misfitting is why a value does not fit its control, as the end of a sentence that begins with the field.
type misfitting string

func (m misfitting) Error() string { return string(m) }

// canonical brings a value as JSON or a CSV cell has it into its stored form; nil for a blank one, which clears the
// field. The error tells what the value must be, without the value.
func (c *Control) canonical(v any, byUDN bool) (json.RawMessage, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if strings.TrimSpace(v) == "" {
			return nil, nil
		}
	}
	switch c.Kind {
	case KindNumber:
		return c.number(v)
	case KindBoolean:
		return boolean(v)
	case KindDate:
		return c.date(v)
	case KindSelect:
		text, err := plain(v)
		if err != nil {
			return nil, err
		}
		if text, err = c.choose(text); err != nil {
			return nil, err
		}
		return json.Marshal(text)
	case KindMultiSelect:
		return c.several(v)
	case KindFile:
		return file(v)
	case KindSubForm:
		return c.rows(v, byUDN)
	}
	text, err := plain(v)
	if err != nil {
		return nil, err
	}
	if len(text) > maxFormText && len([]rune(text)) > maxFormText {
		return nil, misfitting(fmt.Sprintf("is longer than %d characters", maxFormText))
	}
	return json.Marshal(text)
}

// plain is a text, or a number or boolean as one.
func plain(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v), nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", misfitting("must be a text")
}

func (c *Control) number(v any) (json.RawMessage, error) {
	text, err := plain(v)
	if _, is := v.(bool); is || err != nil {
		return nil, misfitting("must be a number")
	}
	n, ok := decimal(text)
	if !ok {
		return nil, misfitting("must be a number of at most 30 digits")
	}
	if c.integral && strings.Contains(n, ".") {
		return nil, misfitting("must be a whole number")
	}
	return json.RawMessage(n), nil
}

// decimal is a number without exponent, leading zeros and zeros behind the point.
func decimal(text string) (string, bool) {
	if len(text) > 64 {
		return "", false
	}
	if strings.ContainsAny(text, "eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "", false
		}
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	digits, negative := strings.CutPrefix(strings.TrimPrefix(text, "+"), "-")
	whole, part, _ := strings.Cut(digits, ".")
	for _, r := range whole + part {
		if r < '0' || r > '9' {
			return "", false
		}
	}
	whole, part = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	if len(digits) == 0 || digits == "." || len(whole)+len(part) > 30 {
		return "", false
	}
	if whole == "" {
		whole = "0"
	}
	if part != "" {
		whole += "." + part
	}
	if negative && whole != "0" {
		whole = "-" + whole
	}
	return whole, true
}

func boolean(v any) (json.RawMessage, error) {
	text, err := plain(v)
	if err != nil {
		return nil, misfitting("must be true or false")
	}
	switch strings.ToLower(text) {
	case "true", "yes", "1":
		return json.RawMessage("true"), nil
	case "false", "no", "0":
		return json.RawMessage("false"), nil
	}
	return nil, misfitting("must be true or false")
}

// date reads milliseconds, a text in the control's format, yyyy-MM-dd, or ISO-8601 with time and zone.
func (c *Control) date(v any) (json.RawMessage, error) {
	text, err := plain(v)
	wrong := misfitting("must be a date: milliseconds, " + time.Date(2021, 12, 31, 0, 0, 0, 0, time.UTC).Format(c.layout) + " or 2021-12-31")
	if err != nil {
		return nil, wrong
	}
	var at time.Time
	for _, layout := range []string{c.layout, time.DateOnly, time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00"} {
		if at, err = time.Parse(layout, text); err == nil {
			break
		}
	}
	if err != nil {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, wrong
		}
		at = time.UnixMilli(ms)
	}
	if at = at.UTC(); at.Year() < 1 || at.Year() > 9999 {
		return nil, misfitting("must be a date of the years 1 to 9999")
	}
	if !c.hasTime {
		at = at.Truncate(24 * time.Hour)
	}
	return strconv.AppendInt(nil, at.UnixMilli(), 10), nil
}

// choose finds an option by value or name, without regard to case. A control without options takes any text: its values
// come from a list that the definition does not hold.
func (c *Control) choose(text string) (string, error) {
	for _, pv := range c.PVs {
		if pv.Value == text {
			return pv.Value, nil
		}
	}
	for _, pv := range c.PVs {
		if Fold(pv.Value) == Fold(text) || Fold(pv.Name) == Fold(text) {
			return pv.Value, nil
		}
	}
	if len(c.PVs) > 0 {
		return "", misfitting("is not in the list of permissible values")
	}
	return text, nil
}

func (c *Control) several(v any) (json.RawMessage, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var chosen []string
	seen := map[string]bool{}
	for _, one := range list {
		if one == nil {
			continue
		}
		text, err := plain(one)
		if err != nil {
			return nil, misfitting("must be an array of texts")
		}
		if text == "" {
			continue
		}
		if text, err = c.choose(text); err != nil {
			return nil, err
		}
		if !seen[text] {
			chosen, seen[text] = append(chosen, text), true
		}
	}
	if chosen == nil {
		return nil, nil
	}
	return json.Marshal(chosen)
}

// file reads {filename, fileId, contentType}. That the upload exists is for whoever knows of uploads to check.
func file(v any) (json.RawMessage, error) {
	wrong := misfitting("must be a file: {filename, fileId, contentType}, with the fileId of an upload")
	o, ok := v.(map[string]any)
	if !ok {
		return nil, wrong
	}
	if len(o) == 0 {
		return nil, nil
	}
	text := func(name string) string { s, _ := o[name].(string); return strings.TrimSpace(s) }
	f := FormFile{Filename: text("filename"), FileID: text("fileId"), ContentType: text("contentType")}
	if f.FileID == "" || len(f.FileID) > 64 || len(f.Filename) > 255 || len(f.ContentType) > 255 {
		return nil, wrong
	}
	return json.Marshal(f)
}

// rows reads a sub-form: an array of objects; one that stands alone is the only row.
func (c *Control) rows(v any, byUDN bool) (json.RawMessage, error) {
	list, ok := v.([]any)
	if one, is := v.(map[string]any); is {
		list, ok = []any{one}, true
	}
	if !ok {
		return nil, misfitting("must be an array of objects")
	}
	var out []FormValues
	for i, one := range list {
		row, ok := one.(map[string]any)
		if !ok {
			return nil, misfitting("must be an array of objects")
		}
		values := FormValues{}
		for name, v := range row {
			sub := control(c.Controls, name, byUDN)
			if sub == nil {
				continue
			}
			value, err := sub.canonical(v, byUDN)
			if err != nil {
				return nil, misfitting(fmt.Sprintf("is not valid in row %d: %s %s", i+1, sub.Caption, err))
			}
			if value != nil {
				values[sub.Name] = value
			}
		}
		if len(values) > 0 {
			out = append(out, values)
		}
	}
	if out == nil {
		return nil, nil
	}
	return json.Marshal(out)
}

// SentValues are the values of a form as a caller sent them: by names or udns, as package json or a CSV file gives them.
type SentValues struct {
	Values map[string]any
	ByUDN  bool
	// Patch keeps what is not among the values; otherwise that is cleared.
	Patch bool
	// Strict refuses fields that the form does not have; otherwise they are passed over, as all unknown members of a body.
	Strict bool
}

// put is what the values will be when what was sent is put onto what was stored. Without the right to identifying values
// (phi) those stay as they are: the caller was shown none and sends none back, and to send one is refused. All that
// is wrong is added to l. complete asks for the mandatory fields.
func (f *FormDefinition) put(l *fault.List, was FormValues, sent *SentValues, complete, phi bool) FormValues {
	is := FormValues{}
	if sent.Patch {
		is = maps.Clone(was)
		if is == nil {
			is = FormValues{}
		}
	}
	if !phi {
		for _, c := range f.Controls {
			if v, ok := was[c.Name]; ok && c.PHI {
				is[c.Name] = v
			}
		}
	}
	for name, v := range sent.Values {
		c := control(f.Controls, name, sent.ByUDN)
		if c == nil {
			if sent.Strict && name == "" {
				l.Add("COMMON_CUSTOM_FIELD_NAME_REQ", "Give each field of form %q its name or udn.", f.Caption)
			} else if sent.Strict {
				l.Add("FORMS_INVALID_DATA", "Form %q has no field %q.", f.Caption, short(name))
			}
			continue
		}
		value, err := c.canonical(v, sent.ByUDN)
		switch {
		case err != nil:
			l.Add("FORMS_INVALID_DATA", "%s of form %q %s.", c.Caption, f.Caption, err)
		case c.PHI && !phi:
			if value != nil { // be it the stored one, which could be guessed
				l.Add("PARTICIPANT_CANNOT_UPDATE_PHI", "You do not have the right to save %s of form %q, which identifies a person.", c.Caption, f.Caption)
			}
		case value == nil:
			delete(is, c.Name)
		default:
			is[c.Name] = value
		}
	}
	if complete {
		f.filled(l, f.Controls, is, phi)
	}
	return is
}

// filled adds the mandatory fields that are missing to l, of sub-forms in each of their rows.
func (f *FormDefinition) filled(l *fault.List, all []*Control, values FormValues, phi bool) {
	for _, c := range all {
		value, ok := values[c.Name]
		if !ok && c.Mandatory && (phi || !c.PHI) {
			l.Add("FORMS_INVALID_DATA", "Give %s of form %q, or save it as DRAFT.", c.Caption, f.Caption)
		}
		if !ok || c.Kind != KindSubForm {
			continue
		}
		for _, row := range c.Rows(value) {
			f.filled(l, c.Controls, row, phi)
		}
	}
}

// Rows are the rows of a stored sub-form.
func (c *Control) Rows(value json.RawMessage) []FormValues {
	var rows []FormValues
	if json.Unmarshal(value, &rows) != nil {
		return nil // the control was something else when the value was stored
	}
	return rows
}

// Shown are the values that may be shown: all, or those that do not identify a person.
func (f *FormDefinition) Shown(values FormValues, phi bool) FormValues {
	shown := FormValues{}
	for _, c := range f.Controls {
		if v, ok := values[c.Name]; ok && (phi || !c.PHI) {
			shown[c.Name] = v
		}
	}
	return shown
}

// short cuts what a message repeats to a length that a reader takes in.
func short(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "..."
	}
	return s
}

// formStatus checks the status of a record; blank is COMPLETE, which is stored as blank.
func formStatus(l *fault.List, s string) string {
	switch strings.ToUpper(s) {
	case "", EntryComplete:
		return ""
	case EntryDraft:
		return EntryDraft
	}
	l.Add("FORMS_INV_DATA_STATUS", "Form status %q is not valid. It is COMPLETE or DRAFT.", short(s))
	return ""
}
