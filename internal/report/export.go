package report

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
)

// Export is one export to be written.
type Export struct {
	File     string // name for the proof
	Table    Table
	Format   Format
	BOM      bool // a CSV begins with the mark of UTF-8, for Excel
	Filter   Filter
	Software string
	Made     time.Time
	Progress func(rows uint64) // told of every row, if not nil
	Unproved bool              // nobody asks for the proof: it has no digests
}

// Write writes the export and returns its proof, not yet signed. Memory does
// not grow with the number of rows.
func (x Export) Write(w io.Writer, h *Head) (*ExportProof, error) {
	p := x.proof(h)
	if x.Unproved {
		return p, x.write(w, h, p, func([]string) {})
	}
	sum, digest := sha256.New(), newCellDigest()
	if err := x.write(io.MultiWriter(w, sum), h, p, digest.add); err != nil {
		return nil, err
	}
	p.Cells, p.SHA256 = digest.sum(), hex.EncodeToString(sum.Sum(nil))
	return p, nil
}

// write writes the table, shows each row before and counts them.
func (x Export) write(w io.Writer, h *Head, p *ExportProof, show func(row []string)) error {
	enc, err := newEncoder(x, w, p.about())
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for row, err := range x.Table.rows(h.Ledger, h.Size, x.Filter) {
		if err == nil {
			show(row)
			err = enc.row(row)
		}
		if err != nil {
			return fmt.Errorf("export: row %d: %w", p.Rows+1, err)
		}
		if p.Rows++; x.Progress != nil {
			x.Progress(p.Rows)
		}
	}
	if err := enc.end(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func (x Export) proof(h *Head) *ExportProof {
	return &ExportProof{Format: exportProof, File: x.File, Table: x.Table.Name, Encoding: x.Format, Columns: ColumnsVersion,
		Filter: x.Filter, Simulated: h.Ledger.Simulated(), Made: x.Made.UTC().Truncate(time.Second), Software: x.Software,
		Origin: h.Ledger.Origin(), Size: h.Size, Root: h.Root, Checkpoint: h.Checkpoint}
}

// cellDigest is a digest of a table's cells, whatever the form of the file:
// SHA-256 over each cell with its length in front.
type cellDigest struct {
	h    hash.Hash
	buf  []byte
	rows uint64
}

func newCellDigest() *cellDigest { return &cellDigest{h: sha256.New()} }

func (d *cellDigest) add(row []string) {
	b := d.buf[:0]
	for _, cell := range row {
		b = append(binary.AppendUvarint(b, uint64(len(cell))), cell...)
	}
	d.h.Write(b)
	d.buf = b
	d.rows++
}

func (d *cellDigest) sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

// about is what the export says of itself, for people.
func (p *ExportProof) about() [][2]string {
	lines := [][2]string{
		{"station", "export of the table of " + p.Table},
		{"of", p.Filter.String()},
		{"ledger", p.Origin},
		{"entries", strconv.FormatUint(p.Size, 10)},
		{"root", p.Root.String()},
		{"made", p.Made.Format(time.RFC3339)},
		{"software", p.Software},
		{"columns", "version " + strconv.Itoa(p.Columns)},
	}
	if p.Simulated {
		lines = append([][2]string{{simulation, "made on virtual devices or with a throw-away token"}}, lines...)
	}
	return lines
}

// Sign signs the proof: this station's token vouches for the export.
func (p *ExportProof) Sign(key crypto.Signer) (err error) {
	if p.Simulated {
		return ErrSimulated
	}
	p.Signed, err = signText(p.text(), p.Origin, key)
	return err
}
