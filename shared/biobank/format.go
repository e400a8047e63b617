package biobank

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// FormatKind says what a format names.
type FormatKind uint8

// The kinds. LabelFormat is for specimens made from a parent, PrimaryLabelFormat for those that have none, TagFormat for what
// both have besides: additional labels and barcodes.
const (
	PPIDFormat FormatKind = iota
	VisitNameFormat
	PrimaryLabelFormat
	LabelFormat
	TagFormat
)

// Counter is a sequence that a format draws a number from: it names the thing whose children are counted.
type Counter uint8

// The counters.
const (
	Global Counter = iota
	PerProtocol
	PerParticipant
	PerVisit
	PerParent

	counters // how many there are
)

// Format makes the PPIDs, visit names or specimen labels of a protocol. Its text is literal text with tokens:
//
//	%SYS_UID%         next number of the system                         all kinds
//	%CP_UID%          next number of the protocol                       all kinds
//	%CP_SHORT_TITLE%  short title of the protocol                       all kinds
//	%CP_CODE%         code of the protocol                              all kinds
//	%d, %05d          the same as %CP_UID%, %CP_UID(5)%                 PPIDs
//	%PPI%             PPID of the participant                           visit names, labels and tags
//	%PPI_UID%         next number of the participant                    visit names and labels
//	%EVENT_CODE%      code of the visit's event                         visit names, labels and tags
//	%EVENT_LABEL%     label of the visit's event                        visit names, labels and tags
//	%VISIT_NAME%      name of the visit                                 labels and tags
//	%VISIT_UID%       next number of the visit                          labels
//	%SPEC_TYPE%       type of the specimen                              labels and tags
//	%YR_OF_COLL%      year of the collection, four digits               labels and tags
//	%SPEC_LABEL%      label of the specimen                             tags
//	%PSPEC_LABEL%     label of the parent specimen                      labels of children
//	%PSPEC_UID%       next number of the parent specimen                labels of children
//	%%                a percent sign                                    all kinds
//
// A token that is a number may give a width, %SYS_UID(6)%, to which zeros fill it up; a longer number is not cut. Names
// of tokens are in capitals. A format must be able to tell two objects apart: it needs %SYS_UID% or %CP_UID%, or a
// narrower number together with what it counts below: %PPI% and %PPI_UID%, %VISIT_NAME% and %VISIT_UID%, %PSPEC_LABEL%
// and %PSPEC_UID%; that of a tag, the specimen's label. Literal text has to keep apart what two protocols number alike. The reference leaves the grammar open
// beyond the names of some tokens (openspecimen-rest.md 24).
//
// A Format does not change and may be used by several goroutines.
type Format struct {
	text    string
	parts   []part
	draws   []Counter
	pattern func() *regexp.Regexp
}

// part is literal text or a token.
type part struct {
	token   *token // nil: literal
	literal string
	width   int
}

type token struct {
	name    string
	kinds   []FormatKind
	counts  bool
	counter Counter
	value   func(*FormatValues) string
}

var (
	allKinds    = []FormatKind{PPIDFormat, VisitNameFormat, PrimaryLabelFormat, LabelFormat, TagFormat}
	belowPerson = allKinds[1:]
	ofSpecimens = allKinds[2:]
	namesBelow  = allKinds[1:4]
	labelKinds  = allKinds[2:4]
	childLabels = allKinds[3:4]
	tagKinds    = allKinds[4:]
)

