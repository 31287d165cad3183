package report

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/ledger"
)

const exportProof = "station-export-proof/1"

// ErrProof means that a file is not what its proof says.
var ErrProof = errors.New("the file is not what its proof says")

// ErrUnsigned means that a proof carries no signature.
var ErrUnsigned = errors.New("nobody signed it")

// ExportProof is what makes an export checkable. It lies beside the export, in
// a file of its own, because nothing but rows may stand in a table.
type ExportProof struct {
	Format    string    `json:"format"`
	File      string    `json:"file"`
	Table     string    `json:"table"` // devices, entries or report
	Encoding  Format    `json:"encoding"`
	Columns   int       `json:"columns,omitempty"` // version
	Filter    Filter    `json:"filter"`
	Rows      uint64    `json:"rows"`
	SHA256    string    `json:"sha256"`          // of the file
	Cells     string    `json:"cells,omitempty"` // of the rows, whatever the form of the file
	Simulated bool      `json:"simulated,omitempty"`
	Made      time.Time `json:"made"`
	Software  string    `json:"software"`
	Origin    string    `json:"origin"` // of the ledger
	Size      uint64    `json:"size"`   // entries that the export tells of
	Root      tlog.Hash `json:"root"`   // of the Merkle tree over them
	// Checkpoint is the ledger's newest signed checkpoint (C2SP tlog-checkpoint).
	Checkpoint string `json:"checkpoint,omitempty"`
	// Signed is text as a signed note.
	Signed string `json:"signed,omitempty"`
}

// text is what is signed: every field but the signatures.
func (p *ExportProof) text() string {
	filter, _ := json.Marshal(p.Filter) // texts and times always marshal
	return fmt.Sprintf("station export v1\nfile %q\ntable %s %s columns %d\nfilter %s\nrows %d\nsha256 %s\ncells %s\nsimulated %t\nmade %s\nsoftware %q\nledger %s\nsize %d\nroot %s\n",
		p.File, p.Table, p.Encoding, p.Columns, filter, p.Rows, p.SHA256, p.Cells, p.Simulated,
		p.Made.Format(time.RFC3339), p.Software, p.Origin, p.Size, p.Root)
}

// Marshal is the proof as a file: indented JSON.
func (p *ExportProof) Marshal() ([]byte, error) { return ledger.Indented(p) }

// strict refuses fields that it does not know: nobody signed them.
func strict(file []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more after its end")
	}
	return nil
}

// ParseExportProof reads a proof. Nothing of it is believed yet.
func ParseExportProof(file []byte) (*ExportProof, error) {
	p := new(ExportProof)
	if err := strict(file, p); err != nil {
		return nil, fmt.Errorf("export proof: %w", err)
	}
	if p.Format != exportProof {
		return nil, fmt.Errorf("export proof: format %q: want %q", p.Format, exportProof)
	}
	return p, nil
}

// CheckFile checks that the export is the one of the proof.
func (p *ExportProof) CheckFile(r io.Reader) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return fmt.Errorf("check export: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
		return fmt.Errorf("check export: %w: its SHA-256 is %s, not %s", ErrProof, got, p.SHA256)
	}
	return nil
}

// CheckSigned checks offline that a trusted key signed all of the proof, and
// the ledger's head that it names. Errors: ErrUnsigned, ledger.ErrSignature,
// ErrProof.
func (p *ExportProof) CheckSigned(trusted ...*ecdsa.PublicKey) error {
	if p.Signed == "" {
		return fmt.Errorf("check export: %w", ErrUnsigned)
	}
	text, err := ledger.OpenNote([]byte(p.Signed), p.Origin, trusted...)
	if err != nil {
		return fmt.Errorf("check export: %w", err)
	}
	if text != p.text() {
		return fmt.Errorf("check export: %w: its fields are not those that were signed", ErrProof)
	}
	c, err := ledger.OpenCheckpoint([]byte(p.Checkpoint), trusted...)
	if err != nil {
		return fmt.Errorf("check export: %w", err)
	}
	if c.Origin != p.Origin || c.Size != p.Size || c.Root != p.Root {
		return fmt.Errorf("check export: %w: the checkpoint is of another head", ErrProof)
	}
	return nil
}

// CheckLedger checks that the ledger still begins with the entries that the
// export tells of, and that they give the same rows. It hashes those entries
// anew.
func (p *ExportProof) CheckLedger(l *ledger.Ledger) error {
	if l.Origin() != p.Origin || l.Simulated() != p.Simulated {
		return fmt.Errorf("check export: %w: it is of another ledger, %s", ErrProof, p.Origin)
	}
	root, err := rootAt(l, p.Size)
	if err != nil {
		return fmt.Errorf("check export: %w: %w", ErrProof, err)
	}
	if root != p.Root {
		return fmt.Errorf("check export: %w: the first %d entries of the ledger are others now", ErrProof, p.Size)
	}
	if p.Table == reportTable {
		return nil
	}
	t, err := FindTable(p.Table)
	if err != nil {
		return fmt.Errorf("check export: %w", err)
	}
	if p.Columns < 1 || p.Columns > ColumnsVersion {
		return fmt.Errorf("check export: its columns are of version %d, this program's of version %d", p.Columns, ColumnsVersion)
	}
	width := t.width(p.Columns)
	d := newCellDigest()
	for row, err := range t.rows(l, p.Size, p.Filter) {
		if err != nil {
			return fmt.Errorf("check export: %w", err)
		}
		d.add(row[:width])
	}
	if d.rows != p.Rows || d.sum() != p.Cells {
		return fmt.Errorf("check export: %w: the ledger gives %d other rows", ErrProof, d.rows)
	}
	return nil
}

// reportTable is the Table of a page for people.
const reportTable = "report"
