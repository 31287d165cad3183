package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	qa "station/internal/report"
)

func ledgerCheckCommand(l *ledgerFlags) *cobra.Command {
	var keys []string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check an export, a report, a certificate, a package, a proof or a checkpoint",
		Long: `Check a file that came out of a ledger: an export or a report (its proof lies
beside it), a closing certificate, the package of a batch, the proof of a device, a proof that one
checkpoint continues another, or a checkpoint.

--key is the public key of the station's token ("station key public"); with it
the check is offline and needs neither ledger nor token. --ledger compares with
a ledger as well: whether it still begins with the entries that the file tells
of, and still gives the same rows and sums.`,
		Example: `  station ledger check devices.csv --key station-signer.pem
  station ledger check batch.certificate --key station-signer.pem --ledger ledger.db`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			trusted, err := publicKeys(keys)
			if err != nil {
				return err
			}
			if len(trusted) == 0 && l.path == "" {
				return fmt.Errorf("ledger check: nothing to check against; give --key PUBLIC.pem, --ledger FILE or both")
			}
			c := &checker{out: cmd.OutOrStdout(), path: args[0], trusted: trusted, ledger: l}
			if *asJSON {
				c.out = io.Discard
			}
			err = c.run()
			if err != nil {
				err = fmt.Errorf("%s: NOT OK: %w", args[0], err)
			}
			if *asJSON {
				return errors.Join(answer(cmd.OutOrStdout(), c.answer(err)), err)
			}
			if err != nil {
				return err
			}
			for _, k := range trusted {
				plain.Fprintf(c.out, "key          %s\n", keyPrint(k))
			}
			plain.Fprintf(c.out, "%s: OK\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key `FILE` (PEM) that must have signed; may be given again")
	asJSON = jsonFlag(cmd)
	return cmd
}

// checkAnswer says what a file is that came out of a ledger, and whether it is
// right. Of a file that is not, nothing but the problem counts.
type checkAnswer struct {
	File    string   `json:"file"`
	OK      bool     `json:"ok"`
	Problem string   `json:"problem,omitempty"`
	Keys    []string `json:"keys,omitempty"` // check values of the keys of --key
	provenFile
}

// provenFile is what a right file tells of.
type provenFile struct {
	Kind      string    `json:"kind,omitempty"` // export, certificate, package, device, consistency, checkpoint
	Ledger    string    `json:"ledger,omitempty"`
	Entries   uint64    `json:"entries,omitempty"` // the first ones of the ledger, which it speaks for
	Since     uint64    `json:"since,omitempty"`   // of a consistency proof: entries of the older checkpoint
	Root      string    `json:"root,omitempty"`
	Table     string    `json:"table,omitempty"`
	Rows      uint64    `json:"rows,omitempty"`
	Made      time.Time `json:"made,omitzero"`
	MAC       string    `json:"mac,omitempty"`
	Chip      string    `json:"chip,omitempty"` // of the device
	Batch     string    `json:"batch,omitempty"`
	Simulated bool      `json:"simulated,omitempty"`
}

func (c *checker) answer(err error) checkAnswer {
	a := checkAnswer{File: c.path, OK: err == nil, provenFile: c.found}
	if err != nil {
		a.Problem, a.provenFile = err.Error(), provenFile{}
	}
	for _, k := range c.trusted {
		a.Keys = append(a.Keys, keyPrint(k))
	}
	return a
}

// keyPrint is how "station key list" shows a signing key's check value.
func keyPrint(k *ecdsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(der))[:16]
}

// checker checks one file, whatever it is.
type checker struct {
	out     io.Writer
	path    string
	trusted []*ecdsa.PublicKey
	ledger  *ledgerFlags
	found   provenFile
}

