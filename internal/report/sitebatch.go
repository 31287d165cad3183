package report

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

const siteCertificate = "station-site-certificate/1"

// SiteAccount is the account of a batch over all benches of a site: their sums, with
// each device counted once, where it belongs.
type SiteAccount struct {
	Batch       string     `json:"batch"`
	Site        string     `json:"site"`
	Closed      bool       `json:"closed"`  // at every bench
	Ordered     int        `json:"ordered"` // 0: a bench has no quota; benches to which the site gives numbers share one
	Numbers     int        `json:"numbers"`
	Skipped     int        `json:"skipped"`
	Refused     int        `json:"refused"`
	Started     int        `json:"started"`
	Passed      int        `json:"passed"`
	Scrapped    int        `json:"scrapped"`
	Quarantined int        `json:"quarantined"`
	Unfinished  int        `json:"unfinished"`
	Moved       []string   `json:"moved,omitempty"` // devices that a bench counts and another one has: MAC, bench, bench
	Differences []string   `json:"differences,omitempty"`
	Benches     []SitePart `json:"benches"`
}

// SitePart is what one bench adds to the account of a site.
type SitePart struct {
	Bench   string    `json:"bench"`
	Account Balance   `json:"account"`
	Origin  string    `json:"ledger"` // its ledger, of which the first so many entries were counted
	Size    uint64    `json:"entries"`
	Root    tlog.Hash `json:"root"`
	// Witness is the site's signature under that head, Signed the newest checkpoint that
	// the bench's token and the site have signed, which may be older.
	Witness string `json:"witness,omitempty"`
	Signed  string `json:"signed,omitempty"`
}

// Balanced tells whether everything is accounted for.
func (a *SiteAccount) Balanced() bool { return len(a.Differences) == 0 }

// SiteBalance counts a batch over all benches that know it. Error: ErrNoBatch.
func SiteBalance(site, batch string, benches []Bench) (*SiteAccount, error) {
	a := &SiteAccount{Batch: batch, Site: site, Closed: true}
	var folds []*batchFold
	var at []Bench
	for _, b := range benches {
		f, err := countBatch(b.Ledger, b.Size, batch, nil)
		if errors.Is(err, ErrNoBatch) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("batch %s at %s: %w", batch, b.Name, err)
		}
		folds, at = append(folds, f), append(at, b)
	}
	if len(folds) == 0 {
		return nil, fmt.Errorf("batch %s: %w", batch, ErrNoBatch)
	}
	for i, f := range folds {
		if err := a.add(at[i], f, benches); err != nil {
			return nil, fmt.Errorf("batch %s at %s: %w", batch, at[i].Name, err)
		}
	}
	a.settle(folds)
	return a, nil
}

// add adds what a bench counts, but for the devices that are another one's.
func (a *SiteAccount) add(b Bench, f *batchFold, benches []Bench) error {
	a.Closed = a.Closed && !f.Closed.IsZero()
	a.Numbers, a.Skipped, a.Refused = a.Numbers+f.Numbers, a.Skipped+f.Skipped, a.Refused+f.Refused
	var sum Balance
	for mac, verdict := range f.started {
		home, err := homeOf(mac, b, benches)
		if err != nil {
			return err
		}
		if home != b.Name {
			a.Moved = append(a.Moved, fmt.Sprintf("%s from %s to %s", mac, b.Name, home))
			continue
		}
		a.Started++
		*sum.of(verdict)++
	}
	a.Passed, a.Scrapped, a.Quarantined, a.Unfinished = a.Passed+sum.Passed, a.Scrapped+sum.Scrapped, a.Quarantined+sum.Quarantined, a.Unfinished+sum.Unfinished
	a.Benches = append(a.Benches, SitePart{Bench: b.Name, Account: f.Balance, Origin: b.Ledger.Origin(), Size: b.Size, Root: b.Root, Signed: b.Checkpoint})
	return nil
}

// homeOf is the bench whose device it is, of those that know it; b has given it a key.
func homeOf(mac chip.MAC, b Bench, benches []Bench) (home string, err error) {
	home = b.Name
	eldest, err := at(b.Ledger, mac, b.Size)
	for _, o := range benches {
		if err != nil || o.Name == b.Name {
			continue
		}
		var d record.Device
		if d, err = at(o.Ledger, mac, o.Size); err == nil && !d.MAC.IsZero() && d.Elder(eldest) < 0 {
			home, eldest = o.Name, d
		}
	}
	return home, err
}

// order is for how many devices the benches have the batch together; 0 where one of them that
// counts by itself has no quota.
func (a *SiteAccount) order(folds []*batchFold) {
	var parts []record.Lot
	without, shared := false, false
	for _, f := range folds {
		parts = append(parts, record.Lot{Quota: f.Ordered, Leases: f.leases})
		without, shared = without || f.Ordered == 0, shared || f.leases > 0
	}
	if a.Ordered = record.Ordered(parts); without && !shared {
		a.Ordered = 0
	}
}

