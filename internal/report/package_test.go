package report

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// packageOf is the package of the batch b1, two of whose devices have a firmware
// with a bill of materials.
func packageOf(t *testing.T, x *line, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	about, err := json.Marshal(record.Field{Product: "lamp", Release: 3, Version: "1.0.0", App: sha(3), Forms: []record.FieldForm{{Kind: "sbom", SHA256: sha(77)}}})
	if err != nil {
		t.Fatal(err)
	}
	x.add(record.Entry{Kind: record.ReleaseMade, Operator: "anna", About: about},
		record.Entry{Kind: record.BatchClosed, Batch: "b1", Operator: "anna", Message: "the end"})
	cert, err := Certify(x.l, key, "b1", Certificate{Issued: begin, Station: "bench-1", Operator: "anna", Software: "v1", Token: "pkcs11:token=line-1"})
	if err != nil {
		t.Fatal(err)
	}
	releases, err := ReleasesOf(x.l)
	if err != nil {
		t.Fatal(err)
	}
	bills, err := BillsOf(x.l, "b1", releases)
	if err != nil || len(bills) != 1 || bills[0] != (Bill{App: sha(3), Product: "lamp", Release: 3, Version: "1.0.0", SBOM: sha(77)}) {
		t.Fatalf("bills of materials %v, %v", bills, err)
	}
	var out bytes.Buffer
	n, err := Package{Certificate: cert, Made: begin.Add(time.Hour), Software: "v1", Bills: bills}.Write(&out, x.l, key)
	if err != nil || n == 0 {
		t.Fatalf("%d devices, %v", n, err)
	}
	return out.Bytes()
}

// repack copies a package, with each file as change gives it; nil leaves it out.
func repack(t *testing.T, file []byte, change func(name string, data []byte) []byte, more ...string) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	put := func(name string, data []byte) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range in.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if data = change(f.Name, data); data != nil {
			put(f.Name, data)
		}
	}
	for _, name := range more {
		put(name, []byte("more"))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A bill is of a batch only if a device of that batch, and a real one, has its app.
func TestBillsAreThoseOfTheBatch(t *testing.T) {
	x := newLine(t, false)
	for n, e := range []record.Entry{{MAC: mac(1), Batch: "b1"}, {MAC: mac(2), Batch: "b2"}, {MAC: chip.MAC{2}, Batch: "b1", Simulated: true}} {
		e.Kind, e.Images = record.FlashVerified, []record.Image{{Name: "app", Address: 0x10000, Size: 16, Plain: sha(n), Flash: sha(n)}}
		if _, err := x.l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	var releases []record.Field
	for n := range 3 {
		releases = append(releases, record.Field{Product: "lamp", Release: int64(n), App: sha(n), Forms: []record.FieldForm{{Kind: "sbom", SHA256: sha(70 + n)}}})
	}
	bills, err := BillsOf(x.l, "b1", releases)
	if err != nil || len(bills) != 1 || bills[0].SBOM != sha(70) {
		t.Errorf("got %v, %v; want the bill of b1's real device alone", bills, err)
	}
}

// The line fills an app up for the cipher. The bill is found by the file that its entry names, and in
// an old entry, which names none, by the release that tells what the app is filled up.
func TestBillsOfFilledApps(t *testing.T) {
	x := newLine(t, false)
	for n, i := range []record.Image{{Name: "app", Size: 32, File: sha(3), Plain: sha(99)}, {Name: "app", Size: 32, Plain: sha(14)}, {Name: "app", Size: 32, Plain: sha(25)}} {
		if _, err := x.l.Append(record.Entry{Kind: record.FlashVerified, MAC: mac(n + 1), Batch: "b1", Images: []record.Image{i}}); err != nil {
			t.Fatal(err)
		}
	}
	var releases []record.Field
	for n := 3; n < 7; n++ {
		releases = append(releases, record.Field{Release: int64(n), App: sha(n), AppFilled: sha(10 + n), Input: sha(30 + n), InputFilled: sha(20 + n), Forms: []record.FieldForm{{Kind: "sbom", SHA256: sha(70 + n)}}})
	}
	var got []string
	bills, err := BillsOf(x.l, "b1", releases)
	for _, b := range bills {
		got = append(got, b.App)
	}
	if want := []string{sha(3), sha(4), sha(35)}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func checked(file []byte, keys ...*ecdsa.PublicKey) (*CheckedPackage, error) {
	return CheckPackage(bytes.NewReader(file), int64(len(file)), keys...)
}

// A package is checked by whoever has the public key; whatever is changed in it,
// taken out or put in is found.
func TestPackage(t *testing.T) {
	x, key := recorded(t, false), newKey(t)
	file := packageOf(t, x, key)
	p, err := checked(file, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, err := range Tables[0].rows(x.l, p.Certificate.Size, Filter{Batch: "b1"}) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if p.Devices != rows || p.Passed != 2 || len(p.Bills) != 1 || p.Certificate.Account.Batch != "b1" {
		t.Errorf("got %+v, want %d devices", p, rows)
	}
	if _, err := checked(file, &newKey(t).PublicKey); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := checked(file[:len(file)-30], &key.PublicKey); err == nil {
		t.Error("half a file is taken for a package")
	}
	same := func(_ string, data []byte) []byte { return data }
	if _, err := checked(repack(t, file, same), &key.PublicKey); err != nil {
		t.Errorf("packed anew: %v", err)
	}
	for _, more := range []string{"proofs/240AC4FFFFFF.proof", packageDevices} {
		if _, err := checked(repack(t, file, same, more), &key.PublicKey); !errors.Is(err, ErrProof) {
			t.Errorf("%s beside it: %v", more, err)
		}
	}
	other := repack(t, file, func(_ string, data []byte) []byte { return bytes.ReplaceAll(data, []byte(sha(77)), []byte(sha(78))) })
	if _, err := checked(other, &key.PublicKey); !errors.Is(err, ErrProof) {
		t.Errorf("another bill of materials: %v", err)
	}
	var names []string
	repack(t, file, func(name string, data []byte) []byte { names = append(names, name); return data })
	if len(names) != p.Files || len(names) != 6+rows {
		t.Errorf("files %q", names)
	}
	for _, name := range names {
		for what, change := range map[string]func([]byte) []byte{
			"left out": func([]byte) []byte { return nil },
			"changed":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		} {
			forged := repack(t, file, func(n string, data []byte) []byte {
				if n == name {
					return change(data)
				}
				return data
			})
			if _, err := checked(forged, &key.PublicKey); err == nil {
				t.Errorf("%s %s: nobody notices", name, what)
			}
		}
	}
}

// A station that signs a table that its own entries do not bear out is found too.
func TestPackageHoldsTheTableAgainstTheEntries(t *testing.T) {
	var d record.Device
	e := record.Entry{Kind: record.DeviceSeen, MAC: mac(1), Fuses: locked}
	d.Apply(e)
	verdict, _ := d.State()
	good := packageRow{mac(1), verdict, locked.Block("BLOCK0").String()}
	if err := good.agrees([]record.Entry{e}, 1); err != nil {
		t.Error(err)
	}
	for _, bad := range []packageRow{{mac(1), record.Pass, good.block0}, {mac(1), verdict, strings.Repeat("0", 8)}} {
		if err := bad.agrees([]record.Entry{e}, 1); !errors.Is(err, ErrProof) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
