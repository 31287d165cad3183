package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Type is what the cells of a column hold.
type Type string

// The types. A number or time that is absent is an empty cell.
const (
	Text   Type = "text"
	Number Type = "number"
	Time   Type = "time" // RFC 3339 in UTC, to the millisecond
)

// Column is one column of a table. Names and meanings are kept for ever; new
// columns are added at the end, with a new ColumnsVersion.
type Column struct {
	Name  string
	Type  Type
	About string
}

// ColumnsVersion is the version of all tables' columns.
const ColumnsVersion = 5

// column says where a Column comes from: a field of a stored JSON object, as
// value makes it a text. Without a field it is filled by hand.
type column struct {
	Column
	field string
	value func(gjson.Result) string
	since int // the version of the columns that first had it; 0 is 1
}

// fieldsOf1 are the columns whose facts stood in a field of their own in
// entries of version 1.
var fieldsOf1 = map[string]string{"keyId": "keyId", "policy": "policy"}

// simulation stands in the first column of every row of a simulated ledger.
const simulation = "SIMULATION"

const (
	aboutSimulation = "SIMULATION where the ledger is of virtual devices or a throw-away token; otherwise empty"
	aboutChip       = "family of the chip as jobs name it, such as esp32c3"
	aboutKeyID      = "public name of each of the device's keys: policy, token object, check value"
	aboutDigest     = "SHA-256 of the job: settings, fuses and every image"
	aboutImages     = "name@address, version, SHA-256 of the plain image and, where encrypted, of the flash"
	aboutBlock1     = "state of the key block: empty, written or hidden (read-protected)"
	aboutBlock2     = "empty, hidden or a digest"
)

// deviceColumns are those of the table of devices: fields of record.Device, of
// the entry that sealed it (seal.) and of the one that verified its images
// (flash.).
var deviceColumns = []column{
	{Column{"simulation", Text, aboutSimulation}, "simulated", mark, 0},
	{Column{"mac", Text, "factory MAC address, lower case with colons; the order of the rows"}, "mac", plain, 0},
	{Column{"serial", Text, "serial number bound to the device by a scan"}, "serial", plain, 0},
	{Column{"verdict", Text, "PASS sealed; SCRAP, QUARANTINE set aside; RETRY, STATION as the last visit ended; BEGUN no verdict"}, "", nil, 0},
	{Column{"code", Text, "failure code (E-…) behind the verdict"}, "", nil, 0},
	{Column{"keyId", Text, aboutKeyID}, "keys", ofKeys("id"), 0},
	{Column{"policy", Text, "derived, random or shared"}, "keys", ofKeys("policy"), 0},
	{Column{"job", Text, "name of the product that it was made as"}, "job", plain, 0},
	{Column{"jobDigest", Text, aboutDigest}, "jobDigest", plain, 0},
	{Column{"batch", Text, "batch in which it was made"}, "batch", plain, 0},
	{Column{"number", Number, "number taken from the quota of the batch or job"}, "", nil, 0},
	{Column{"firstSeen", Time, "time of the device's first entry"}, "seen", instant, 0},
	{Column{"lastEntry", Time, "time of the device's last entry"}, "updated", instant, 0},
	{Column{"visits", Number, "how often it was put into a slot"}, "runs", plain, 0},
	{Column{"sealedAt", Time, "when it was sealed last"}, "seal.time", instant, 0},
	{Column{"station", Text, "station that sealed it"}, "seal.station", plain, 0},
	{Column{"slot", Text, "slot in which it was sealed"}, "seal.slot", plain, 0},
	{Column{"operator", Text, "who was at the line then"}, "seal.operator", plain, 0},
	{Column{"software", Text, "version of this program then"}, "seal.software", plain, 0},
	{Column{"images", Text, "what the flash holds: " + aboutImages}, "flash.images", images, 0},
	{Column{"block0", Text, "fuse BLOCK0 as read back last, seven words"}, "fuses", block("BLOCK0"), 0},
	{Column{"block1", Text, aboutBlock1}, "fuses", block("BLOCK1"), 0},
	{Column{"block2", Text, aboutBlock2}, "fuses", block("BLOCK2"), 0},
	{Column{"first", Number, "index of the device's first entry"}, "first", plain, 0},
	{Column{"last", Number, "index of the device's last entry"}, "last", plain, 0},
	{Column{"id", Text, "what the device is known by later, 32 hexadecimal digits"}, "identity", member("id"), 3},
	{Column{"certificate", Text, "serial number of its certificate, upper-case hexadecimal digits"}, "identity", member("certificate.serial"), 3},
	{Column{"certificateDigest", Text, "SHA-256 of its certificate"}, "identity", member("certificate.sha256"), 3},
	{Column{"issuer", Text, "CA that signed it"}, "identity", member("certificate.issuer"), 3},
	{Column{"revokedAt", Time, "when the identity was revoked"}, "identity", revoked, 3},
	{Column{"revision", Text, "revision of the job that it was made as"}, "revision", plain, 4},
	{Column{"chip", Text, aboutChip}, "chip", plain, 5},
}

