package biobank

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"aliquot/shared/fault"
)

// FormDefinition is what a form's JSON says about its values (reference openspecimen-rest.md 18.2). The JSON itself is kept
// as it was sent; a definition is read out of it whenever it is needed.
type FormDefinition struct {
	Name     string
	Caption  string
	Controls []*Control
}

// Control is one field of a form.
type Control struct {
	// Name is the field's own name, which values are stored under; UDN is the name that its author gave it. Where the
	// definition has only one of them, it is both.
	Name, UDN string
	Caption   string
	// Type is the type's name in the definition.
	Type string
	Kind ControlKind
	// Mandatory fields must be filled in before a record is COMPLETE.
	Mandatory bool
	// PHI fields identify a person. A sub-form with such a field is one as a whole.
	PHI bool
	PVs []PV
	// Controls are the fields of a sub-form.
	Controls []*Control

	layout   string // of dates, as package time has it
	hasTime  bool
	integral bool
}

// PV is a value that may be selected.
type PV struct {
	Value, Name string
	// JSON is the value as the definition has it.
	JSON json.RawMessage
}

// ControlKind is how the values of a control are read and stored.
type ControlKind uint8

// The kinds. The type names behind them are those that clients send, in any case; the reference leaves those of numbers,
// dates, files and sub-forms open (24). A type that is not known is a text.
const (
	KindText ControlKind = iota
	KindNumber
	KindBoolean
	KindDate
	KindSelect
	KindMultiSelect
	KindFile
	KindSubForm
	// KindLayout shows something and holds no value.
	KindLayout
)

var controlKinds = map[string]ControlKind{
	"numberfield": KindNumber, "numeric": KindNumber, "number": KindNumber,
	"booleancheckbox": KindBoolean, "checkbox": KindBoolean, "boolean": KindBoolean,
	"datepicker": KindDate, "date": KindDate,
	"combobox": KindSelect, "listbox": KindSelect, "radiobutton": KindSelect, "dropdown": KindSelect,
	"multiselectlistbox": KindMultiSelect, "multiselectcheckbox": KindMultiSelect, "multiselectbox": KindMultiSelect, "multiselect": KindMultiSelect,
	"fileupload": KindFile, "signature": KindFile,
	"subform": KindSubForm,
	"label":   KindLayout, "heading": KindLayout, "note": KindLayout, "pagebreak": KindLayout, "link": KindLayout,
}

// The limits of a definition.
const (
	maxDefinition = 300 << 10 // an item of the store holds 400 KB
	maxControls   = 1000
	maxSubForms   = 3 // levels
)

// reservedNames are the members of a record on the wire that are no fields (18.4).
var reservedNames = []string{"id", "recordId", "appData"}

// loose is a member that clients send as text, number, boolean or null.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	text := string(b)
	switch {
	case text == "null":
		text = ""
	case text[0] == '"':
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	case text[0] == '{' || text[0] == '[':
		text = "" // an object where a text belongs says nothing that is read here
	}
	*l = loose(strings.TrimSpace(text))
	return nil
}

func (l loose) on() bool { return strings.EqualFold(string(l), "true") }

type controlJSON struct {
	Type, Name, UDN, Caption, Format, DataType loose
	Mandatory, PHI                             loose
	PVs                                        []json.RawMessage
	Rows                                       [][]controlJSON
	ValidationRules                            []struct{ Name loose }
	NoOfDigitsAfterDecimal                     loose
}

