package job

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"station/internal/bootlog"
	"station/internal/chip"
	"station/internal/filefault"
	"station/internal/firmware"
	"station/internal/identity"
	"station/internal/keyfile"
	"station/internal/secret"
	"station/internal/tomlfile"
)

// Identity is what a device is known by later, and where its flash holds it.
type Identity struct {
	ID    string `toml:"id"`    // mac-hash
	Label string `toml:"label"` // of the token's master that ID, token and private key come of
	PRF   string `toml:"prf"`   // as of [key]
	Token bool   `toml:"token"` // the device gets one
	// Kind of the partition: esp_secure_cert (default) or nvs.
	Kind      string `toml:"kind"`
	Partition string `toml:"partition"` // its name; absent: the kind's own
	Template  string `toml:"template"`  // CSV of kind nvs
	Keys      string `toml:"keys"`      // partition of the NVS keys, if NVS is encrypted for itself
	// HMAC: it is encrypted with keys that the chip makes of its key for HMACs.
	HMAC bool `toml:"hmac"`
	// Prints is the text with {id} that the firmware prints; the step boot
	// compares it. Absent: nothing is compared.
	Prints      string       `toml:"prints"`
	Certificate *Certificate `toml:"certificate"`

	template *identity.Template
}

// Certificate is what a CA in the token signs for a device, and which CA.
type Certificate struct {
	CA    string `toml:"ca"`    // file of the CA's certificate
	Label string `toml:"label"` // of its key in the token
	identity.CertificateTemplate

	ca *x509.Certificate
}

// The kinds of partitions, and what a label is that a job does not name.
const (
	kindSecureCert = "esp_secure_cert"
	kindNVS        = "nvs"
	macHash        = "mac-hash"
	identityLabel  = "station-identity"
	caLabel        = "station-ca"
	idHere         = "{id}"
)

// Key says where the secrets of the identity come from.
func (i *Identity) Key() Key { return Key{Policy: "derived", Label: i.Label, PRF: i.PRF} }

// Purposes are what the token is asked for, each for its own.
func (i *Identity) Purposes() []chip.Purpose {
	list := []chip.Purpose{chip.DeviceID}
	if i.Token {
		list = append(list, chip.DeviceToken)
	}
	if i.Certificate != nil {
		list = append(list, chip.DevicePrivateKey)
	}
	if i.Keys != "" {
		list = append(list, chip.NVSKeys)
	}
	return list
}

// forItself reports NVS that is encrypted for itself, as ESP-IDF does it.
func (i *Identity) forItself() bool { return i.Keys != "" || i.HMAC }

// Line is what the firmware prints of its ID; "" where nothing is compared.
func (i *Identity) Line(id string) string {
	if i == nil {
		return ""
	}
	return strings.Replace(i.Prints, idHere, id, 1)
}

// Issuer is the certificate of the CA that the job names.
func (c *Certificate) Issuer() *x509.Certificate { return c.ca }

