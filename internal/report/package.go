package report

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// The files of a package, besides one proof for each device.
const (
	packageCertificate = "batch.certificate"
	packageDevices     = "devices.csv"
	packageBills       = "sboms.json"
	packageSigner      = "signer.pem"
	packageList        = "package.signed"
	packageProofs      = "proofs/"
)

// PackageMark is what every zip file, and so every package, begins with.
const PackageMark = "PK\x03\x04"

// Bill is the bill of materials of a firmware that is in devices of a batch. It
// lies beside the release, and is known by its digest.
type Bill struct {
	App     string `json:"app"` // sha256:… of the plain app in the flash
	Product string `json:"product"`
	Release int64  `json:"release"`
	Version string `json:"version"`
	SBOM    string `json:"sbom"` // sha256:…
}

// Package is all that a batch is handed over with, in one file: its certificate, the
// table of its devices, for each device the proof of its entries with the fuses
// as read back, the digests of the bills of materials, and the key that signed.
type Package struct {
	Certificate *Certificate
	Made        time.Time
	Software    string
	Bills       []Bill
}

// Write writes the package as of the head that the certificate tells of. The
// token's key signs a list of all files.
func (p Package) Write(w io.Writer, l *ledger.Ledger, key crypto.Signer) (devices int, err error) {
	c := p.Certificate
	h := &Head{l, c.Size, c.Root, c.Checkpoint}
	z := &packed{zip: zip.NewWriter(w), made: p.Made}
	x := Export{File: packageDevices, Table: Tables[0], Format: CSV, Filter: Filter{Batch: p.Certificate.Account.Batch}, Software: p.Software, Made: p.Made}
	var table bytes.Buffer
	proof, err := x.Write(&table, h)
	if err == nil {
		err = proof.Sign(key)
	}
	if err != nil {
		return 0, fmt.Errorf("package: %w", err)
	}
	if p.Bills == nil {
		p.Bills = []Bill{}
	}
	signer, err := publicPEM(key)
	if err != nil {
		return 0, fmt.Errorf("package: %w", err)
	}
	z.marshal(packageCertificate, p.Certificate.Marshal)
	z.file(packageSigner, signer)
	z.file(packageDevices, table.Bytes())
	z.marshal(packageDevices+".proof", proof.Marshal)
	z.marshal(packageBills, func() ([]byte, error) { return ledger.Indented(p.Bills) })
	rows, err := packageRows(table.Bytes())
	for _, row := range rows {
		z.marshal(row.proof(), func() ([]byte, error) {
			proof, _, err := l.Prove(row.mac)
			if err != nil {
				return nil, err
			}
			return proof.File()
		})
	}
	if err = errors.Join(err, z.err); err == nil {
		var signed string
		if signed, err = signText(packageHead(p.Certificate)+z.list, p.Certificate.Origin, key); err == nil {
			z.file(packageList, []byte(signed))
			err = errors.Join(z.err, z.zip.Close())
		}
	}
	if err != nil {
		return 0, fmt.Errorf("package: %w", err)
	}
	return len(rows), nil
}

// packageHead is what the list of files begins with.
func packageHead(c *Certificate) string {
	return fmt.Sprintf("station batch package v1\nbatch %q\nledger %s\nsize %d\nroot %s\n", c.Account.Batch, c.Origin, c.Size, c.Root)
}

func publicPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

// packed is a zip file that is being written, and the list of what is in it. The
// first error stays.
type packed struct {
	zip  *zip.Writer
	made time.Time
	list string
	err  error
}

func (z *packed) file(name string, data []byte) {
	if z.err != nil {
		return
	}
	var w io.Writer
	if w, z.err = z.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: z.made}); z.err == nil {
		_, z.err = w.Write(data)
	}
	z.list += fmt.Sprintf("sha256 %x %s\n", sha256.Sum256(data), name)
}