// ParseForm reads a definition: name, caption, and the rows of controls. A definition that cannot be used is
// FORMS_INVALID_REQ, one without a name FORMS_NAME_REQUIRED; all that is wrong is told.
func ParseForm(definition []byte) (*FormDefinition, error) {
	if len(definition) > maxDefinition {
		return nil, fault.New("FORMS_INVALID_REQ", "The form's definition is %d KB; at most %d KB are possible. Split the form.", len(definition)>>10, maxDefinition>>10)
	}
	var doc struct {
		Name, Caption loose
		Rows          [][]controlJSON
	}
	if err := json.Unmarshal(definition, &doc); err != nil {
		return nil, fault.New("FORMS_INVALID_REQ", "The form's definition is not valid: it must be an object with name, caption and rows, an array of arrays of controls.").Wrap(err)
	}
	f := &FormDefinition{Name: string(doc.Name), Caption: string(doc.Caption)}
	var l fault.List
	if f.Name == "" {
		l.Add("FORMS_NAME_REQUIRED", "Give the name of the form.")
	}
	if f.Caption == "" {
		f.Caption = f.Name
	}
	tooLong(&l, "The form's name", f.Name, 255)
	tooLong(&l, "The form's caption", f.Caption, 255)
	count := 0
	f.Controls = parseControls(&l, doc.Rows, 0, &count)
	if count > maxControls {
		l.Add("FORMS_INVALID_REQ", "The form has %d controls; at most %d are possible.", count, maxControls)
	}
	if len(l) > 0 {
		return nil, l
	}
	return f, nil
}

func parseControls(l *fault.List, rows [][]controlJSON, depth int, count *int) []*Control {
	var all []*Control
	names := map[string]bool{}
	for _, row := range rows {
		for i := range row {
			*count++
			c := parseControl(l, &row[i], depth, count)
			if c.Kind == KindLayout {
				continue
			}
			switch {
			case c.Name == "":
				l.Add("FORMS_INVALID_REQ", "A control of type %q has neither name nor udn.", c.Type)
			case slices.Contains(reservedNames, c.Name) || slices.Contains(reservedNames, c.UDN):
				l.Add("FORMS_INVALID_REQ", "A control cannot be named %q: records have a member of that name already.", c.Name)
			case names["n "+c.Name]:
				l.Add("FORMS_INVALID_REQ", "Two controls are named %q.", c.Name)
			case names["u "+c.UDN]:
				l.Add("FORMS_INVALID_REQ", "Two controls have the udn %q.", c.UDN)
			}
			names["n "+c.Name], names["u "+c.UDN] = true, true
			tooLong(l, "A control's name", c.Name, 255)
			tooLong(l, "A control's udn", c.UDN, 255)
			all = append(all, c)
		}
	}
	return all
}

func parseControl(l *fault.List, j *controlJSON, depth int, count *int) *Control {
	c := &Control{
		Name: string(j.Name), UDN: string(j.UDN), Caption: string(j.Caption), Type: string(j.Type), PHI: j.PHI.on(),
		Mandatory: j.Mandatory.on() || slices.ContainsFunc(j.ValidationRules, func(r struct{ Name loose }) bool { return strings.EqualFold(string(r.Name), "required") }),
		Kind:      controlKinds[strings.ToLower(string(j.Type))],
	}
	if c.Name == "" {
		c.Name = c.UDN
	}
	if c.UDN == "" {
		c.UDN = c.Name
	}
	if c.Caption == "" {
		c.Caption = c.UDN
	}
	for _, raw := range j.PVs {
		var pv struct{ Value, OptionName loose }
		into := any(&pv)
		if raw[0] != '{' {
			into = &pv.Value // a bare text stands for itself
		}
		if err := json.Unmarshal(raw, into); err != nil || raw[0] == '[' {
			l.Add("FORMS_INVALID_REQ", "Control %q has a pv that is neither a text nor an object with value and optionName.", c.UDN)
			continue
		}
		if pv.Value == "" {
			pv.Value = pv.OptionName
		}
		if pv.Value != "" {
			c.PVs = append(c.PVs, PV{Value: string(pv.Value), Name: string(pv.OptionName), JSON: raw})
		}
	}
	switch c.Kind {
	case KindBoolean:
		if len(c.PVs) > 0 {
			c.Kind = KindMultiSelect // a group of boxes
		}
	case KindNumber:
		c.integral = strings.EqualFold(string(j.DataType), "INTEGER") || j.NoOfDigitsAfterDecimal == "0"
	case KindDate:
		format := string(j.Format)
		if format == "" {
			format = "yyyy-MM-dd"
		}
		c.layout, c.hasTime = javaLayout.Replace(format), strings.ContainsAny(format, "Hhm")
		foreign := strings.ContainsFunc(format, func(r rune) bool {
			return unicode.IsLetter(r) && !strings.ContainsRune("yMdHhmsa", r) || unicode.IsDigit(r)
		})
		if foreign || !strings.Contains(format, "yy") || !strings.Contains(format, "M") || !strings.Contains(format, "d") {
			l.Add("FORMS_INVALID_REQ", "Control %q has a date format that is not valid: %q.", c.UDN, format)
		}
	case KindSubForm:
		if depth == maxSubForms {
			l.Add("FORMS_INVALID_REQ", "Sub-forms are nested deeper than %d levels.", maxSubForms)
			break
		}
		c.Controls = parseControls(l, j.Rows, depth+1, count)
		c.PHI = c.PHI || slices.ContainsFunc(c.Controls, func(c *Control) bool { return c.PHI })
	}
	return c
}

