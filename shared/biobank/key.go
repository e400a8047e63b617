package biobank

import (
	"fmt"
	"strconv"
	"strings"
)

// Key is where a record lies: a partition and a place in its order.
//
// Small sets (institutes, sites, users, protocols) share one partition per type. What is collected lies in the tree of
// its protocol: partition "cp#<protocol>#<shard of the registration>", sorted as
// <registration>/<visit>/<specimen>/<child>/..., so that one ordered read gives participants, visits and specimens
// without joins, and a protocol is no hot partition. Ids have a fixed width, so they sort; names may change, keys never do.
type Key struct{ Part, Sort string }

// IsZero tells whether the key names nothing.
func (k Key) IsZero() bool { return k.Part == "" }

// idWidth leaves room for 9,999,999,999 records of a type.
const idWidth = 10

// Shards is the number of partitions that a protocol's registrations spread over. It is part of the stored keys: a
// change needs a migration.
const Shards = 8

// PadID is id in the fixed width of keys.
func PadID(id int64) string {
	const zeros = "0000000000"
	var buf [20]byte
	s := strconv.AppendInt(buf[:0], id, 10)
	if len(s) >= idWidth {
		return string(s)
	}
	return zeros[:idWidth-len(s)] + string(s)
}

// SetKey is the place of a member of a set.
func SetKey(t Type, id int64) Key {
	if spread(t) {
		return Key{string(t) + "#" + strconv.FormatUint(shard(id), 10), PadID(id)}
	}
	return Key{string(t), PadID(id)}
}

// spread tells which sets may grow large: their members spread over Shards partitions by their ids.
func spread(t Type) bool {
	switch t {
	case Order, linesType(Order), Shipment, linesType(Shipment), Cart, Container:
		return true
	}
	return false
}

// scattered tells which types lie below others, so that a mark leads from their ids to their keys (IDMark).
func scattered(t Type) bool {
	switch t {
	case Event, Requirement, Registration, Visit, Specimen, FormRecordType:
		return true
	}
	return false
}

// SetParts lists the partitions of a set.
func SetParts(t Type) []string {
	if !spread(t) {
		return []string{string(t)}
	}
	parts := make([]string, Shards)
	for i := range parts {
		parts[i] = fmt.Sprintf("%s#%d", t, i)
	}
	return parts
}

// shard spreads ids. Fibonacci hashing: consecutive ones land on different shards.
func shard(id int64) uint64 { return (uint64(id) * 0x9E3779B97F4A7C15) >> 61 }

// ProtocolPart is the partition with a protocol's events and requirements.
func ProtocolPart(cp int64) string { return "cp#" + strconv.FormatInt(cp, 10) }

// EventKey is the place of an event of a protocol.
func EventKey(cp, event int64) Key { return Key{ProtocolPart(cp), "event/" + PadID(event)} }

// RequirementKey is the place of a specimen requirement: below its event.
func RequirementKey(cp, event, req int64) Key {
	return Key{ProtocolPart(cp), "event/" + PadID(event) + "/" + PadID(req)}
}

// RegistrationKey is the root of a participant's tree in a protocol.
func RegistrationKey(cp, reg int64) Key { return Key{TreePart(cp, reg), PadID(reg)} }

// TreePart is the partition that holds a registration of a protocol.
func TreePart(cp, reg int64) string {
	return "cp#" + strconv.FormatInt(cp, 10) + "#" + strconv.FormatUint(shard(reg), 10)
}

// TreeParts lists the partitions of a protocol's tree.
func TreeParts(cp int64) []string {
	parts := make([]string, Shards)
	for i := range parts {
		parts[i] = fmt.Sprintf("cp#%d#%d", cp, i)
	}
	return parts
}

// Child is the key one level below k in its tree.
func (k Key) Child(id int64) Key { return Key{k.Part, k.Sort + "/" + PadID(id)} }

// Protocol is the protocol a tree key belongs to, 0 for a key outside the trees.
func (k Key) Protocol() int64 {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(k.Part, formPart), "cp#")
	if !ok {
		return 0
	}
	n, _, _ := strings.Cut(rest, "#")
	id, _ := strconv.ParseInt(n, 10, 64)
	return id
}

// Registration is the id of the registration whose tree holds k, 0 outside the trees.
func (k Key) Registration() int64 { return k.level(0) }

// Visit is the id of the visit whose subtree holds k, 0 where there is none.
func (k Key) Visit() int64 { return k.level(1) }

// ParentSpecimen is the id of the specimen that k's specimen was made from, 0 for a primary one.
func (k Key) ParentSpecimen() int64 {
	n := strings.Count(k.Sort, "/")
	if n < 3 {
		return 0
	}
	return k.level(n - 1)
}

// Above is the key n levels up.
func (k Key) Above(n int) Key {
	s := k.Sort
	for ; n > 0; n-- {
		i := strings.LastIndexByte(s, '/')
		if i < 0 {
			return Key{}
		}
		s = s[:i]
	}
	return Key{k.Part, s}
}

// depth is how many levels a key has above it.
func (k Key) depth() int { return strings.Count(k.Sort, "/") }

// VisitKey is the key of the visit above a specimen's key.
func (k Key) VisitKey() Key {
	if len(k.Sort) < 2*idWidth+1 {
		return Key{}
	}
	return Key{k.Part, k.Sort[:2*idWidth+1]}
}

// last is the id that ends the key.
func (k Key) last() int64 { return keyID(Key{Sort: k.Sort[strings.LastIndexByte(k.Sort, '/')+1:]}) }

func (k Key) level(n int) int64 {
	from := n * (idWidth + 1)
	if from+idWidth > len(k.Sort) || strings.Count(k.Part, "#") != 2 {
		return 0
	}
	id, err := strconv.ParseInt(k.Sort[from:from+idWidth], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// String is the form in which a marker names the key.
func (k Key) String() string { return k.Part + "|" + k.Sort }

// ParseKey reads what String wrote.
func ParseKey(s string) Key {
	part, sort, _ := strings.Cut(s, "|")
	return Key{part, sort}
}
