package flow_test

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/xts"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/identity"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// flashOf is the plain text of a region of the device's flash.
func flashOf(t testing.TB, c *sim.Chip, r firmware.Region) []byte {
	t.Helper()
	if !r.Encrypted {
		return bytes.Clone(c.Flash()[r.Address:][:r.Size])
	}
	b, err := flashPlain(c, flowtest.DeviceKey(c.MAC(), 32), r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A device gets its identity, in each form: its flash holds ID, token, private
// key and certificate, its application reads the ID through the chip's
// decryption, and the ledger knows the names. A second visit makes no other.
func TestIdentities(t *testing.T) {
	for _, form := range slices.Sorted(maps.Keys(flowtest.IdentityForms)) {
		t.Run(form, func(t *testing.T) {
			s, ca := newIdentityBench(t, 0, form)
			mac := station.VirtualMAC(7)
			c := flowtest.NewChip(t, simFor(s.Job, mac))
			flowtest.WantVerdict(t, s.Visit(c), record.Pass, "")
			id, token, private := flowtest.IdentityOf(mac)
			d, _, err := s.Ledger.Device(mac)
			if err != nil || d.Identity == nil || d.Identity.ID != id || !d.Identity.Token || d.Identity.Certificate == nil {
				t.Fatalf("the ledger has %+v, %v, want the ID %s", d.Identity, err, id)
			}
			cert, err := x509.ParseCertificate(d.Identity.Certificate.DER)
			if err != nil || cert.CheckSignatureFrom(ca) != nil || identity.SerialText(cert.SerialNumber) != d.Identity.Certificate.Serial ||
				identity.Fingerprint(cert.Raw) != d.Identity.Certificate.SHA256 || d.Identity.Certificate.Issuer != "CN=Plant CA" {
				t.Errorf("certificate %+v: %v", d.Identity.Certificate, err)
			}
			key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
			if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
				t.Errorf("the certificate is of another key: %v", err)
			}
			checkIdentityFlash(t, s.Job, c, id, token, private, cert.Raw)
			if owner, known, err := s.Ledger.Named(id); owner != mac || !known || err != nil {
				t.Errorf("owner of %s: %v, %t, %v", id, owner, known, err)
			}
			before := bytes.Clone(c.Flash())
			again := s.Visit(c)
			flowtest.WantVerdict(t, again, record.Pass, "")
			if !again.Already || !bytes.Equal(before, c.Flash()) {
				t.Error("the second visit did something")
			}
			sameIdentityAgain(t, s, c, d)
			everything := everyEntry(t, s)
			for name, secret := range map[string][]byte{"token": token, "private key": private} {
				if found := holdsSecret(everything, secret); found != "" {
					t.Errorf("the ledger holds the %s as %s", name, found)
				}
			}
		})
	}
}

// sameIdentityAgain makes the device's identity again, as whoever services it does:
// it is what the flash has. Of a device whose ledger or job says otherwise it is not
// made.
func sameIdentityAgain(t *testing.T, s *bench, c *sim.Chip, d record.Device) {
	t.Helper()
	again := func(d record.Device) (job.Own, error) {
		own := job.Own{MAC: d.MAC}
		err := station.IdentityAgain(t.Context(), s.Token, d, s.Job, &own)
		t.Cleanup(func() { own.Values.Destroy(); own.NVSKeys.Destroy() })
		return own, err
	}
	own, err := again(d)
	if err != nil {
		t.Fatal(err)
	}
	regions, err := s.Job.RegionsFor(own)
	if err != nil {
		t.Fatal(err)
	}
	defer regions.Destroy()
	for _, r := range regions.List {
		if r.PerDevice && !bytes.Equal(flashOf(t, c, r)[:len(r.Data)], r.Data) {
			t.Errorf("%s is not made again as the flash has it", r.Name)
		}
	}
	for name, change := range map[string]func(*record.Identity){
		"names \"station-identity\"":      func(i *record.Identity) { i.Label = "another" },
		"E-KEY-CHANGED":                   func(i *record.Identity) { i.ID = strings.Repeat("0", 32) },
		"no certificate for it of the CA": func(i *record.Identity) { i.Certificate = nil },
	} {
		changed := *d.Identity
		change(&changed)
		other := d
		other.Identity = &changed
		if _, err := again(other); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %s: %v", name, err)
		}
	}
}

