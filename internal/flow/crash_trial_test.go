package flow_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/sim"
	"station/internal/station"
)

// trial is one device that is interrupted and put back until it is sealed or
// set aside.
type trial struct {
	lab     *lab
	ledger  *ledger.Ledger
	product product
	number  int
	faults  []sim.Fault
	chip    *sim.Chip
	mac     chip.MAC
	burns   []sim.Words // the bits of each fuse programming
	factory sim.Words
	read    record.Device // what the ledger knew when a fuse changed
	keyID   string        // the first that the ledger knew
	cert    string        // serial number of the first certificate that the ledger knew
	expect  string        // how it must end, where that is known
	wrong   []error
	states  []string // in which it was put back
	outs    []flow.Outcome
	wrap    func(*sim.Port) esploader.Port
	options esploader.Options
	ctx     context.Context
}

// trial makes a device with faults. It panics where those are none.
func (l *lab) trial(p product, faults ...sim.Fault) *trial {
	n := int(l.made.Add(1))
	tr := &trial{lab: l, ledger: l.ledger, product: p, number: n, ctx: l.ctx, faults: faults, mac: station.VirtualMAC(n), options: p.options}
	if l.alike != nil {
		tr.mac, tr.ledger = station.VirtualMAC(1), l.ownLedger(n)
	}
	o := p.chip
	o.MAC, o.FlashSize, o.OnBurn, o.Faults = tr.mac, cmp.Or(o.FlashSize, 1<<20), tr.watch, faults
	if p.before != nil {
		p.before(&o)
	}
	chip, err := sim.New(o)
	if err != nil {
		panic(err)
	}
	tr.chip, tr.factory = chip, chip.Fuses()
	return tr
}

// visit puts the device into the slot once.
func (tr *trial) visit() flow.Outcome {
	wire, err := tr.chip.Open()
	if err != nil {
		return flow.Outcome{Verdict: record.Station, Failure: &flow.Failure{Code: "E-PORT", Err: err}}
	}
	var p esploader.Port = wire
	if tr.wrap != nil {
		p = tr.wrap(wire)
	}
	r := flow.Runner{Job: tr.product.job, Keys: station.Keys{Token: tr.lab.token, CA: tr.lab.ca}, Ledger: tr.ledger, Station: "test", Simulated: true}
	out := r.Device(tr.ctx, "1", "sim://1", esploader.New(p, tr.options))
	tr.outs = append(tr.outs, out)
	d, _, err := tr.ledger.Device(tr.mac)
	switch {
	case err != nil:
		tr.fault("ledger: %w", err)
	case tr.keyID == "":
		tr.keyID = d.FlashKey().ID
	case tr.keyID != d.FlashKey().ID:
		tr.fault("the key was %s and is %s", tr.keyID, d.FlashKey().ID)
	}
	switch serial := d.Identity.CertificateSerial(); {
	case tr.cert == "":
		tr.cert = serial
	case tr.cert != serial:
		tr.fault("the certificate was %s and is %s", tr.cert, serial)
	}
	if !out.MAC.IsZero() && !stranger(out) && how(out) != strings.TrimSpace(string(d.Verdict)+" "+string(d.Code)) {
		tr.fault("the visit ends with %s, the ledger says %s %s", how(out), d.Verdict, d.Code)
	}
	return out
}

// putBack takes all faults away and gives the device its power.
func (tr *trial) putBack() {
	tr.chip.Heal()
	tr.chip.Replug()
}

func (tr *trial) fault(format string, args ...any) {
	tr.wrong = append(tr.wrong, fmt.Errorf(format, args...))
}

// key is the device's key as it must be. Of policy random only its check value
// is known: the fuses tell the key.
func (tr *trial) key() []byte {
	size := 32
	if tr.product.chip.Coding == 1 {
		size = 24
	}
	switch {
	case !tr.product.job.Encrypts():
		return make([]byte, size) // an empty block
	case tr.product.job.Key.Policy == "derived":
		return flowtest.DeviceKey(tr.mac, size)
	}
	words := tr.chip.Fuses()
	var key []byte
	for i := range 8 {
		key = binary.BigEndian.AppendUint32(key, words[7+7-i])
	}
	return key
}

// watch is asked at the instant when fuses change.
func (tr *trial) watch(before, after sim.Words) {
	var fresh sim.Words
	for i := range fresh {
		fresh[i] = after[i] &^ before[i]
	}
	tr.burns = append(tr.burns, fresh)
	key := [8]uint32(after[7:15]) // of policy random nobody knows it
	if tr.product.job.Key.Policy == "derived" {
		key = coded(tr.key())
	}
	tr.intended(fresh, key)
	tr.ordered(before, fresh, key)
}

