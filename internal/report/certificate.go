package report

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/ledger"
)

// The formats of certificates. The first counted devices that were refused
// before they had a key as started, and did not freeze a closed batch.
const (
	batchCertificate  = "station-batch-certificate/2"
	batchCertificate1 = "station-batch-certificate/1"
)

// notIn1 are lines of an account that certificates of the first format lack.
var notIn1 = map[string]bool{"refused": true, "joined": true}

// Certificate closes a batch: its account, signed by the station's token. As
// JSON it is one file; Text is what people read, and what is signed.
type Certificate struct {
	Format   string    `json:"format"`
	Account  Balance   `json:"account"`
	Issued   time.Time `json:"issued"`
	Station  string    `json:"station"`
	Operator string    `json:"operator"`
	Reason   string    `json:"reason,omitempty"` // why it was closed although it does not balance
	Software string    `json:"software"`
	Token    string    `json:"token"` // PKCS#11 URI of the token that signs
	Origin   string    `json:"origin"`
	Size     uint64    `json:"size"` // entries of the ledger that it tells of
	Root     tlog.Hash `json:"root"`
	// Checkpoint is the signed checkpoint of exactly that head.
	Checkpoint string `json:"checkpoint"`
	Signed     string `json:"signed"` // Text as a signed note
}

// Certify counts the batch and signs the account. Errors: ErrSimulated,
// ErrNoBatch.
func Certify(l *ledger.Ledger, key crypto.Signer, batch string, c Certificate) (*Certificate, error) {
	h, err := HeadOf(l, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	b, err := BalanceOf(l, h.Size, batch, nil)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	b.Since = nil // it tells of the closing
	c.Format, c.Account, c.Issued = batchCertificate, *b, c.Issued.UTC().Truncate(time.Second)
	c.Origin, c.Size, c.Root, c.Checkpoint = l.Origin(), h.Size, h.Root, h.Checkpoint
	if c.Signed, err = signText(c.Text(), c.Origin, key); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &c, nil
}

// Text is the certificate for people. Its last line is a digest of all fields,
// so that nothing in the file can change that the text does not tell.
func (c *Certificate) Text() string {
	title := "closing certificate v2"
	if c.Format == batchCertificate1 {
		title = "closing certificate v1"
	}
	unsigned := *c
	unsigned.Signed = ""
	return certificateText(title, c.lines(), unsigned)
}

func (c *Certificate) lines() (list [][2]string) {
	for _, l := range c.Account.Lines() {
		if c.Format != batchCertificate1 || !notIn1[l[0]] {
			list = append(list, l)
		}
	}
	list = append(list, [][2]string{{"issued", timeText(c.Issued)}, {"station", c.Station}, {"operator", c.Operator}}...)
	if c.Reason != "" {
		list = append(list, [2]string{"reason", c.Reason})
	}
	return append(list, [][2]string{{"software", c.Software}, {"token", c.Token}, {"ledger", c.Origin}, {"size", fmt.Sprint(c.Size)}, {"root", c.Root.String()}}...)
}

// Marshal is the certificate as a file: indented JSON.
func (c *Certificate) Marshal() ([]byte, error) { return ledger.Indented(c) }

// CheckCertificate checks a certificate offline: that a trusted key signed
// all of it, and the head of the ledger that it tells of. Errors:
// ledger.ErrSignature, ErrProof.
func CheckCertificate(file []byte, trusted ...*ecdsa.PublicKey) (*Certificate, error) {
	return readCertificate(file, (*Certificate).check, trusted)
}

func (c *Certificate) check(trusted []*ecdsa.PublicKey) error {
	if c.Format != batchCertificate && c.Format != batchCertificate1 {
		return fmt.Errorf("format %q: want %q", c.Format, batchCertificate)
	}
	if err := signsText(c.Signed, c.Origin, c.Text(), trusted); err != nil {
		return err
	}
	same, err := signsHead(c.Checkpoint, c.Origin, c.Size, c.Root, trusted)
	if err == nil && !same {
		err = fmt.Errorf("%w: the checkpoint is of another head", ErrProof)
	}
	return err
}

// CheckLedger checks that the ledger still begins with the entries that the
// certificate tells of, and that they give the same account.
func (c *Certificate) CheckLedger(l *ledger.Ledger) error {
	if l.Origin() != c.Origin {
		return fmt.Errorf("check certificate: %w: it is of another ledger, %s", ErrProof, c.Origin)
	}
	root, err := rootAt(l, c.Size)
	if err == nil && root != c.Root {
		err = errors.New("the ledger's entries are others now")
	}
	if err != nil {
		return fmt.Errorf("check certificate: %w: %w", ErrProof, err)
	}
	if c.Format == batchCertificate1 {
		return nil // counted by other rules, from these very entries
	}
	b, err := BalanceOf(l, c.Size, c.Account.Batch, nil)
	if err != nil {
		return fmt.Errorf("check certificate: %w", err)
	}
	b.Since = nil
	again := *c
	again.Account = *b
	if again.Text() != c.Text() {
		return fmt.Errorf("check certificate: %w: the ledger gives another account", ErrProof)
	}
	return nil
}

// Since tells what happened to the batch's devices after its closing, as far as
// the ledger goes. The certificate stays true.
func (c *Certificate) Since(l *ledger.Ledger) ([]string, error) {
	size, _, err := l.Head()
	if err != nil {
		return nil, err
	}
	b, err := BalanceOf(l, size, c.Account.Batch, nil)
	if err != nil {
		return nil, err
	}
	return b.Since, nil
}