// tokens is the table of the doc comment of Format.
var tokens = []token{
	{name: "SYS_UID", kinds: allKinds, counts: true, counter: Global},
	{name: "CP_UID", kinds: allKinds, counts: true, counter: PerProtocol},
	{name: "CP_SHORT_TITLE", kinds: allKinds, value: func(v *FormatValues) string { return v.ShortTitle }},
	{name: "CP_CODE", kinds: allKinds, value: func(v *FormatValues) string { return v.ProtocolCode }},
	{name: "PPI", kinds: belowPerson, value: func(v *FormatValues) string { return v.PPID }},
	{name: "PPI_UID", kinds: namesBelow, counts: true, counter: PerParticipant},
	{name: "EVENT_CODE", kinds: belowPerson, value: func(v *FormatValues) string { return v.EventCode }},
	{name: "EVENT_LABEL", kinds: belowPerson, value: func(v *FormatValues) string { return v.EventLabel }},
	{name: "VISIT_NAME", kinds: ofSpecimens, value: func(v *FormatValues) string { return v.VisitName }},
	{name: "VISIT_UID", kinds: labelKinds, counts: true, counter: PerVisit},
	{name: "SPEC_TYPE", kinds: ofSpecimens, value: func(v *FormatValues) string { return v.SpecimenType }},
	{name: "YR_OF_COLL", kinds: ofSpecimens, value: func(v *FormatValues) string { return v.year() }},
	{name: "SPEC_LABEL", kinds: tagKinds, value: func(v *FormatValues) string { return v.Label }},
	{name: "PSPEC_LABEL", kinds: childLabels, value: func(v *FormatValues) string { return v.ParentLabel }},
	{name: "PSPEC_UID", kinds: childLabels, counts: true, counter: PerParent},
}

// FormatValues is what a format puts in place of its tokens. Only what its tokens name has to be set.
type FormatValues struct {
	ShortTitle, ProtocolCode string
	PPID                     string
	EventCode, EventLabel    string
	VisitName                string
	SpecimenType             string
	CollectionYear           int
	Label                    string
	ParentLabel              string
	// Numbers holds the number drawn from each counter.
	Numbers [counters]int64
}

func (v *FormatValues) year() string {
	if v.CollectionYear == 0 {
		return ""
	}
	return fmt.Sprintf("%04d", v.CollectionYear)
}

const (
	maxFormat      = 255
	maxFormatWidth = 18
)

// ParseFormat reads a format. The text of the error completes a sentence that begins with the name of the field ("The
// PPID format " + text). A blank text is refused: a protocol without a format has none.
func ParseFormat(kind FormatKind, text string) (*Format, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New("is blank")
	case len(text) > maxFormat:
		return nil, fmt.Errorf("is longer than %d characters", maxFormat)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return nil, errors.New("holds a character that cannot be printed")
	}
	f := &Format{text: text}
	literal := func(s string) {
		if last := len(f.parts) - 1; last >= 0 && f.parts[last].token == nil {
			f.parts[last].literal += s
		} else {
			f.parts = append(f.parts, part{literal: s})
		}
	}
	for rest := text; rest != ""; {
		at := strings.IndexByte(rest, '%')
		if at != 0 {
			if at < 0 {
				at = len(rest)
			}
			literal(rest[:at])
			rest = rest[at:]
			continue
		}
		if strings.HasPrefix(rest, "%%") {
			literal("%")
			rest = rest[2:]
			continue
		}
		p, n, err := parseToken(kind, rest)
		if err != nil {
			return nil, err
		}
		f.parts = append(f.parts, p)
		rest = rest[n:]
	}
	for _, p := range f.parts {
		if p.token != nil && p.token.counts && !slices.Contains(f.draws, p.token.counter) {
			f.draws = append(f.draws, p.token.counter)
		}
	}
	slices.Sort(f.draws)
	if !f.unique() {
		return nil, fmt.Errorf("cannot tell two apart: it needs %s", uniqueBy[kind])
	}
	f.pattern = sync.OnceValue(f.compile)
	return f, nil
}

// printfNumber is the short form of %CP_UID% in PPID formats.
var printfNumber = regexp.MustCompile(`^%(0[0-9]+)?d`)

// parseToken reads the token at the beginning of s, which begins with a percent sign, and tells its length.
func parseToken(kind FormatKind, s string) (part, int, error) {
	if m := printfNumber.FindStringSubmatch(s); m != nil && kind == PPIDFormat {
		width, err := parseWidth(m[0], m[1])
		return part{token: findToken("CP_UID"), width: width}, len(m[0]), err
	}
	end := strings.IndexByte(s[1:], '%')
	if end < 0 {
		return part{}, 0, fmt.Errorf("has no closing %% after %q; a percent sign itself is written %%%%", s)
	}
	whole := s[:end+2]
	name, args, hasArgs := strings.Cut(s[1:end+1], "(")
	t := findToken(name)
	switch {
	case t == nil:
		return part{}, 0, fmt.Errorf("has %s, which is not a known token", whole)
	case !slices.Contains(t.kinds, kind):
		return part{}, 0, fmt.Errorf("has %s, which has no value there", whole)
	case !hasArgs:
		return part{token: t}, len(whole), nil
	case !t.counts:
		return part{}, 0, fmt.Errorf("gives a width to %s, which is not a number", whole)
	}
	digits, closed := strings.CutSuffix(args, ")")
	if !closed {
		return part{}, 0, fmt.Errorf("has %s without the closing bracket", whole)
	}
	width, err := parseWidth(whole, digits)
	return part{token: t, width: width}, len(whole), err
}

