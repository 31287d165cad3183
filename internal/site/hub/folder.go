package hub

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"station/internal/keyfile"
	"station/internal/site"
)

// Config is site.json.
type Config struct {
	Format string    `json:"format"`
	Name   string    `json:"name"`
	URL    string    `json:"url"`            // where benches find it,
	Since  time.Time `json:"since,omitzero"` // since this time; zero is since it began
	Listen string    `json:"listen"`         // where it listens
	// Cluster, if not nil, keeps the copies; else they are in the folder.
	Cluster *Cluster `json:"cluster,omitempty"`
}

const (
	configFormat = "station-site/1"
	adminName    = "site" // of the user of this machine's commands
)

// Folder is the folder of a site.
type Folder struct {
	Dir string
	Config
}

func (f *Folder) path(name ...string) string {
	return filepath.Join(append([]string{f.Dir}, name...)...)
}

// Init makes a site in a new or empty folder: its keys, its admin, and, where own is
// nil, a CA and the server's certificate for the host of the URL and the names.
func Init(dir string, c Config, names []string, own *Own) error {
	if err := checkConfig(&c); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	if err := emptyFolder(dir); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	f := &Folder{Dir: dir, Config: c}
	if err := f.fill(names, own); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	return nil
}

func checkConfig(c *Config) error {
	at, err := site.CheckURL(c.URL)
	if c.Listen == "" && err == nil {
		c.Listen = ":" + at.Port()
	}
	c.Format = configFormat
	return errors.Join(err, site.CheckName("name of the site", c.Name))
}

func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("%s is not empty: a site begins in a folder of its own", dir)
	}
	return err
}

// fill makes the files; site.json, by which a folder is one, comes last.
func (f *Folder) fill(names []string, own *Own) error {
	if err := os.Mkdir(f.path("benches"), 0o750); err != nil {
		return err
	}
	witness, err := newKey()
	if err == nil {
		err = errors.Join(f.writeKey("witness.key", witness), f.writePublic("witness.pem", witness.Public()))
	}
	if err == nil && own == nil {
		own, err = f.certify(names)
	}
	if err == nil {
		err = f.keep(own)
	}
	if err == nil && f.Cluster != nil {
		err = f.keepCluster()
	}
	if err == nil {
		err = f.makeAdmin()
	}
	if err != nil {
		return err
	}
	return f.writeJSON("site.json", f.Config)
}

// makeAdmin makes the pass of this machine's commands.
func (f *Folder) makeAdmin() error {
	p, err := f.newPass(adminName)
	if err != nil {
		return err
	}
	defer p.Destroy()
	if err := p.Write(f.path("admin.pass"), false); err != nil {
		return err
	}
	return f.enter(p)
}

// Open opens the folder of a site.
func Open(dir string) (*Folder, error) {
	f := &Folder{Dir: dir}
	data, err := keyfile.Read(f.path("site.json"), keyfile.SideFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is no folder of a site; \"station site init\" makes one", dir)
	}
	if err == nil {
		err = json.Unmarshal(data, &f.Config)
	}
	if err == nil && f.Format != configFormat {
		err = fmt.Errorf("site.json is of format %q, want %q", f.Format, configFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	return f, nil
}

// Witness is the key by which the site signs checkpoints.
func (f *Folder) Witness() (crypto.Signer, error) {
	return keyfile.ReadPrivate(f.path("witness.key"))
}

// newPass makes an nkey, and what a bench of that name needs besides.
func (f *Folder) newPass(name string) (*site.Pass, error) {
	public, err := keyfile.ReadPublic(f.path("witness.pem"))
	if err != nil {
		return nil, err
	}
	witness, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("witness.pem: no P-256 key")
	}
	ca, err := keyfile.ReadCertificate(f.path("ca.pem"))
	if err != nil {
		return nil, err
	}
	seed, err := site.NewSeed()
	if err != nil {
		return nil, err
	}
	return &site.Pass{Site: f.Name, Bench: name, Address: f.address(), CAs: [][]byte{ca.Raw}, Witness: witness, Seed: seed}, nil
}

func (f *Folder) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.Replace(f.path(name), 0o640, append(data, '\n'))
}

func (f *Folder) writeKey(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	return keyfile.Create(f.path(name), 0o600, func(w *os.File) error {
		return pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	})
}

func (f *Folder) writePublic(name string, key crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return f.writePEM(name, "PUBLIC KEY", der)
}

func (f *Folder) writePEM(name, kind string, ders ...[]byte) error {
	return keyfile.Write(f.path(name), false, func(w io.Writer) error {
		var err error
		for _, der := range ders {
			err = errors.Join(err, pem.Encode(w, &pem.Block{Type: kind, Bytes: der}))
		}
		return err
	})
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
