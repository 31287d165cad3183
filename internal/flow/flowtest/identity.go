package flowtest

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/identity"
	"station/internal/job"
)

// IdentityMaster is the label of the master that identities come of. Its key is
// hsmtest.Master too: what comes of it differs by purpose.
const IdentityMaster = "station-identity"

// IdentityForms are the forms of an identity that the small product can have, by
// name: its tables in the job, and the row of its partition.
var IdentityForms = map[string]struct{ table, row string }{
	"esp_secure_cert": {`
[identity]
token = true
prints = "identity: {id}"

[identity.certificate]
ca = "ca.pem"
subject = "CN={mac},serialNumber={id},O=Plant"
days = 3650
`, "esp_secure_cert,0x3F,,0x40000,8K,encrypted\n"},
	"nvs, encrypted for itself": {`
[identity]
token = true
kind = "nvs"
template = "identity.csv"
keys = "nvs_keys"
prints = "identity: {id}"

[identity.certificate]
ca = "ca.pem"
`, "nvs_keys,data,nvs_keys,0x40000,4K,encrypted\n"},
	"nvs, encrypted by the chip": {`
[identity]
token = true
kind = "nvs"
partition = "fctry"
template = "identity.csv"
prints = "identity: {id}"

[identity.certificate]
ca = "ca.pem"
`, "fctry,data,nvs,0x40000,12K,encrypted\n"},
}

const identityCSV = `key,type,encoding,value
device,namespace,,
id,data,string,{id}
mac,data,string,{mac}
token,data,binary,{token}
cert,data,string,{certificate}
key,data,string,{private-key}
`

// IdentityJobFile is the small product with an identity of that form, and with
// secure boot of a version; 0 is none.
func IdentityJobFile(t testing.TB, version int, form string, ca []byte, pairs ...string) string {
	t.Helper()
	path := ""
	if version == 0 {
		path = EditCopy(t, filepath.Dir(SmallJob))
	} else {
		path = BootJobFile(t, version)
	}
	dir := Identified(t, filepath.Dir(path), form, ca)
	if version == 1 {
		SignTable(t, dir, BootKeyOf(t, "v1.pem"))
	}
	return EditCopy(t, dir, pairs...)
}

// Identified gives the product in a folder an identity.
func Identified(t testing.TB, dir, form string, ca []byte) string {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	Write(t, filepath.Join(dir, "partitions.csv"), append(read("partitions.csv"), IdentityForms[form].row...))
	Write(t, filepath.Join(dir, "job.toml"), append(read("job.toml"), IdentityForms[form].table...))
	Write(t, filepath.Join(dir, "identity.csv"), []byte(identityCSV))
	Write(t, filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}))
	return dir
}

// TokenCA makes a CA in the token.
func TokenCA(t testing.TB, token *hsm.Token) *x509.Certificate {
	t.Helper()
	if _, err := token.Init(t.Context(), hsm.CA, hsm.CA.Label()); err != nil {
		t.Fatal(err)
	}
	key, err := token.CA(t.Context(), hsm.CA.Label())
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned("CN=Plant CA", 0, time.Now(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// NewIdentity is a bench whose token has a CA and makes identities.
func NewIdentity(t testing.TB, keysOf KeysOf, version int, form string, pairs ...string) (*Bench, *x509.Certificate) {
	t.Helper()
	cfg := hsmtest.Known(t, hsmtest.Known(t, hsmtest.Token(t), Master, hsmtest.Master), IdentityMaster, hsmtest.Master)
	s := &Bench{T: t, KeysOf: keysOf, Token: hsmtest.Open(t, cfg)}
	ca := TokenCA(t, s.Token)
	var err error
	if s.Job, err = job.Load(IdentityJobFile(t, version, form, ca.Raw, pairs...)); err != nil {
		t.Fatal(err)
	}
	s.OpenLedger()
	return s, ca
}