func (c *checker) run() error {
	proof := c.path + ".proof"
	if _, err := os.Stat(proof); err == nil {
		return c.export(proof, c.path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := os.Stat(c.path)
	if err != nil {
		return err
	}
	if packed, err := c.packed(); err != nil || packed {
		return err
	}
	if info.Size() > keyfile.Proof.Most {
		return fmt.Errorf("its proof %s is not there", proof)
	}
	data, err := keyfile.Read(c.path, keyfile.Proof)
	if err != nil {
		return err
	}
	var head struct{ Format string }
	_ = json.Unmarshal(data, &head) // a checkpoint is none
	switch {
	case strings.HasPrefix(head.Format, "station-export-proof/"):
		return c.export(c.path, strings.TrimSuffix(c.path, ".proof"))
	case strings.HasPrefix(head.Format, "station-batch-certificate/"):
		return c.certificate(data)
	case strings.HasPrefix(head.Format, "station-site-certificate/"):
		return c.siteCertificate(data)
	case strings.HasPrefix(head.Format, "station-device-proof/"):
		return c.device(data)
	case strings.HasPrefix(head.Format, "station-consistency-proof/"):
		return c.consistency(data)
	case bytes.Contains(data, []byte("\n\n— ")):
		return c.checkpoint(data)
	}
	return fmt.Errorf("it is no proof, certificate or checkpoint, and there is no %s", proof)
}

// packed checks the package of a batch; it is false where the file is none.
func (c *checker) packed() (bool, error) {
	f, err := keyfile.Open(c.path, keyfile.Export)
	if err != nil {
		return false, nil // nor of another kind that could be read: that is told there
	}
	defer f.Close()
	mark := make([]byte, len(qa.PackageMark))
	if _, err := f.ReadAt(mark, 0); err != nil || string(mark) != qa.PackageMark {
		return false, nil
	}
	if err := c.needKey(); err != nil {
		return true, err
	}
	info, err := f.Stat()
	if err != nil {
		return true, err
	}
	p, err := qa.CheckPackage(f, info.Size(), c.trusted...)
	if err == nil {
		err = c.against(p.Certificate.CheckLedger)
	}
	if err != nil {
		return true, err
	}
	cert := p.Certificate
	c.found = provenFile{Kind: "package", Ledger: cert.Origin, Batch: cert.Account.Batch, Entries: cert.Size, Root: cert.Root.String(), Made: cert.Issued, Rows: uint64(p.Devices)}
	fmt.Fprint(c.out, cert.Text())
	plain.Fprintf(c.out, "%-12s %d, each with its proof; %d passed\n%-12s %d, all as signed\n", "devices", p.Devices, p.Passed, "files", p.Files)
	for _, bill := range p.Bills {
		plain.Fprintf(c.out, "%-12s %s %s, release %d: %s\n", "sbom", bill.Product, bill.Version, bill.Release, bill.SBOM)
	}
	return true, nil
}

func (c *checker) export(proof, path string) error {
	data, err := keyfile.Read(proof, keyfile.Proof)
	if err != nil {
		return err
	}
	p, err := qa.ParseExportProof(data)
	if err != nil {
		return err
	}
	f, err := keyfile.Open(path, keyfile.Export)
	if err != nil {
		return fmt.Errorf("the export of this proof: %w", err)
	}
	defer f.Close()
	if err := p.CheckFile(f); err != nil {
		return err
	}
	if len(c.trusted) > 0 {
		if err := p.CheckSigned(c.trusted...); err != nil {
			return err
		}
	}
	if err := c.against(p.CheckLedger); err != nil {
		return err
	}
	c.found = provenFile{Kind: "export", Ledger: p.Origin, Entries: p.Size, Table: p.Table, Rows: p.Rows, Made: p.Made, Simulated: p.Simulated}
	if p.Simulated {
		fmt.Fprintln(c.out, "SIMULATION   nothing in it is a real device")
	}
	plain.Fprintf(c.out, "table        %s, %s\nof           %s\nledger       %s, the first %d entries\nmade         %s\n",
		p.Table, plain.Count(p.Rows, "row"), p.Filter, p.Origin, p.Size, p.Made.Format(time.RFC3339))
	return nil
}

// against runs a check against the ledger of --ledger, if there is one.
func (c *checker) against(check func(*ledger.Ledger) error) error {
	if c.ledger.path == "" {
		return nil
	}
	return c.ledger.read(func(b *ledger.Ledger) error {
		if err := mustBeWhole(b); err != nil {
			return err
		}
		return check(b)
	})
}

func (c *checker) needKey() error {
	if len(c.trusted) == 0 {
		return errors.New("this needs --key PUBLIC.pem")
	}
	return nil
}

func (c *checker) certificate(data []byte) error {
	if err := c.needKey(); err != nil {
		return err
	}
	cert, err := qa.CheckCertificate(data, c.trusted...)
	var since []string
	if err == nil {
		err = c.against(func(l *ledger.Ledger) (err error) {
			if err = cert.CheckLedger(l); err == nil {
				since, err = cert.Since(l)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	c.found = provenFile{Kind: "certificate", Ledger: cert.Origin, Batch: cert.Account.Batch, Entries: cert.Size, Root: cert.Root.String(), Made: cert.Issued}
	fmt.Fprint(c.out, cert.Text())
	for _, text := range since {
		plain.Fprintf(c.out, "%-12s %s\n", "SINCE", text)
	}
	return nil
}

// siteCertificate checks that of a batch over all benches of a site.
func (c *checker) siteCertificate(data []byte) error {
	if err := c.needKey(); err != nil {
		return err
	}
	cert, err := qa.CheckSiteCertificate(data, c.trusted...)
	if err != nil {
		return err
	}
	c.found = provenFile{Kind: "certificate", Batch: cert.Account.Batch, Made: cert.Issued}
	fmt.Fprint(c.out, cert.Text())
	return nil
}

func (c *checker) device(data []byte) error {
	if err := c.needKey(); err != nil {
		return err
	}
	p, entries, err := ledger.CheckProof(data, c.trusted...)
	if err != nil {
		return err
	}
	var d record.Device
	for _, e := range entries {
		d.Apply(e)
	}
	c.found = provenFile{Kind: "device", MAC: p.MAC.String(), Chip: d.Chip, Rows: uint64(len(entries))}
	plain.Fprintf(c.out, "device       %s, %s\n", strings.TrimSpace(p.MAC.String()+" "+d.Chip), plain.Count(len(entries), "entry"))
	for _, e := range entries {
		plain.Fprintf(c.out, "%12d %s %s %s %s\n", e.Index, e.Time.UTC().Format(time.RFC3339), e.Kind, e.KeyIDs(), e.Verdict)
	}
	return nil
}

func (c *checker) consistency(data []byte) error {
	if err := c.needKey(); err != nil {
		return err
	}
	before, after, err := ledger.CheckConsistency(data, c.trusted...)
	if err != nil {
		return err
	}
	c.found = provenFile{Kind: "consistency", Ledger: after.Origin, Entries: after.Size, Since: before.Size, Root: after.Root.String()}
	plain.Fprintf(c.out, "ledger       %s\ncontinues    %d entries to %d\n", after.Origin, before.Size, after.Size)
	return nil
}

// checkpoint checks a checkpoint that somebody kept; against a ledger, that
// nothing of what it covers was changed or cut off.
func (c *checker) checkpoint(data []byte) error {
	if err := c.needKey(); err != nil {
		return err
	}
	p, err := ledger.OpenCheckpoint(data, c.trusted...)
	if err != nil {
		return err
	}
	if c.ledger.path != "" {
		for fault := range ledger.Check(c.ledger.path, &ledger.Audit{Trusted: c.trusted, Kept: [][]byte{data}}) {
			return fault
		}
	}
	c.found = provenFile{Kind: "checkpoint", Ledger: p.Origin, Entries: p.Size, Root: p.Root.String()}
	plain.Fprintf(c.out, "ledger       %s\nentries      %d\nroot         %s\n", p.Origin, p.Size, p.Root)
	return nil
}
