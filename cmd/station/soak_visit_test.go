package main

import "strings"

// The model's half that follows a visit through the ledger.

// moved says that a batch was changed while devices were in the slots.
func (m *model) moved(batch string) {
	for _, v := range m.open {
		v.batchMoved = v.batchMoved || v.batch == batch
	}
}

// told is one entry of a visit.
func (m *model) told(e fact, v *visit) {
	d := m.thing(v.mac)
	m.must(e.JobDigest == v.digest && e.Batch == v.batch && e.MAC == v.mac, "%s of %s names job %s, batch %q", e.Kind, v.mac, e.JobDigest, e.Batch)
	m.must(!v.end, "%s of %s after its end", e.Kind, v.mac)
	d.seen = true
	if d.key == "" {
		d.lot = v.batch
	}
	switch e.Kind {
	case "device.seen", "boot.verified":
		return
	case "device.admitted":
		v.admitted, v.want = true, d.admission(v)
		m.must((e.Decision == "quarantine") == (v.want != "") && (e.Decision == "sealed") == (v.want == "" && d.sealed != "" && !v.spoiled),
			"%s is admitted as %q, want %q", v.mac, e.Decision, v.want)
		return
	case "device.failed":
		m.failed(e, v, d)
		return
	}
	m.must(v.admitted && v.want == "", "%s of %s, which admission refuses: %s", e.Kind, v.mac, v.want)
	for _, other := range m.open {
		m.must(other == v || other.mac != v.mac || !other.admitted || other.want != "", "%s is worked on in slots %s and %s", v.mac, v.slot, other.slot)
	}
	if e.Kind == "serial.bound" {
		m.must(e.Serial != "" && d.serial == "" && m.serials[e.Serial] == "", "%s, which has number %q, gets number %q of %q", v.mac, d.serial, e.Serial, m.serials[e.Serial])
		d.serial, m.serials[e.Serial] = e.Serial, v.mac
		return
	}
	d.job, d.digest = v.job, v.digest
	if d.sealed == "" && v.batch != "" {
		d.batch = v.batch
	}
	switch e.Kind {
	case "number.taken":
		m.must(m.takes(d, v) == "" && d.numbers[v.batch] == 0, "%s takes number %d of %q: %s", v.mac, e.Number, v.batch, m.takes(d, v))
		m.batches[v.batch].numbers++
		m.must(e.Number == m.batches[v.batch].numbers, "number %d of %q, want %d", e.Number, v.batch, m.batches[v.batch].numbers)
		d.numbers[v.batch] = e.Number
	case "key.assigned":
		k := e.Keys[0]
		m.must(!v.serial || d.serial != "", "%s gets a key before its number", v.mac)
		m.must(d.key == "" || d.key == k.ID, "%s had key %s, gets %s", v.mac, d.key, k.ID)
		m.must(m.keys[k.ID] == "" || m.keys[k.ID] == v.mac, "%s gets the key of %s", v.mac, m.keys[k.ID])
		m.keys[k.ID], d.key, d.kind = v.mac, k.ID, v.kind
		d.escrow = d.escrow || k.EscrowTo != ""
	case "flash.verified":
		v.verified, v.passed = true, m.passed[v.digest]
	case "burn.intended":
		m.burns(v, d)
	case "device.sealed":
		m.must(v.verified && v.ends == "" && d.burned, "%s is sealed: %+v", v.mac, v)
		d.sealed, d.fuses, v.end = v.digest, v.after, true
		delete(m.alike, v.digest)
		delete(m.burning, v)
		m.passed[v.digest]++
	}
	m.must(v.batch == "" || d.sealed != "" || d.numbers[v.batch] > 0, "%s is made in %q without a number", v.mac, v.batch)
	if d.key != "" && d.sealed == "" {
		d.lot = d.batch
	}
}

func (m *model) burns(v *visit, d *thing) {
	m.must(v.verified && d.key != "" && (d.escrow || !v.escrow), "%s is burned: %+v", v.mac, d)
	if d.burned { // it can be lost only once
		return
	}
	d.burned, m.burning[v] = true, true
	lost := m.worst(v.digest, v.mac)
	m.must(len(m.burning)+lost <= m.limit, "%d devices are burned after %d failed alike", len(m.burning), lost)
}

// worst is how many other devices of the job have failed alike since one passed.
func (m *model) worst(digest, but string) (most int) {
	sums := map[string]int{}
	for mac, code := range m.alike[digest] {
		if mac != but {
			sums[code]++
			most = max(most, sums[code])
		}
	}
	return most
}

// failed holds the code of a failure against what must come.
func (m *model) failed(e fact, v *visit, d *thing) {
	fresh := m.burning[v]
	v.end, v.code = true, e.Code
	delete(m.burning, v)
	m.must(m.may(v, d, e), "%s ends with %s %s, want %q, %+v, %+v", v.mac, e.Verdict, e.Code, v.want, v, d)
	switch e.Code {
	case "E-STRANGER", "E-SAME-MAC", "E-SEALED-OTHER", "E-OTHER-JOB":
		return // the device itself was not there, or at the wrong line
	}
	d.last, d.fuses = e.Verdict+" "+e.Code, v.after
	if d.aside == "" && (e.Verdict == "QUARANTINE" || e.Verdict == "SCRAP") {
		d.aside = d.last
	}
	if fresh && e.Verdict != "STATION" && e.Code != "E-STOPPED" && m.passed[v.digest] == v.passed {
		if m.alike[v.digest] == nil {
			m.alike[v.digest] = map[string]string{}
		}
		m.alike[v.digest][v.mac] = e.Code
	}
}

// may tells whether a visit may end with a failure.
func (m *model) may(v *visit, d *thing, e fact) bool {
	switch {
	case v.troubled && e.Verdict == "RETRY":
		return true
	case v.hurried && (e.Code == "E-NO-ANSWER" || e.Code == "E-BOOT-SILENT"):
		m.late++ // which is bounded
		return true
	case e.Code == "E-SAME-MAC":
		return v.overlapped && !v.admitted
	case !v.admitted:
		return e.Code == v.unfit
	case v.want != "":
		return e.Code == v.want
	case e.Code == "E-BATCH", e.Code == "E-QUOTA":
		return e.Code == m.takes(d, v) || v.batchMoved
	case e.Code == "E-ALIKE":
		return v.halted
	}
	return e.Code == v.ends && (m.takes(d, v) == "" || v.batchMoved) && strings.HasPrefix(e.Verdict, "RETRY")
}

// ended holds the verdict of a visit, as its event tells it, against the rest.
func (m *model) ended(v *visit, verdict, code string, already bool) {
	d := m.thing(v.mac)
	switch {
	case verdict == "PASS":
		m.must(v.admitted && v.want == "" && d.sealed == v.digest && already == !v.end && code == "", "%s passes: %+v, %+v", v.mac, v, d)
		m.must(!already || !v.written, "%s is sealed already, and was written", v.mac)
	default:
		m.must(v.end && v.code == code || v.troubled && !v.end, "%s: the event tells %s, the ledger %s", v.mac, code, v.code)
		m.must(v.want == "" || !v.written, "%s is refused (%s), and was written", v.mac, code)
	}
	v.end = true
}

// exit is the code with which a run ends.
func exit(verdicts map[string]int, wanted int) int {
	done := 0
	for _, n := range verdicts {
		done += n
	}
	switch {
	case verdicts["STATION"] > 0:
		return 3
	case done > verdicts["PASS"] || done < wanted:
		return 1
	}
	return 0
}