func findToken(name string) *token {
	for i := range tokens {
		if tokens[i].name == name {
			return &tokens[i]
		}
	}
	return nil
}

func parseWidth(whole, digits string) (int, error) {
	if digits == "" && strings.HasSuffix(whole, "d") {
		return 0, nil // %d
	}
	width, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || width < 1 || width > maxFormatWidth {
		return 0, fmt.Errorf("has %s, whose width is not between 1 and %d", whole, maxFormatWidth)
	}
	return int(width), nil
}

// uniqueBy ends the sentence that a format of the kind does not make unique values.
var uniqueBy = map[FormatKind]string{
	PPIDFormat:         "%CP_UID% or %SYS_UID% (or %d)",
	VisitNameFormat:    "%SYS_UID%, %CP_UID%, or %PPI% with %PPI_UID%",
	PrimaryLabelFormat: "%SYS_UID%, %CP_UID%, %PPI% with %PPI_UID%, or %VISIT_NAME% with %VISIT_UID%",
	LabelFormat:        "%SYS_UID%, %CP_UID%, or one of %PPI%, %VISIT_NAME%, %PSPEC_LABEL% with its number",
	TagFormat:          "%SYS_UID%, %CP_UID% or %SPEC_LABEL%",
}

func (f *Format) unique() bool {
	has := func(name string) bool {
		return slices.ContainsFunc(f.parts, func(p part) bool { return p.token != nil && p.token.name == name })
	}
	return has("SYS_UID") || has("CP_UID") || has("SPEC_LABEL") ||
		has("PPI") && has("PPI_UID") ||
		has("VISIT_NAME") && has("VISIT_UID") ||
		has("PSPEC_LABEL") && has("PSPEC_UID")
}

// String is the text that the format was read from.
func (f *Format) String() string { return f.text }

// Counters lists the counters that the format draws from, each once. The caller must not change the list.
func (f *Format) Counters() []Counter { return f.draws }

// Make writes the format with the values. A value that is not set is left out.
func (f *Format) Make(v *FormatValues) string {
	buf := make([]byte, 0, 64)
	for _, p := range f.parts {
		switch {
		case p.token == nil:
			buf = append(buf, p.literal...)
		case p.token.counts:
			buf = appendPadded(buf, v.Numbers[p.token.counter], p.width)
		default:
			buf = append(buf, p.token.value(v)...)
		}
	}
	return string(buf)
}

func appendPadded(buf []byte, n int64, width int) []byte {
	var digits [20]byte
	s := strconv.AppendInt(digits[:0], n, 10)
	for i := len(s); i < width; i++ {
		buf = append(buf, '0')
	}
	return append(buf, s...)
}

// Matches tells whether a text that a person made up fits the format: the literal text, digits for numbers in at least
// the width, four digits or nothing for a year, and anything (an unplanned visit has no event) for the other tokens.
func (f *Format) Matches(text string) bool { return f.pattern().MatchString(text) }

func (f *Format) compile() *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for _, p := range f.parts {
		switch {
		case p.token == nil:
			b.WriteString(regexp.QuoteMeta(p.literal))
		case p.token.counts:
			fmt.Fprintf(&b, `[0-9]{%d,}`, max(p.width, 1))
		case p.token.name == "YR_OF_COLL":
			b.WriteString(`([0-9]{4})?`)
		default:
			b.WriteString(`.*`)
		}
	}
	b.WriteString(`$`)
	return regexp.MustCompile(b.String())
}