// javaLayout turns the date formats of controls, which are Java's, into layouts.
var javaLayout = strings.NewReplacer(
	"yyyy", "2006", "yy", "06", "MMMM", "January", "MMM", "Jan", "MM", "01", "M", "1", "dd", "02", "d", "2",
	"HH", "15", "H", "15", "hh", "03", "h", "3", "mm", "04", "ss", "05", "a", "PM", "'", "",
)

// control finds a field by its name, or, where the caller uses those or there is no such name, by its udn.
func control(all []*Control, name string, byUDN bool) *Control {
	named := func(c *Control) bool { return c.Name == name }
	known := func(c *Control) bool { return c.UDN == name }
	if byUDN {
		named, known = known, named
	}
	for _, is := range []func(*Control) bool{named, known} {
		if i := slices.IndexFunc(all, is); i >= 0 {
			return all[i]
		}
	}
	return nil
}

// Field finds a field of the form by name or udn, also "<sub-form>.<field>"; nil when there is none.
func (f *FormDefinition) Field(name string) *Control {
	all := f.Controls
	for {
		if c := control(all, name, false); c != nil {
			return c
		}
		head, rest, ok := strings.Cut(name, ".")
		sub := control(all, head, false)
		if !ok || sub == nil {
			return nil
		}
		all, name = sub.Controls, rest
	}
}

// Key is the name that the control's values go by on the wire.
func (c *Control) Key(byUDN bool) string {
	if byUDN {
		return c.UDN
	}
	return c.Name
}

// DateTime tells whether the values of a date have a time.
func (c *Control) DateTime() bool { return c.hasTime }

// Selects tells whether values are chosen from a list.
func (c *Control) Selects() bool { return c.Kind == KindSelect || c.Kind == KindMultiSelect }

// Display is a stored value as people read it: dates in the control's format, options by their names, several joined by
// commas, files by name; "" for a sub-form.
func (c *Control) Display(value json.RawMessage) string {
	switch c.Kind {
	case KindDate:
		var ms int64
		if json.Unmarshal(value, &ms) == nil {
			return time.UnixMilli(ms).UTC().Format(c.layout)
		}
	case KindSelect:
		var text string
		if json.Unmarshal(value, &text) == nil {
			return c.option(text)
		}
	case KindMultiSelect:
		var texts []string
		if json.Unmarshal(value, &texts) == nil {
			for i := range texts {
				texts[i] = c.option(texts[i])
			}
			return strings.Join(texts, ", ")
		}
	case KindFile:
		var file FormFile
		if json.Unmarshal(value, &file) == nil {
			return file.Filename
		}
	case KindSubForm:
		return ""
	case KindText:
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text
		}
	}
	return string(value)
}

// option is the name of a value.
func (c *Control) option(value string) string {
	for _, pv := range c.PVs {
		if pv.Value == value && pv.Name != "" {
			return pv.Name
		}
	}
	return value
}