// identity checks the table and reads the files that it names.
func (j *Job) identity(f *tomlfile.File) {
	i := j.Identity
	if i == nil {
		return
	}
	i.ID, i.Label, i.Kind = cmp.Or(i.ID, macHash), cmp.Or(i.Label, identityLabel), cmp.Or(i.Kind, kindSecureCert)
	i.Partition = cmp.Or(i.Partition, i.Kind)
	for _, word := range []struct {
		key, value string
		known      []string
	}{{"id", i.ID, []string{macHash}}, {"kind", i.Kind, []string{kindSecureCert, kindNVS}}, {"prf", cmp.Or(i.PRF, "hmac-sha256"), []string{"hmac-sha256", "aes-cmac"}}} {
		if _, err := Word([]byte(word.value), word.known...); err != nil {
			f.Fault("identity."+word.key, "%v", err)
		}
	}
	if i.Label == j.Key.Label || i.Label == j.SecureBoot.Label {
		f.Fault("identity.label", "%q makes keys of devices too; what tells devices apart has a master of its own, so that a server that asks for tokens can make no keys: write another label, such as %q", i.Label, identityLabel)
	}
	switch {
	case i.Prints == "":
		j.Warnings = append(j.Warnings, `nothing compares the identity that a device reads with the one it was given; have the firmware print it, and write identity.prints = "identity: {id}"`)
	case strings.Count(i.Prints, idHere) != 1:
		f.Fault("identity.prints", "%q: write the text that the firmware prints, with {id} once where its ID stands", i.Prints)
	default:
		if why := bootlog.Unseen(i.Prints); why != "" {
			f.Fault("identity.prints", "%s; write a line of text that the firmware prints", why)
		}
	}
	switch {
	case i.HMAC && j.HMAC == nil:
		f.Fault("identity.hmac", "the devices have no key for HMACs; write [hmac] with key_id, or leave this line out")
	case i.HMAC && i.Keys != "":
		f.Fault("identity.keys", "is a partition of keys, and with hmac = true the chip makes them of its key for HMACs; leave one of the two out")
	}
	i.readTemplate(j, f)
	if i.Certificate != nil {
		i.Certificate.read(j, f)
	}
}

// readTemplate reads the CSV of kind nvs.
func (i *Identity) readTemplate(j *Job, f *tomlfile.File) {
	switch {
	case i.Kind != kindNVS:
		if i.Template != "" || i.forItself() {
			f.Fault("identity.kind", "%q has no template and no keys; write kind = %q, or leave them out", i.Kind, kindNVS)
		}
		return
	case i.Template == "":
		f.Fault("identity.template", "is missing; write the CSV of the NVS partition, with placeholders such as {id}")
		return
	}
	path := j.beside(i.Template)
	data, err := keyfile.Read(path, keyfile.Build)
	if err != nil {
		f.Fault("identity.template", "%v", err)
		return
	}
	t, err := identity.ParseTemplate(path, data, func(name string) ([]byte, error) { return keyfile.Read(name, keyfile.Image) })
	if err != nil {
		f.Add(unjoin(err)...)
		return
	}
	i.template = t
}

// read reads the CA's certificate and checks the template of the devices'.
func (c *Certificate) read(j *Job, f *tomlfile.File) {
	c.Label, c.Subject = cmp.Or(c.Label, caLabel), cmp.Or(c.Subject, "CN={mac}")
	if c.Days < 0 {
		f.Fault("identity.certificate.days", "%d: write for how many days it is good, or leave it out: it is then good as long as the CA's", c.Days)
	}
	if err := c.Check(); err != nil {
		f.Fault("identity.certificate.subject", "%v", err)
	}
	if c.CA == "" {
		f.Fault("identity.certificate.ca", "is missing; write the file of the CA's certificate (\"station identity ca\" writes the request for it, or one that is its own root)")
		return
	}
	ca, err := keyfile.ReadCertificate(j.beside(c.CA))
	if err == nil {
		err = identity.CheckCA(ca, ca.PublicKey)
	}
	if err != nil {
		f.Fault("identity.certificate.ca", "%v", err)
		return
	}
	c.ca = ca
}