// revoked is when an identity was revoked; "" for one that was not.
func revoked(v gjson.Result) string {
	if at := v.Get("revoked"); at.Exists() {
		return instant(at)
	}
	return ""
}

// entryColumns are those of the table of entries: fields of record.Entry.
var entryColumns = []column{
	{Column{"simulation", Text, aboutSimulation}, "simulated", mark, 0},
	{Column{"index", Number, "place in the log, from 0; the leaf in the Merkle tree"}, "index", plain, 0},
	{Column{"time", Time, "when it was written, by the station's clock"}, "time", instant, 0},
	{Column{"kind", Text, "what it records, such as device.seen or device.sealed"}, "kind", plain, 0},
	{Column{"mac", Text, "factory MAC address, lower case with colons"}, "mac", plain, 0},
	{Column{"serial", Text, "serial number, where it was bound"}, "serial", plain, 0},
	{Column{"station", Text, "station that wrote it"}, "station", plain, 0},
	{Column{"slot", Text, "slot of the fixture"}, "slot", plain, 0},
	{Column{"operator", Text, "who was at the line, or did it"}, "operator", plain, 0},
	{Column{"software", Text, "version of this program"}, "software", plain, 0},
	{Column{"job", Text, "name of the product"}, "job", plain, 0},
	{Column{"revision", Text, "revision of the job"}, "revision", plain, 0},
	{Column{"jobDigest", Text, aboutDigest}, "jobDigest", plain, 0},
	{Column{"batch", Text, "batch"}, "batch", plain, 0},
	{Column{"quota", Number, "how many devices the batch or job may have"}, "quota", plain, 0},
	{Column{"number", Number, "number taken from the quota"}, "number", plain, 0},
	{Column{"run", Text, "joins the entries of one visit of a device"}, "run", plain, 0},
	{Column{"step", Text, "step of the procedure"}, "step", plain, 0},
	{Column{"stage", Text, "stage of a burn"}, "stage", plain, 0},
	{Column{"decision", Text, "of an admission: fresh, resume, sealed, quarantine; of a label: print, reprint"}, "decision", plain, 0},
	{Column{"keyId", Text, "public name of a key: policy, token object, check value"}, "keys", ofKeys("id"), 0},
	{Column{"policy", Text, "derived, random or shared"}, "keys", ofKeys("policy"), 0},
	{Column{"token", Text, "which token made the key, as a PKCS#11 URI"}, "token", plain, 0},
	{Column{"planDigest", Text, "digest of the burn plan that was approved or burned"}, "planDigest", plain, 0},
	{Column{"burns", Text, "fuses to change: FIELD old->new"}, "burns", burns, 0},
	{Column{"block0", Text, "fuse BLOCK0, seven words"}, "fuses", block("BLOCK0"), 0},
	{Column{"block1", Text, aboutBlock1}, "fuses", block("BLOCK1"), 0},
	{Column{"block2", Text, aboutBlock2}, "fuses", block("BLOCK2"), 0},
	{Column{"images", Text, "what was verified in the flash: " + aboutImages}, "images", images, 0},
	{Column{"bootDigest", Text, "SHA-256 of the console of a start"}, "boot", member("digest"), 0},
	{Column{"bootMarker", Text, "the line that proved the start"}, "boot", member("marker"), 0},
	{Column{"bootSeconds", Number, "from reset to that line"}, "boot", member("seconds"), 0},
	{Column{"verdict", Text, "how a visit ended"}, "verdict", plain, 0},
	{Column{"code", Text, "failure code (E-…)"}, "code", plain, 0},
	{Column{"message", Text, "what an engineer or a person wrote"}, "message", plain, 0},
	{Column{"seconds", Number, "how long the step or visit took"}, "seconds", plain, 0},
	{Column{"clockBack", Number, "by how many seconds the clock had run backwards"}, "clockBack", plain, 0},
	{Column{"described", Text, "of an approval: everything that was approved, item after item"}, "described", items, 2},
	{Column{"lineOperator", Text, "of an approval: who was going to work with it"}, "lineOperator", plain, 2},
	{Column{"undeclared", Text, "UNDECLARED where nobody had opened the batch and the station allowed that"}, "undeclared", undeclared, 2},
	{Column{"second", Text, "of a release or a recovered key: the second person, where two did it"}, "about", member("second"), 4},
	{Column{"chip", Text, aboutChip + "; entries of old have none, and are of an esp32"}, "identity", member("chip"), 5},
}