func (z *packed) marshal(name string, make func() ([]byte, error)) {
	if z.err != nil {
		return
	}
	data, err := make()
	if err != nil {
		z.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	z.file(name, data)
}

// packageRow is a device of the table.
type packageRow struct {
	mac     chip.MAC
	verdict record.Verdict
	block0  string
}

func (r packageRow) proof() string {
	return packageProofs + strings.ToUpper(strings.ReplaceAll(r.mac.String(), ":", "")) + ".proof"
}

// packageRows reads the devices out of the table.
func packageRows(table []byte) (list []packageRow, err error) {
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%s: %w", packageDevices, err)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	for _, row := range rows[1:] {
		mac, err := chip.ParseMAC(row[at["mac"]])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", packageDevices, err)
		}
		list = append(list, packageRow{mac, record.Verdict(row[at["verdict"]]), row[at["block0"]]})
	}
	return list, nil
}

// CheckedPackage is what a package tells that can be believed.
type CheckedPackage struct {
	Certificate *Certificate
	Devices     int
	Passed      int
	Bills       []Bill
	Files       int
}

// mostPacked is the most that one file of a package may unpack to.
const mostPacked = 1 << 30

// CheckPackage checks a package offline: that a trusted key signed the list of its
// files and that these are there and no others, its certificate, the table with
// its proof, and for each device of the table the entries that say the same.
func CheckPackage(r io.ReaderAt, size int64, trusted ...*ecdsa.PublicKey) (*CheckedPackage, error) {
	c, err := checkPackage(r, size, trusted)
	if err != nil {
		return nil, fmt.Errorf("check package: %w", err)
	}
	return c, nil
}

func checkPackage(r io.ReaderAt, size int64, trusted []*ecdsa.PublicKey) (*CheckedPackage, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	data, err := unpacked(z)
	if err != nil {
		return nil, err
	}
	c := &CheckedPackage{Files: len(data)}
	if c.Certificate, err = CheckCertificate(data[packageCertificate], trusted...); err != nil {
		return nil, err
	}
	if err := c.listed(data, trusted); err != nil {
		return nil, err
	}
	signer, err := ledger.ParsePublicKey(data[packageSigner])
	if err != nil || !slices.ContainsFunc(trusted, func(k *ecdsa.PublicKey) bool { return k.Equal(signer) }) {
		return nil, fmt.Errorf("%w: %s is none of the trusted keys", ErrProof, packageSigner)
	}
	if err := strict(data[packageBills], &c.Bills); err != nil {
		return nil, fmt.Errorf("%s: %w", packageBills, err)
	}
	return c, c.devices(data, trusted)
}

// unpacked are the files, of which no two have the same name.
func unpacked(z *zip.Reader) (map[string][]byte, error) {
	data := map[string][]byte{}
	for _, f := range z.File {
		if _, twice := data[f.Name]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", ErrProof, f.Name)
		}
		in, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		b, err := io.ReadAll(io.LimitReader(in, mostPacked+1))
		if err = errors.Join(err, in.Close()); err == nil && len(b) > mostPacked {
			err = errors.New("it is too large")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		data[f.Name] = b
	}
	return data, nil
}

// listed checks that the signed list names all files as they are, and no others.
func (c *CheckedPackage) listed(data map[string][]byte, trusted []*ecdsa.PublicKey) error {
	text, err := ledger.OpenNote(data[packageList], c.Certificate.Origin, trusted...)
	if err != nil {
		return fmt.Errorf("%s: %w", packageList, err)
	}
	list, ours := strings.CutPrefix(text, packageHead(c.Certificate))
	if !ours {
		return fmt.Errorf("%w: %s is of another batch", ErrProof, packageList)
	}
	n := 1 // the list itself
	for line := range strings.Lines(list) {
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(words) != 3 || words[0] != "sha256" {
			return fmt.Errorf("%w: %s says %q", ErrProof, packageList, line)
		}
		file, there := data[words[2]]
		sum := sha256.Sum256(file)
		if !there || hex.EncodeToString(sum[:]) != words[1] {
			return fmt.Errorf("%w: %s is missing, or not the one that was signed", ErrProof, words[2])
		}
		n++
	}
	if n != len(data) {
		return fmt.Errorf("%w: %d files are there, %d were signed", ErrProof, len(data), n)
	}
	return nil
}