// intended checks that the flash was verified and that the ledger knows the intent
// of each bit. What it once had on disk it has for good: it is read again only
// for what it did not have then.
func (tr *trial) intended(fresh sim.Words, key [8]uint32) {
	if len(tr.read.Images) == 0 || tr.stray(fresh, key) != (sim.Words{}) {
		d, _, err := tr.ledger.Device(tr.mac)
		if tr.read = d; err != nil {
			tr.fault("ledger: %w", err)
		}
	}
	if len(tr.read.Images) == 0 {
		tr.fault("a fuse is burned before the flash was verified")
	}
	for i, w := range tr.stray(fresh, key) {
		if w != 0 {
			tr.fault("word %d gets the bits %08x without an intent on disk (%v)", i, w, tr.read.Intended)
		}
	}
}

// stray are the fresh bits of which the ledger was not seen to know the intent.
func (tr *trial) stray(fresh sim.Words, key [8]uint32) (stray sim.Words) {
	var may sim.Words
	if slices.Contains(tr.read.Intended, "key") {
		copy(may[7:], key[:])
	}
	for _, s := range tr.product.stages {
		if !slices.Contains(tr.read.Intended, s.name) {
			continue
		}
		for i, w := range tr.words(s) {
			may[i] |= w
		}
	}
	for i, w := range fresh {
		stray[i] = w &^ may[i]
	}
	return stray
}

// ordered checks that all stages before are whole: nothing is protected that is
// not there, encryption is not on before it is safe, nothing is closed early.
func (tr *trial) ordered(before, fresh sim.Words, key [8]uint32) {
	var must sim.Words
	copy(must[7:], key[:])
	for _, s := range tr.product.stages {
		mine := false
		for i, w := range tr.words(s) {
			mine = mine || fresh[i]&w != 0
		}
		for i, w := range must {
			if mine && w&^before[i] != 0 {
				tr.fault("%s is burned while word %d is %08x and lacks bits of %08x", s.name, i, before[i], w)
			}
		}
		for i, w := range tr.words(s) {
			must[i] |= w
		}
	}
}

// finish puts the device back until it is sealed or set aside, and tells how
// it ended.
func (tr *trial) finish() string {
	defer tr.close()
	end := tr.follow()
	tr.remember(end)
	return end
}

// follow does so, unless it is known from another device.
func (tr *trial) follow() string {
	for range 4 {
		if !tr.retried() {
			break
		}
		if !tr.product.lasting {
			tr.putBack()
		}
		if end := tr.knownEnd(); end != "" {
			return end
		}
		tr.visit()
	}
	switch last := tr.last(); {
	case last.Verdict == record.Retry:
	case last.Verdict != record.Pass && last.Failure.Code == "E-DOWNLOAD-DISABLED":
		tr.closed()
		return "QUARANTINE E-CLOSED"
	case stranger(last):
		tr.turnedAway()
	case last.Verdict != record.Pass:
		tr.setAside()
	case len(tr.outs) == 1:
		tr.sealed()
		return "sealed"
	default:
		tr.sealed()
		return "sealed when put back"
	}
	return how(tr.last())
}

// how is a verdict with its code.
func how(out flow.Outcome) string {
	if out.Failure == nil {
		return string(out.Verdict)
	}
	return fmt.Sprintf("%s %s", out.Verdict, out.Failure.Code)
}

// setAside checks what must be true of a device that is an engineer's now: the
// ledger says why, and put back it is turned away untouched.
func (tr *trial) setAside() {
	why := tr.last()
	d, known, err := tr.ledger.Device(tr.mac)
	if err != nil || !known || !d.SetAside || d.SetAsideBy != why.Failure.Code || d.SetAsideAs != why.Verdict {
		tr.fault("ledger of a device set aside: %+v, %w", d, err)
	}
	tr.putBack()
	before := tr.chip.Meter()
	again := tr.visit()
	if after := tr.chip.Meter().Since(before); how(again) != "QUARANTINE E-SET-ASIDE" || after.PagesProgrammed+after.SectorsErased+after.FuseBurns != 0 {
		tr.fault("set aside, and put back: %s, meter %+v", how(again), after)
	}
	tr.outs = tr.outs[:len(tr.outs)-1]
}

// stranger tells a visit of another chip with the MAC of a device of ours.
func stranger(out flow.Outcome) bool {
	return out.Failure != nil && out.Failure.Code == record.Stranger
}

// turnedAway checks that the device's record does not know of the stranger, who
// is not touched, however often it comes.
func (tr *trial) turnedAway() {
	before := tr.chip.Meter()
	again := tr.visit()
	if after := tr.chip.Meter().Since(before); !stranger(again) || after.PagesProgrammed+after.SectorsErased+after.FuseBurns != 0 {
		tr.fault("a stranger, and again: %s, meter %+v", how(again), after)
	}
	d, _, err := tr.ledger.Device(tr.mac)
	if verdict, code := d.State(); err != nil || verdict != record.Pass || code != "" {
		tr.fault("ledger of the genuine one: %+v, %w", d, err)
	}
	tr.outs = tr.outs[:len(tr.outs)-1]
}

