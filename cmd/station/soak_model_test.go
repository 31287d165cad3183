package main

import (
	"fmt"
	"strings"
)

// A model of the line in ten rules. It shares nothing with the program, not
// even a type: it knows what people did, what chips hold, and reads what the
// program said. What it says first, and the program says otherwise, is wrong.
//
//  1. A visit changes nothing of a device but that it was seen. What it is (job,
//     batch, key) comes with its number, its key, its flash, its burns, its seal.
//  2. A sealed device passes under the job that sealed it, untouched, and under
//     no other: E-SEALED-OTHER.
//  3. A device that was begun goes on under another job with keys of the same
//     kind, and once it is burned as the same product: else E-OTHER-JOB.
//  4. Two chips of one MAC are never worked on at a time (E-SAME-MAC), and one
//     that lacks what the device had is a stranger (E-STRANGER). Of both the
//     device's record knows nothing. A key that is not ours is E-FOREIGN-KEY.
//  5. What was set aside stays so until somebody releases it and says why.
//  6. A device has one key for ever, and a key one device; so with its serial
//     number, which it has before its key where the job wants one. Where the job
//     wants an escrow it is there before the first burn. Nothing is burned before
//     the flash was verified.
//  7. A batch takes devices while it is open, of its job, and no more than its
//     quota. Each takes one number, before its key, and keeps it for good.
//  8. A closed batch is what it was when it was closed. A device counts in one
//     batch: where it is made, or before it has a key where it was last.
//  9. Of devices that fail alike in the visit that burns them first there are
//     never more than the limit, those that are being burned counted, before one
//     passes or somebody lets the line go on, in this run or any before it. One that
//     fails after another has passed beside it may count or not.
//  10. Every output tells the same verdict. A run ends with 3 where the station
//     was at fault, 1 where a device failed or is missing, else 0.
type model struct {
	limit   int // of rule 9
	things  map[string]*thing
	batches map[string]*lot
	keys    map[string]string            // key ID to MAC
	serials map[string]string            // to MAC
	alike   map[string]map[string]string // the code, by digest and MAC
	burning map[*visit]bool
	passed  map[string]int // devices, by digest
	open    []*visit       // of this run
	faults  []string

	hurried, late int // visits on the machine's clock, and those that it was too slow for
}

// thing is a device.
type thing struct {
	job, digest, kind, batch, lot string // lot: where it counts; batch: where it is made
	key, sealed, aside, last      string // sealed: the digest of the job
	seen, escrow, burned          bool
	serial                        string
	numbers                       map[string]int // by batch: the one that it has taken
	entries                       int            // of the ledger
	fuses                         [84]uint32
}

// lot is a batch. frozen is its account when it was closed.
type lot struct {
	digest         string
	quota, numbers int
	frozen         *account
}

type account struct{ Ordered, Numbers, Refused, Started, Passed, Scrapped, Quarantined, Unfinished int }

// visit is a chip that somebody put into a slot, and what is known of it.
type visit struct {
	mac, slot, job, digest, kind, batch string
	escrow, serial                      bool // which the job wants

	before, after [84]uint32
	written       bool   // something of the chip was changed
	unfit, ends   string // the failure that its own defect makes, before admission and after; "" none
	spoiled       bool   // its flash is not what it was, or seems so
	troubled      bool   // anything may break the connection at any time
	hurried       bool   // the line's clock is the machine's, which may do a lot else
	overlapped    bool   // another chip of its MAC was in a slot
	batchMoved    bool   // its batch was changed meanwhile
	halted        bool   // the line was, for failures alike

	want                    string // what admission must say
	admitted, verified, end bool
	passed                  int    // devices of its job, when it was ready to be burned
	code                    string // what the program said
}

// fact is an entry of the ledger.
type fact struct {
	Kind, MAC, Run, Slot, Batch, JobDigest, Decision, Code, Verdict, Operator, Message, Serial string
	Quota, Number                                                                              int
	Keys                                                                                       []struct{ ID, EscrowTo string }
}

