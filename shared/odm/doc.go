// Package odm reads and writes CDISC ODM 1.3 documents with OpenClinica's extensions, as XML, and writes them as JSON.
//
// A document is a stream of parts (see Part): a Reader gives them one at a time and a Writer takes the same, so that
// neither holds more than one part. What a study collects (Study) is one part; of the clinical data an item group's
// repeat with all its items (ItemGroupData), which is what is stored whole, is one, and each element around it is one
// where it starts and one where it ends. What a part means, whether a repeat key is a number or an item is in its group,
// is not the business of this package: all values are text.
//
// # What is read
//
// Documents are read as leniently as clients need it (reference openclinica-clinicaldata.md section 3.1). Elements and
// attributes count by their namespace, whatever its prefix; but no namespace at all stands for ODM's, the prefix
// OpenClinica need not be declared, and an attribute of OpenClinica's may come without prefix. Elements may come in any
// order. What is not known (AuditRecord, SiteRef, Annotation, Links, other namespaces) is passed over. Typed items
// (ItemDataString and the like) are read as ItemData.
//
// # What is refused
//
// A document that is not well-formed, DOCTYPE and entities of its own, attributes given twice, encodings other than
// UTF-8, ISO-8859-1 and windows-1252, and whatever passes the limits, is a *Fault. Time and memory are bounded by the
// limits, not by the document: it may be of any size. A Fault comes when reading reaches it, so parts before it have been
// given: who wants all or nothing reads the document twice.
//
// # What is written
//
// Elements and attributes come in the order of sections 6.4 and 6.5 of the reference; an attribute that is empty is left
// out, but for the value of an item. What was written reads again the same, and what was read from a document in the
// form of section 6.3 is written the same, byte for byte. Each type says in its fields method what it holds, once for
// all three: reading, writing XML and writing JSON.
package odm