// retried reports a device that its operator puts back.
func (tr *trial) retried() bool {
	last := tr.last()
	return last.Verdict == record.Retry || last.Failure != nil && last.Failure.Code == "E-CLOSED"
}

func (tr *trial) last() flow.Outcome { return tr.outs[len(tr.outs)-1] }

// closed checks what must be true of a device that was closed and not seen
// afterwards. It tells nobody its MAC any more, so the ledger must know it from
// the visit before.
func (tr *trial) closed() {
	if got := tr.chip.Fuses(); got != tr.want() {
		tr.fault("fuses of a closed device\n%08x, want\n%08x", got, tr.want())
	}
	d, _, err := tr.ledger.Device(tr.mac)
	if err != nil || !d.Booted || !d.SetAside || d.SetAsideBy != "E-CLOSED" {
		tr.fault("ledger of a closed device: %+v, %w", d, err)
	}
}

// sealed checks everything that must be true of a sealed device, and that it
// is known when it comes again.
func (tr *trial) sealed() {
	if got := tr.chip.Fuses(); got != tr.want() {
		tr.fault("fuses\n%08x, want\n%08x", got, tr.want())
	}
	if err := flashError(tr.product.job, tr.chip, tr.key(), tr.bootSecret()...); err != nil {
		tr.fault("%w", err)
	}
	d, _, err := tr.ledger.Device(tr.mac)
	if err != nil || !d.Sealed || d.SetAside || !d.Booted || len(d.Images) != len(tr.product.job.Regions) {
		tr.fault("ledger: %+v, %w", d, err)
	}
	if tr.product.job.Identity != nil {
		tr.identified(d)
	}
	id, err := hsm.ParseKeyID(d.FlashKey().ID)
	if tr.product.job.Encrypts() && (err != nil || id.Check != hsmtest.Check(tr.key())) || !tr.product.job.Encrypts() && d.FlashKey().ID != "" {
		tr.fault("the ledger's key is %s, the chip's has check value %s", d.FlashKey().ID, hsmtest.Check(tr.key()))
	}
	if tr.chip.Field("UART_DOWNLOAD_DIS") == 1 || tr.number%3 != 0 {
		return // nobody can ask it again; or not worth the time for each
	}
	tr.putBack()
	before := tr.chip.Meter()
	out := tr.visit()
	if after := tr.chip.Meter().Since(before); !out.Already || after.PagesProgrammed+after.SectorsErased+after.FuseBurns != 0 {
		tr.fault("sealed, and put back: %s %v, meter %+v", out.Verdict, out.Failure, after)
	}
	tr.outs = tr.outs[:len(tr.outs)-1]
}

// want is every fuse of a finished device.
func (tr *trial) want() sim.Words {
	want := tr.factory
	code := coded(tr.key())
	copy(want[7:], code[:])
	for _, s := range tr.product.stages {
		for i, w := range tr.words(s) {
			want[i] |= w
		}
	}
	return want
}

// identified checks that the device has the identity that the ledger bound to it
// first, and no other: ID, token and private key as they come out of the master,
// and the certificate of the ledger.
func (tr *trial) identified(d record.Device) {
	id, token, private := flowtest.IdentityOf(tr.mac)
	j := tr.product.job
	at := slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.PerDevice && r.Partition == j.Identity.Partition })
	b, err := flashPlain(tr.chip, tr.key(), j.Regions[at])
	if err != nil {
		tr.fault("%w", err)
		return
	}
	if !d.Identity.Known() || d.Identity.ID != id || d.Identity.Certificate == nil || d.Identity.Certificate.Serial != tr.cert {
		tr.fault("the ledger's identity is %+v, want the ID %s and the certificate %s", d.Identity, id, tr.cert)
		return
	}
	for name, want := range map[string][]byte{"ID": []byte(id), "token": token, "private key": private, "certificate": d.Identity.Certificate.DER} {
		if !bytes.Contains(b, want) {
			tr.fault("the flash does not hold the %s", name)
		}
	}
}

// flashPlain is a region of the chip's flash, decrypted with a key.
func flashPlain(c *sim.Chip, key []byte, r firmware.Region) ([]byte, error) {
	b := c.FlashAt(r.Address, int(r.Size))
	k, err := secret.New(bytes.Clone(key))
	if err != nil {
		return nil, err
	}
	defer k.Destroy()
	cipher, err := flashcrypt.New(k, 15)
	if err != nil {
		return nil, err
	}
	defer cipher.Destroy()
	return b, cipher.Decrypt(b, b, r.Address)
}