// devices checks the table and the proof of each device in it.
func (c *CheckedPackage) devices(data map[string][]byte, trusted []*ecdsa.PublicKey) error {
	p, err := ParseExportProof(data[packageDevices+".proof"])
	if err == nil {
		err = errors.Join(p.CheckFile(bytes.NewReader(data[packageDevices])), p.CheckSigned(trusted...))
	}
	if err != nil {
		return err
	}
	if want := (Filter{Batch: c.Certificate.Account.Batch}); p.Table != Tables[0].Name || p.Filter != want || p.Origin != c.Certificate.Origin || p.Size != c.Certificate.Size {
		return fmt.Errorf("%w: %s is not of the batch and the head of the certificate", ErrProof, packageDevices)
	}
	rows, err := packageRows(data[packageDevices])
	if err != nil {
		return err
	}
	for _, row := range rows {
		proof, entries, err := ledger.CheckProof(data[row.proof()], trusted...)
		if err == nil && proof.MAC != row.mac {
			err = fmt.Errorf("%w: it is of %s", ErrProof, proof.MAC)
		}
		if err == nil {
			err = row.agrees(entries, c.Certificate.Size)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", row.proof(), err)
		}
		if c.Devices++; row.verdict == record.Pass {
			c.Passed++
		}
	}
	return nil
}

// agrees holds a row of the table against the entries that the proof shows: what
// became of the device, and its fuses as read back last. The table tells of the
// first size entries of the ledger.
func (r packageRow) agrees(entries []record.Entry, size uint64) error {
	var d record.Device
	for _, e := range entries {
		if e.Index < size {
			d.Apply(e)
		}
	}
	if verdict, _ := d.State(); verdict != r.verdict {
		return fmt.Errorf("%w: the table has %s, its entries say %s", ErrProof, r.verdict, verdict)
	}
	if have := d.Fuses.Block("BLOCK0").String(); have != r.block0 {
		return fmt.Errorf("%w: the table has BLOCK0 %s, its entries say %s", ErrProof, r.block0, have)
	}
	return nil
}

// BillsOf are the bills of materials of what is in the devices of a batch: those of the
// releases whose app lies in their flash.
func BillsOf(l *ledger.Ledger, batch string, releases []record.Field) (list []Bill, err error) {
	apps := map[string]bool{}
	for d, err := range l.Devices() {
		if err != nil {
			return nil, err
		}
		for _, i := range d.Images {
			if d.Batch == batch && !d.Simulated {
				apps[i.Plain], apps[i.File] = true, true
			}
		}
	}
	delete(apps, "")
	for _, r := range releases {
		at := slices.IndexFunc(r.Forms, func(f record.FieldForm) bool { return f.Kind == "sbom" })
		for _, app := range slices.Compact([][2]string{{r.App, r.AppFilled}, {r.Input, r.InputFilled}}) {
			if at >= 0 && (apps[app[0]] || apps[app[1]]) {
				list = append(list, Bill{app[0], r.Product, r.Release, r.Version, r.Forms[at].SHA256})
			}
		}
	}
	return list, nil
}

// ReleasesOf are the releases that the ledger tells of, the oldest first.
func ReleasesOf(l *ledger.Ledger) (list []record.Field, err error) {
	for e, err := range l.Entries(0) {
		if err != nil {
			return nil, err
		}
		if e.Kind != record.ReleaseMade {
			continue
		}
		var f record.Field
		if err := json.Unmarshal(e.About, &f); err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		list = append(list, f)
	}
	return list, nil
}