// plain is a text as it is, and a number as it was written.
func plain(v gjson.Result) string {
	if v.Type == gjson.String {
		return v.Str
	}
	return v.Raw
}

func mark(v gjson.Result) string {
	if v.Bool() {
		return simulation
	}
	return ""
}

func undeclared(v gjson.Result) string {
	if v.Bool() {
		return "UNDECLARED"
	}
	return ""
}

// items is a list of texts in one cell.
func items(v gjson.Result) string {
	var b []byte
	v.ForEach(func(_, item gjson.Result) bool {
		b = append(separate(b), item.Str...)
		return true
	})
	return string(b)
}

// instant gives every time the same form: the log leaves out zeros at its end.
func instant(v gjson.Result) string {
	t, err := time.Parse(time.RFC3339, v.Str)
	if err != nil {
		return v.Str
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func member(name string) func(gjson.Result) string {
	return func(v gjson.Result) string { return plain(v.Get(name)) }
}

// block is a fuse block: its words, digest or state.
func block(name string) func(gjson.Result) string {
	old := strings.ToLower(name)
	return func(fuses gjson.Result) string {
		if fuses.IsObject() { // an entry of version 1
			return words(fuses.Get(old))
		}
		var text string
		fuses.ForEach(func(_, b gjson.Result) bool {
			if b.Get("name").Str != name {
				return true
			}
			text = b.Get("state").Str + b.Get("digest").Str + words(b.Get("words"))
			return false
		})
		return text
	}
}

// words is a text, or a list of texts with spaces between.
func words(v gjson.Result) string {
	if !v.IsArray() {
		return v.Str
	}
	var b []byte
	v.ForEach(func(_, word gjson.Result) bool {
		if b != nil {
			b = append(b, ' ')
		}
		b = append(b, word.Str...)
		return true
	})
	return string(b)
}

// ofKeys is a field of each of an entry's keys.
func ofKeys(field string) func(gjson.Result) string {
	return func(keys gjson.Result) string {
		var b []byte
		keys.ForEach(func(_, k gjson.Result) bool {
			if text := k.Get(field).Str; text != "" {
				b = append(separate(b), text...)
			}
			return true
		})
		return string(b)
	}
}

// images and burns are lists of objects of which a few fields are told.

func images(v gjson.Result) string {
	var b []byte
	v.ForEach(func(_, image gjson.Result) bool {
		var name, version, plain, flash string
		var address uint64
		var encrypted bool
		image.ForEach(func(field, value gjson.Result) bool {
			switch field.Str {
			case "name":
				name = value.Str
			case "address":
				address = value.Uint()
			case "encrypted":
				encrypted = value.Bool()
			case "plain":
				plain = value.Str
			case "flash":
				flash = value.Str
			case "version":
				version = value.Str
			}
			return true
		})
		b = append(append(separate(b), name...), "@0x"...)
		b = strconv.AppendUint(b, address, 16)
		b = appendNamed(b, " version ", version)
		b = appendNamed(b, " plain ", plain)
		if encrypted {
			b = appendNamed(b, " flash ", flash)
		}
		return true
	})
	return string(b)
}

func burns(v gjson.Result) string {
	var b []byte
	v.ForEach(func(_, change gjson.Result) bool {
		b = appendNamed(separate(b), change.Get("field").Str+" ", change.Get("old").Str+"->"+change.Get("new").Str)
		return true
	})
	return string(b)
}

func separate(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	return append(b, "; "...)
}

func appendNamed(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return append(append(b, name...), value...)
}