func (m *model) wrong(format string, args ...any) {
	m.faults = append(m.faults, fmt.Sprintf(format, args...))
}

func (m *model) must(ok bool, format string, args ...any) {
	if !ok {
		m.wrong(format, args...)
	}
}

func (m *model) thing(mac string) *thing {
	if m.things[mac] == nil {
		m.things[mac] = &thing{numbers: map[string]int{}}
	}
	return m.things[mac]
}

// admission is what fuses and record come to: "" the device goes on.
func (d *thing) admission(v *visit) string {
	lacks := false
	for i, w := range d.fuses {
		lacks = lacks || d.key != "" && w&^v.before[i] != 0
	}
	holdsKey := false
	for _, w := range v.before[7:15] { // BLOCK1
		holdsKey = holdsKey || w != 0
	}
	switch {
	case lacks:
		return "E-STRANGER"
	case d.aside != "":
		return "E-SET-ASIDE"
	case d.key == "" && holdsKey:
		return "E-FOREIGN-KEY"
	case d.sealed != "" && d.sealed != v.digest:
		return "E-SEALED-OTHER"
	case d.key != "" && d.sealed == "" && (d.kind != v.kind || d.burned && d.job != v.job):
		return "E-OTHER-JOB"
	}
	return ""
}

// takes is why a batch does not take a device: "" it does.
func (m *model) takes(d *thing, v *visit) string {
	b := m.batches[v.batch]
	switch {
	case v.batch == "" || d.sealed != "":
		return ""
	case b == nil || b.frozen != nil || b.digest != "" && b.digest != v.digest && d.numbers[v.batch] == 0:
		return "E-BATCH"
	case b.quota > 0 && b.numbers >= b.quota && d.numbers[v.batch] == 0:
		return "E-QUOTA"
	}
	return ""
}

// people is what somebody did beside the line.
func (m *model) people(e fact) bool {
	b, d := m.batches[e.Batch], m.things[e.MAC]
	switch e.Kind {
	case "batch.opened":
		m.must(b == nil, "%s was opened twice", e.Batch)
		m.batches[e.Batch] = &lot{digest: e.JobDigest, quota: e.Quota}
	case "batch.amended":
		m.must(b.frozen == nil && e.Message != "" && (e.Quota == 0 || e.Quota >= m.account(e.Batch).Passed), "%s was amended: %+v", e.Batch, e)
		b.quota = e.Quota
		m.moved(e.Batch)
	case "batch.closed":
		m.must(b.frozen == nil, "%s was closed twice", e.Batch)
		a := m.account(e.Batch)
		b.frozen = &a
		m.moved(e.Batch)
	case "device.released":
		m.must(d.aside != "" && e.Message != "", "%s was released: %+v", e.MAC, e)
		d.aside = ""
	default:
		return false
	}
	m.must(e.Operator != "", "nobody did %s", e.Kind)
	return true
}

// account is what a batch comes to.
func (m *model) account(batch string) (a account) {
	b := m.batches[batch]
	if b.frozen != nil {
		return *b.frozen
	}
	a.Ordered, a.Numbers = b.quota, b.numbers
	for _, d := range m.things {
		verdict, _, _ := strings.Cut(d.verdict(), " ")
		switch {
		case d.lot != batch:
			continue
		case d.key == "":
			a.Refused++
			continue
		case verdict == "PASS":
			a.Passed++
		case verdict == "SCRAP":
			a.Scrapped++
		case verdict == "QUARANTINE":
			a.Quarantined++
		default:
			a.Unfinished++
		}
		a.Started++
	}
	return a
}

// verdict is what every output must say of the device.
func (d *thing) verdict() string {
	switch {
	case d.aside != "":
		return d.aside
	case d.sealed != "":
		return "PASS"
	case strings.HasPrefix(d.last, "RETRY"), strings.HasPrefix(d.last, "STATION"):
		return d.last
	}
	return "BEGUN"
}