// simFor is a chip for the job with that MAC.
func simFor(j *job.Job, mac chip.MAC) sim.Options {
	o := station.ChipFor(j)
	o.MAC = mac
	return o
}

// everyEntry is the whole log as it is stored.
func everyEntry(t *testing.T, s *bench) []byte {
	t.Helper()
	var indexes []uint64
	for e, err := range s.Ledger.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, e.Index)
	}
	lines, err := s.Ledger.LinesAt(indexes...)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, line := range lines {
		all = append(all, line...)
	}
	return all
}

// holdsSecret tells in which form a text holds a secret; "" for none.
func holdsSecret(text, secret []byte) string {
	lower := bytes.ToLower(text)
	switch {
	case bytes.Contains(text, secret):
		return "bytes"
	case bytes.Contains(lower, []byte(hex.EncodeToString(secret))):
		return "hexadecimal digits"
	case containsBase64(text, secret):
		return "base64"
	}
	return ""
}

// checkIdentityFlash looks for everything in the partition of the identity.
func checkIdentityFlash(t *testing.T, j *job.Job, c *sim.Chip, id string, token, private, cert []byte) {
	t.Helper()
	i := slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.PerDevice && r.Partition == j.Identity.Partition })
	r := j.Regions[i]
	if raw := c.Flash()[r.Address:][:r.Size]; holdsSecret(raw, token) != "" || holdsSecret(raw, private) != "" || bytes.Contains(raw, []byte(id)) {
		t.Error("the flash holds the identity in the clear")
	}
	b := flashOf(t, c, r)
	if j.Identity.Keys != "" {
		at := slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.Partition == j.Identity.Keys })
		keys := flashOf(t, c, j.Regions[at])[:identity.NVSKeySize]
		var err error
		if b, err = openNVS(b, keys); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(b, []byte(id)) || !bytes.Contains(b, token) {
		t.Error("ID or token is not in the partition")
	}
	if j.Identity.Kind == "nvs" {
		text := string(b)
		if block, _ := pem.Decode([]byte(text[strings.Index(text, "-----BEGIN CERT"):])); block == nil || !bytes.Equal(block.Bytes, cert) {
			t.Error("the certificate is not in NVS")
		}
		block, _ := pem.Decode([]byte(text[strings.Index(text, "-----BEGIN EC"):]))
		if block == nil || !bytes.Contains(block.Bytes, private) {
			t.Error("the private key is not in NVS")
		}
		return
	}
	if !bytes.Contains(b, cert) || !bytes.Contains(b, private) {
		t.Error("certificate or private key is not in the partition")
	}
}