// settle says what does not add up.
func (a *SiteAccount) settle(folds []*batchFold) {
	slices.Sort(a.Moved)
	a.order(folds)
	for i, f := range folds {
		bench := a.Benches[i].Bench
		for _, text := range f.Differences {
			if !slices.Contains(f.whole, text) {
				a.Differences = append(a.Differences, bench+": "+text)
			}
		}
	}
	if a.Unfinished > 0 {
		a.Differences = append(a.Differences, fmt.Sprintf("%s started that had no end", plain.Count(a.Unfinished, "device")))
	}
	switch n := a.Ordered - a.Passed; {
	case a.Ordered == 0 || n == 0:
	case n > 0:
		a.Differences = append(a.Differences, fmt.Sprintf("%d of %d ordered devices are missing", n, a.Ordered))
	default:
		a.Differences = append(a.Differences, fmt.Sprintf("%s passed, %d more than ordered", plain.Count(a.Passed, "device"), -n))
	}
	sum := 0
	for _, p := range a.Benches {
		sum += p.Account.Started
	}
	if sum != a.Started+len(a.Moved) {
		a.Differences = append(a.Differences, fmt.Sprintf("the benches count %d devices, the site %d and %d that moved", sum, a.Started, len(a.Moved)))
	}
}

// Lines are the account for people, name and value.
func (a *SiteAccount) Lines() [][2]string {
	ordered := "no quota"
	if a.Ordered > 0 {
		ordered = fmt.Sprint(a.Ordered)
	}
	lines := [][2]string{{"batch", a.Batch}, {"site", a.Site}, {"closed", yes(a.Closed)}, {"ordered", ordered}}
	for _, n := range []struct {
		name string
		n    int
	}{{"numbers", a.Numbers}, {"skipped", a.Skipped}, {"refused", a.Refused}, {"started", a.Started}, {"passed", a.Passed}, {"scrapped", a.Scrapped},
		{"quarantined", a.Quarantined}, {"unfinished", a.Unfinished}} {
		lines = append(lines, [2]string{n.name, fmt.Sprint(n.n)})
	}
	for _, text := range a.Moved {
		lines = append(lines, [2]string{"moved", text})
	}
	for _, p := range a.Benches {
		c := p.Account
		lines = append(lines, [2]string{"bench", fmt.Sprintf("%s: %d started, %d passed, %d scrapped, %d quarantined, %d unfinished", p.Bench, c.Started, c.Passed, c.Scrapped, c.Quarantined, c.Unfinished)},
			[2]string{"ledger", fmt.Sprintf("%s: %s, %s, root %s", p.Bench, p.Origin, plain.Count(p.Size, "entry"), p.Root)})
	}
	for _, text := range a.Differences {
		lines = append(lines, [2]string{"DIFFERENCE", text})
	}
	return append(lines, [2]string{"balanced", yes(a.Balanced())})
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

// SiteCertificate is the account of a batch over all benches, signed by the site. As
// JSON it is one file; Text is what people read, and what is signed.
type SiteCertificate struct {
	Format   string      `json:"format"`
	Account  SiteAccount `json:"account"`
	Issued   time.Time   `json:"issued"`
	Operator string      `json:"operator"`
	Reason   string      `json:"reason,omitempty"` // why it was signed although it does not balance
	Software string      `json:"software"`
	Signed   string      `json:"signed"` // Text as a signed note
}

// SiteSigner is the name of a site under what it signs.
func SiteSigner(site string) string { return "station-site/" + site }

// CertifySite signs the account, and the head of each bench's ledger that it names.
func CertifySite(a *SiteAccount, key crypto.Signer, c SiteCertificate) (*SiteCertificate, error) {
	name := SiteSigner(a.Site)
	for i := range a.Benches {
		p := &a.Benches[i]
		note, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: p.Origin, Size: p.Size, Root: p.Root}, name, key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		p.Witness = string(note)
	}
	c.Format, c.Account, c.Issued = siteCertificate, *a, c.Issued.UTC().Truncate(time.Second)
	var err error
	if c.Signed, err = signText(c.Text(), name, key); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &c, nil
}

// Text is the certificate for people; its last line is a digest of all fields.
func (c *SiteCertificate) Text() string {
	lines := append(c.Account.Lines(), [2]string{"issued", timeText(c.Issued)}, [2]string{"operator", c.Operator})
	if c.Reason != "" {
		lines = append(lines, [2]string{"reason", c.Reason})
	}
	unsigned := *c
	unsigned.Signed = ""
	return certificateText("closing certificate of a site v1", append(lines, [2]string{"software", c.Software}), unsigned)
}

// Marshal is the certificate as a file: indented JSON.
func (c *SiteCertificate) Marshal() ([]byte, error) { return ledger.Indented(c) }

// CheckSiteCertificate checks a certificate offline: that a trusted key signed all of it,
// and the head of each ledger that it names. Errors: ledger.ErrSignature, ErrProof.
func CheckSiteCertificate(file []byte, trusted ...*ecdsa.PublicKey) (*SiteCertificate, error) {
	return readCertificate(file, (*SiteCertificate).check, trusted)
}

func (c *SiteCertificate) check(trusted []*ecdsa.PublicKey) error {
	if c.Format != siteCertificate {
		return fmt.Errorf("format %q: want %q", c.Format, siteCertificate)
	}
	if err := signsText(c.Signed, SiteSigner(c.Account.Site), c.Text(), trusted); err != nil {
		return err
	}
	for _, p := range c.Account.Benches {
		same, err := signsHead(p.Witness, p.Origin, p.Size, p.Root, trusted)
		if err == nil && !same {
			err = fmt.Errorf("%w: %s: the site signed another head", ErrProof, p.Bench)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
