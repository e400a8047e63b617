// Package clinical keeps the data of clinical studies: their metadata, participants, events, forms and item groups, and the
// rules by which values are taken (reference openclinica-clinicaldata.md).
//
// A study's definition arrives as ODM and is compiled to a Metadata, which finds everything by OID. A participant's data lie
// in one partition, in this order: the participant, the events with the states of their forms, the item groups with their
// values, the notes. An item group's repeat is one item and is stored whole; no value has an item of its own.
//
// Import elements are planned before anything is written: a Planner takes them in document order, reads what is stored, and
// yields the lines of the log and the writes, which are kept before the first is done. What has begun is therefore
// finished as it was planned, whoever finishes it: a crash changes neither the data nor the log, and an import that ends
// before its time finishes its last plan or, where only locks were written, takes it back. While the writes of a plan are
// being done the participant is marked as pending, and nobody else changes it.
package clinical