// A job whose identity would not stay secret, or could not be made, is refused
// at its line, with all faults.
func TestIdentityJobs(t *testing.T) {
	ca := anyCA(t)
	for _, v := range []struct {
		name, form string
		edit       []string
		want       []string
	}{
		{"good", "esp_secure_cert", nil, nil},
		{"good NVS", "nvs, encrypted for itself", nil, nil},
		{"no such partition", "esp_secure_cert", []string{"token = true", "token = true\npartition = \"nowhere\""}, []string{"identity.partition", "there is no partition nowhere"}},
		{"a plain partition", "nvs, encrypted for itself", []string{"keys = \"nvs_keys\"\n", ""}, []string{"the partition nvs is not encrypted, and what goes into it must stay secret", "or write keys"}},
		{"NVS keys in the wrong place", "nvs, encrypted for itself", []string{`keys = "nvs_keys"`, `keys = "factory"`}, []string{"gets app"}},
		{"keys that are none", "nvs, encrypted by the chip", []string{"template =", "keys = \"fctry\"\ntemplate ="}, []string{"has the flag encrypted, with which ESP-IDF refuses"}},
		{"the master of the keys", "esp_secure_cert", []string{"[identity]\n", "[identity]\nlabel = \"station-master\"\n"}, []string{"identity.label", "has a master of its own"}},
		{"no id in what is printed", "esp_secure_cert", []string{`prints = "identity: {id}"`, `prints = "identity"`}, []string{"identity.prints", "with {id} once"}},
		{"another way to an id", "esp_secure_cert", []string{"[identity]\n", "[identity]\nid = \"serial\"\n"}, []string{"identity.id", "mac-hash"}},
		{"no CA", "esp_secure_cert", []string{"ca = \"ca.pem\"\n", ""}, []string{"identity.certificate.ca", "is missing"}},
		{"a CA that is none", "esp_secure_cert", []string{`ca = "ca.pem"`, `ca = "job.toml"`}, []string{"identity.certificate.ca", "no CERTIFICATE in PEM"}},
		{"a subject that is none", "esp_secure_cert", []string{"CN={mac},", "{mac},"}, []string{"identity.certificate.subject", "write it like CN=name"}},
		{"a serial number that nobody scans", "esp_secure_cert", []string{"serialNumber={id}", "serialNumber={serial}"}, []string{"the device has no {serial}"}},
		{"a token that nobody makes", "nvs, encrypted for itself", []string{"token = true\n", ""}, []string{"identity.csv:5: value: the job makes no {token}"}},
		{"a template without NVS", "esp_secure_cert", []string{"token = true", "token = true\ntemplate = \"identity.csv\""}, []string{"identity.kind", "has no template"}},
		{"a word that is none", "esp_secure_cert", []string{"token = true", "tokens = true"}, []string{"unknown key"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			j, err := job.Load(flowtest.IdentityJobFile(t, 0, v.form, ca, v.edit...))
			if (err == nil) != (v.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range v.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if err == nil && !strings.Contains(strings.Join(j.SettingLines(), "\n"), "identity.certificate.ca = \"CN=Plant CA\", sha256:") {
				t.Errorf("who approves does not see whose certificate it is: %q", j.SettingLines())
			}
		})
	}
}

// A device that prints another ID than its own, or none, does not pass.
func TestIdentityIsCompared(t *testing.T) { timeless(checkIdentityIsCompared)(t) }

func checkIdentityIsCompared(t *testing.T) {
	s, _ := newIdentityBench(t, 0, "esp_secure_cert", `timeout = "10s"`, `timeout = "1s"`)
	for name, prints := range map[string]string{"another": "identity: 0{id}", "none": ""} {
		o := simFor(s.Job, station.VirtualMAC(len(name)))
		o.Identity = prints
		out := s.Visit(flowtest.NewChip(t, o))
		flowtest.WantVerdict(t, out, record.Retry, "E-BOOT-IDENTITY")
		if name == "another" && !strings.Contains(out.Failure.Error(), `identity: 0`) {
			t.Errorf("%v does not tell what was printed", out.Failure)
		}
	}
}

// A rehearsal of a job with an identity passes: it has a master and a CA of its own.
func TestRehearsalWithIdentity(t *testing.T) {
	j, err := job.Load(flowtest.IdentityJobFile(t, 2, "esp_secure_cert", anyCA(t)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := station.OpenRehearsal(t.Context(), j, t.TempDir(), t.TempDir()+"/ledger.db", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	line, err := r.Line(j, &station.Virtual{Slots: 1, Count: 2, Model: station.ChipFor(j)})
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	line.Emit = func(e flow.Event) { said.WriteString(string(e.Code) + e.Detail) }
	if counts := line.Run(t.Context()); counts.Passed != 2 {
		t.Errorf("got %+v: %s", counts, said.String())
	}
	for n := range 2 {
		d, _, err := r.Ledger.Device(station.VirtualMAC(n))
		if err != nil || d.Identity.CertificateSerial() == "" || d.Identity.Certificate.Issuer != "CN=CA of a rehearsal" {
			t.Errorf("device %d: %+v, %v", n, d.Identity, err)
		}
	}
}

// openNVS decrypts every entry that NVS says is written.
func openNVS(b, keys []byte) ([]byte, error) {
	cipher, err := xts.NewCipher(aes.NewCipher, keys)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(b)
	for page := 0; page < len(out); page += 4096 {
		for n := range 126 {
			if at := page + 64 + 32*n; b[page+32+n/4]>>(2*(n%4))&3 == 2 {
				cipher.Decrypt(out[at:at+32], out[at:at+32], uint64(at))
			}
		}
	}
	return out, nil
}

// containsBase64 looks for a secret at any of the three offsets of base64.
func containsBase64(text, secret []byte) bool {
	for skip := range 3 {
		whole := base64.StdEncoding.EncodeToString(append(make([]byte, skip), secret...))
		if core := whole[4 : len(whole)-4]; bytes.Contains(text, []byte(core)) {
			return true
		}
	}
	return false
}

// anyCA is a CA whose key nobody has.
func anyCA(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned("CN=Plant CA", 0, time.Now(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
