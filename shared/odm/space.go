package odm

import "strings"

// Space is a namespace that this package knows.
type Space uint8

// The namespaces. What lies in any other is passed over.
const (
	SpaceODM   Space = iota // CDISC's; also no namespace, since many senders declare none
	SpaceOC                 // OpenClinica's extension
	SpaceRules              // OpenClinica's rules
	SpaceXSI                // xsi:schemaLocation
	SpaceXML                // xml:lang
	spaceOther
)

// The namespaces and prefixes that are written (reference openclinica-clinicaldata.md section 6.3).
const (
	uriODM   = "http://www.cdisc.org/ns/odm/v1.3"
	uriOC    = "http://www.openclinica.org/ns/odm_ext_v130/v3.1"
	uriRules = "http://www.openclinica.org/ns/rules/v3.1"
	uriXML   = "http://www.w3.org/XML/1998/namespace"
	uriXSI   = "http://www.w3.org/2001/XMLSchema-instance"
	uriXMLNS = "http://www.w3.org/2000/xmlns/"
	uriXI    = "http://www.w3.org/2001/XInclude"

	schemaLocation = uriODM + " OpenClinica-ODM1-3-0-OC3-0.xsd"
)

var (
	prefixes = [...]string{SpaceODM: "", SpaceOC: "OpenClinica:", SpaceRules: "OpenClinicaRules:", SpaceXML: "xml:", SpaceXSI: "xsi:"}
	declares = [...]struct{ name, uri string }{
		SpaceODM: {"xmlns", uriODM}, SpaceOC: {"xmlns:OpenClinica", uriOC},
		SpaceRules: {"xmlns:OpenClinicaRules", uriRules}, SpaceXSI: {"xmlns:xsi", uriXSI},
	}
)

// spaceOf says which namespace a URI names. Of OpenClinica's extension and of ODM 1 every version counts: the names in
// them that are read mean the same.
func spaceOf(uri string) Space {
	switch {
	case uri == "", uri == uriODM, uri == "http://www.cdisc.org/ns/odm/v1.2":
		return SpaceODM
	case strings.HasPrefix(uri, "http://www.openclinica.org/ns/odm_ext_"),
		strings.HasPrefix(uri, "http://www.openclinica.org/ns/openclinica_odm/"):
		return SpaceOC
	case strings.HasPrefix(uri, "http://www.openclinica.org/ns/rules/"):
		return SpaceRules
	case uri == uriXML:
		return SpaceXML
	case uri == uriXSI:
		return SpaceXSI
	}
	return spaceOther
}

// bound says which namespace a prefix stands for that the document binds to a URI: OpenClinica's own prefixes mean its
// extension also where the URI is a near miss, such as one with https, since what they say would else be lost unseen.
func bound(prefix, uri string) Space {
	space := spaceOf(uri)
	if space == spaceOther && strings.HasPrefix(prefix, "OpenClinica") {
		if own, known := undeclared(prefix); known {
			return own
		}
	}
	return space
}

// undeclared says which namespace a prefix stands for that the document uses and does not declare: real clients send
// OpenClinica's so (section 3.1). xml need not be declared, and an element without prefix need not be in a namespace.
func undeclared(prefix string) (Space, bool) {
	switch prefix {
	case "":
		return SpaceODM, true
	case "xml":
		return SpaceXML, true
	case "OpenClinica":
		return SpaceOC, true
	case "OpenClinicaRules":
		return SpaceRules, true
	case "xsi":
		return SpaceXSI, true
	}
	return 0, false
}
