package biobank

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the specimen as encoding/json would write it, byte for byte. Specimens come by the million, and half
// of an import's time would go into reflection on them.
func (s *SpecimenDoc) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = jsonInt(b, "reqId", s.RequirementID)
	b = jsonText(b, "label", s.Label)
	b = jsonText(b, "additionalLabel", s.AdditionalLabel)
	b = jsonText(b, "barcode", s.Barcode)
	b = jsonAlways(b, "specimenClass", s.Class)
	b = jsonAlways(b, "type", s.Type)
	b = jsonAlways(b, "lineage", s.Lineage)
	b = jsonText(b, "anatomicSite", s.AnatomicSite)
	b = jsonText(b, "laterality", s.Laterality)
	b = jsonText(b, "pathology", s.Pathology)
	b = jsonAlways(b, "status", s.Status)
	b = jsonQuantity(b, "initialQty", s.InitialQty)
	b = jsonQuantity(b, "availableQty", s.AvailableQty)
	b = jsonQuantity(b, "concentration", s.Concentration)
	if len(s.Biohazards) > 0 {
		b = jsonName(b, "biohazards")
		sep := byte('[')
		for _, h := range s.Biohazards {
			b = append(b, sep)
			b = appendJSONString(b, h)
			sep = ','
		}
		b = append(b, ']')
	}
	b = jsonInt(b, "freezeThawCycles", s.FreezeThawCycles)
	b = jsonInt(b, "createdOn", s.CreatedOn)
	b = jsonInt(b, "createdBy", s.CreatedBy)
	b = jsonText(b, "imageId", s.ImageID)
	if len(s.ExternalIDs) > 0 {
		b = jsonName(b, "externalIds")
		sep := byte('[')
		for _, x := range s.ExternalIDs {
			b = append(b, sep, '{')
			b = jsonAlways(b, "name", x.Name)
			b = jsonAlways(b, "value", x.Value)
			b = append(b, '}')
			sep = ','
		}
		b = append(b, ']')
	}
	b = jsonText(b, "comments", s.Comments)
	b = jsonText(b, "storageType", s.StorageType)
	if s.SortOrder != nil {
		b = strconv.AppendInt(jsonName(b, "sortOrder"), *s.SortOrder, 10)
	}
	if s.PreBarcoded != nil {
		b = strconv.AppendBool(jsonName(b, "preBarcodedTube"), *s.PreBarcoded)
	}
	b = jsonText(b, "labelAutoPrintMode", s.LabelPrintMode)
	if c := s.Collection; c != nil {
		b = append(jsonName(b, "collectionEvent"), '{')
		b = jsonInt(b, "time", c.Time)
		b = jsonInt(b, "userId", c.UserID)
		b = jsonText(b, "comments", c.Comments)
		b = jsonText(b, "procedure", c.Procedure)
		b = jsonText(b, "container", c.Container)
		b = append(b, '}')
	}
	if r := s.Received; r != nil {
		b = append(jsonName(b, "receivedEvent"), '{')
		b = jsonInt(b, "time", r.Time)
		b = jsonInt(b, "userId", r.UserID)
		b = jsonText(b, "comments", r.Comments)
		b = jsonText(b, "receivedQuality", r.Quality)
		b = append(b, '}')
	}
	if d := s.Disposal; d != nil {
		b = append(jsonName(b, "disposalEvent"), '{')
		b = jsonInt(b, "time", d.Time)
		b = jsonInt(b, "userId", d.UserID)
		b = jsonText(b, "reason", d.Reason)
		b = jsonText(b, "comments", d.Comments)
		b = append(b, '}')
	}
	if len(s.Pool) > 0 {
		b = jsonName(b, "pool")
		sep := byte('[')
		for _, id := range s.Pool {
			b = strconv.AppendInt(append(b, sep), id, 10)
			sep = ','
		}
		b = append(b, ']')
	}
	b = jsonInt(b, "poolId", s.PoolID)
	b = jsonLocation(b, "location", s.Location)
	b = jsonLocation(b, "checkedOut", s.CheckedOut)
	if m := s.Moved; m != nil {
		b = append(jsonName(b, "moved"), '{')
		b = jsonInt(b, "by", m.By)
		b = jsonInt(b, "at", m.At)
		b = jsonText(b, "comments", m.Comments)
		b = append(b, '}')
	}
	b = jsonInt(b, "serial", s.Serial)
	if c := s.Custody; c != nil {
		b = append(jsonName(b, "custody"), '{')
		b = jsonInt(b, "reservedFor", c.ReservedFor)
		if len(c.Orders) > 0 {
			b = jsonName(b, "orders")
			sep := byte('[')
			for _, id := range c.Orders {
				b = strconv.AppendInt(append(b, sep), id, 10)
				sep = ','
			}
			b = append(b, ']')
		}
		if c.Spent {
			b = append(jsonName(b, "spent"), "true"...)
		}
		b = jsonInt(b, "siteId", c.SiteID)
		b = jsonInt(b, "shipmentId", c.ShipmentID)
		b = jsonText(b, "receivedQuality", c.Quality)
		b = append(b, '}')
	}
	b = jsonAlways(b, "activityStatus", s.ActivityStatus)
	b = s.Extension.append(b)
	return append(b, '}')
}

func jsonLocation(b []byte, name string, l *Location) []byte {
	if l == nil {
		return b
	}
	b = append(jsonName(b, name), '{')
	b = strconv.AppendInt(jsonName(b, "container"), l.ContainerID, 10)
	b = jsonInt(b, "row", l.Row)
	b = jsonInt(b, "col", l.Column)
	return append(b, '}')
}

// jsonName begins a member, with a comma where it is not the first.
func jsonName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func jsonAlways(b []byte, name, v string) []byte { return appendJSONString(jsonName(b, name), v) }

func jsonText(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return jsonAlways(b, name, v)
}

func jsonInt(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(jsonName(b, name), v, 10)
}

func jsonQuantity(b []byte, name string, q *Quantity) []byte {
	if q == nil {
		return b
	}
	return q.Append(jsonName(b, name))
}

// appendJSONString quotes as encoding/json does, with its care for HTML and line separators.
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, `\b`...)
			case '\f':
				b = append(b, `\f`...)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = append(b, `\u00`...)
				b = append(b, hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, s[from:i]...)
			switch r {
			case '\u2028':
				b = append(b, `\u2028`...)
			case '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, `\ufffd`...)
			}
			from = i + size
		}
		i += size
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