// placeIdentity adds the regions that hold the identity of a device, and makes
// that of nobody, which shows what is wrong with them.
func (j *Job) placeIdentity(f *tomlfile.File, p *firmware.Plan) {
	i := j.Identity
	if i == nil || f.Bad("identity.partition") || f.Bad("identity.kind") || p.Table == nil { // why there is no table is told
		return
	}
	where := j.partition(f, p, "identity.partition", i.Partition)
	if where == nil {
		return
	}
	sealed := where.Flags&firmware.FlagEncrypted != 0
	switch {
	case !i.forItself() && !sealed:
		f.Fault("identity.partition", "the partition %s is not encrypted, and what goes into it must stay secret: add the flag encrypted to its row of the partition table%s", where.Name, orKeys(i))
		return
	case i.forItself() && sealed:
		f.Fault("identity.partition", "the partition %s has the flag encrypted, with which ESP-IDF refuses an NVS that is encrypted for itself: take the flag away, or leave keys and hmac out", where.Name)
		return
	case !i.forItself() && i.Kind == kindNVS:
		j.Warnings = append(j.Warnings, fmt.Sprintf("ESP-IDF's NVS does not open the partition %s, which has the flag encrypted: only a reader of your own can; with identity.keys or identity.hmac it is encrypted as ESP-IDF does", where.Name))
	}
	regions := []firmware.Region{j.perDevice(where, int(where.Size), sealed)}
	if i.Keys != "" {
		keys := j.partition(f, p, "identity.keys", i.Keys)
		if keys == nil {
			return
		}
		if !keys.Is("data", "nvs_keys") || keys.Size < identity.NVSKeysSize {
			f.Fault("identity.keys", "the partition %s cannot hold NVS keys; make its row data,nvs_keys with a size of %#x or more and the flag encrypted", keys.Name, identity.NVSKeysSize)
			return
		}
		regions = append(regions, j.perDevice(keys, identity.NVSKeysSize, true))
	}
	if !f.Bad("identity") && f.Err() == nil {
		j.tryIdentity(f, regions)
	}
	p.Add(regions...)
}

// orKeys is the other way to keep NVS secret.
func orKeys(i *Identity) string {
	if i.Kind == kindNVS {
		return ", or write keys = \"nvs_keys\", the partition of the keys that NVS is encrypted with"
	}
	return ""
}

// partition finds a partition that holds nothing yet.
func (j *Job) partition(f *tomlfile.File, p *firmware.Plan, key, name string) *firmware.Partition {
	found, ok := p.Table.Find(name)
	if !ok {
		f.Fault(key, "there is no partition %s in the partition table; add a row such as %s, 0x3F, , , 0x2000, encrypted", name, name)
		return nil
	}
	for _, r := range p.Regions {
		if r.Partition == found.Name {
			f.Fault(key, "the partition %s gets %s, and what is of each device cannot go there too: name another one", name, r.Name)
			return nil
		}
	}
	return &found
}

// perDevice is a region that each device has bytes of its own for.
func (j *Job) perDevice(p *firmware.Partition, size int, encrypted bool) firmware.Region {
	r := firmware.Region{Name: p.Name, Address: p.Offset, Partition: p.Name, Encrypted: encrypted, PerDevice: true}
	r.Hold(filled(size))
	return r
}

// tryIdentity makes the partitions of nobody.
func (j *Job) tryIdentity(f *tomlfile.File, regions []firmware.Region) {
	i := j.Identity
	var t *identity.CertificateTemplate
	var ca *x509.Certificate
	if c := i.Certificate; c != nil {
		t, ca = &c.CertificateTemplate, c.ca
	}
	v, err := identity.Sample(j.Name, j.Revision, j.Serial != nil, i.Token, t, ca)
	if err == nil {
		defer v.Destroy()
		var image *secret.Bytes
		image, err = i.image(v, regions[0].Size)
		image.Destroy()
	}
	for _, one := range unjoin(err) {
		if fault := (*filefault.Fault)(nil); errors.As(one, &fault) {
			f.Add(one)
		} else if one != nil {
			f.At("identity", "%v", one)
		}
	}
}

// described is what the description tells of the files that the table names.
func (i *Identity) described() (list []Setting) {
	if i == nil {
		return nil
	}
	if i.template != nil {
		list = append(list, Setting{"identity.template", i.template.Digest()})
	}
	if c := i.Certificate; c != nil && c.ca != nil {
		list = append(list, Setting{"identity.certificate.ca", fmt.Sprintf("%q, %s", c.ca.Subject.String(), identity.Fingerprint(c.ca.Raw))})
	}
	return list
}
