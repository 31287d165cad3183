// Command gen makes what the tests of secure_ota are fed with: apps, manifests,
// encrypted images and bundles, good and bad, with throw-away keys. What is there
// already stays as it is: remove a file, or all of them, to have it anew. Its
// output is committed.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"flag"
	"hash/crc32"
	"log"
	"os"
	"path/filepath"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/keyfile"
	"station/internal/otaimage"
	"station/internal/release"
	"station/internal/secret"
	"station/internal/secureboot"
)

const (
	product = "station-example"
	table   = "nvs,data,nvs,0x9000,16K,\notadata,data,ota,0xd000,8K,\nota_0,app,ota_0,0x10000,64K,\nota_1,app,ota_1,0x20000,64K,\n"
	factory = "nvs,data,nvs,0x9000,16K,\notadata,data,ota,0xd000,8K,\nfactory,app,factory,0x10000,64K,\nota_0,app,ota_0,0x20000,64K,\n"
)

func main() {
	root := flag.String("root", ".", "the repository's `DIR`")
	flag.Parse()
	g := &generator{root: *root, out: filepath.Join(*root, "device/secure_ota/test/data")}
	g.keys()
	g.firmware()
	g.manifests()
	g.images()
	g.ecies()
	g.bundles()
}

type generator struct {
	root, out                 string
	fleet, author, image, v2  *rsa.PrivateKey
	v1, bundle, stranger      *ecdsa.PrivateKey
	strangeAuthor             *rsa.PrivateKey
	flashKey, strangeFlashKey []byte
	longKey                   []byte // of XTS-AES-256
	plain, next               []byte
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func (g *generator) has(name string) bool {
	_, err := os.Stat(filepath.Join(g.out, name))
	return err == nil
}

func (g *generator) write(name string, b []byte) {
	if g.has(name) {
		return
	}
	if err := os.WriteFile(filepath.Join(g.out, name), b, 0o644); err != nil {
		log.Fatal(err)
	}
}

func (g *generator) read(name string) []byte { return must(os.ReadFile(filepath.Join(g.root, name))) }

func (g *generator) keys() {
	block, _ := pem.Decode(g.read("fixtures/fota/manifest-encryption-private.pem"))
	g.fleet = must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
	for _, k := range []**rsa.PrivateKey{&g.v2, &g.strangeAuthor} {
		*k = must(rsa.GenerateKey(rand.Reader, 3072))
	}
	g.stranger, g.strangeFlashKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), random(32)
	g.author, g.image = kept(g, "author-private.der", rsa3072), kept(g, "image.der", rsa3072)
	g.v1, g.bundle = kept(g, "v1-private.der", p256), kept(g, "bundle-private.der", p256)
	for name, key := range map[string]*[]byte{"flash.key": &g.flashKey, "flash64.key": &g.longKey} {
		if g.has(name) {
			*key = must(os.ReadFile(filepath.Join(g.out, name)))
		} else {
			*key = random(map[string]int{"flash.key": 32, "flash64.key": 64}[name])
		}
		g.write(name, *key)
	}
	g.write("manifest.der", must(x509.MarshalPKCS8PrivateKey(g.fleet)))
	g.write("manifest-pkcs1.der", x509.MarshalPKCS1PrivateKey(g.fleet))
	for name, key := range map[string]crypto.PublicKey{"author.der": g.author.Public(), "bundle.der": g.bundle.Public(), "v1.der": g.v1.Public()} {
		g.write(name, must(x509.MarshalPKIXPublicKey(key)))
	}
	g.write("author-pkcs1.der", x509.MarshalPKCS1PublicKey(&g.author.PublicKey))
}

func rsa3072() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) }

func p256() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// kept is the private key in a file, which is made where there is none.
func kept[K any](g *generator, name string, generate func() (K, error)) K {
	if g.has(name) {
		return must(x509.ParsePKCS8PrivateKey(must(os.ReadFile(filepath.Join(g.out, name))))).(K)
	}
	key := must(generate())
	g.write(name, must(x509.MarshalPKCS8PrivateKey(key)))
	return key
}

// app is the small app of the fixtures with other words in its descriptor.
func (g *generator) app(change func(d []byte)) []byte {
	b := g.read("fixtures/small/app.bin")
	d := b[32 : 32+256]
	before := xor(d)
	change(d)
	elf := sha256.Sum256(d)
	copy(d[144:], elf[:])
	body := b[:len(b)-sha256.Size]
	body[len(body)-1] ^= before ^ xor(d)
	sum := sha256.Sum256(body)
	copy(b[len(body):], sum[:])
	return b
}

func xor(b []byte) (x byte) {
	for _, v := range b {
		x ^= v
	}
	return x
}

func named(version, project string, secure uint32) func(d []byte) {
	return func(d []byte) {
		binary.LittleEndian.PutUint32(d[4:], secure)
		clear(d[16:80])
		copy(d[16:], version)
		copy(d[48:], project)
	}
}

func (g *generator) firmware() {
	for name, csv := range map[string]string{"table.bin": table, "factory-table.bin": factory} {
		g.write(name, must(firmware.ParseCSV(name, []byte(csv), firmware.TableOptions{FlashSize: 4 << 20})).Binary())
	}
	g.write("running.bin", must(secureboot.Sign(g.app(named("1.0.0", product, 1)), g.v1)))
	g.plain = g.app(named("1.1.0", product, 1))
	g.next = must(secureboot.Sign(g.plain, g.v1))
	g.write("next.bin", g.next)
	g.write("third.bin", must(secureboot.Sign(g.app(named("1.2.0", product, 2)), g.v1)))
}

func (g *generator) manifest(name, version, project string, secure uint32, author *rsa.PrivateKey) {
	d := g.app(named(version, project, secure))[32 : 32+256]
	g.write(name+".manifest", must(release.MakeManifest([256]byte(d), author, &g.fleet.PublicKey)))
}

func (g *generator) manifests() {
	g.manifest("next", "1.1.0", product, 1, g.author)
	g.manifest("same", "1.0.0", product, 1, g.author)
	g.manifest("older", "0.9.9", product, 1, g.author)
	g.manifest("low", "1.2.0", product, 0, g.author)
	g.manifest("fourth", "1.3.0", product, 2, g.author)
	g.manifest("third", "1.2.0", product, 2, g.author)
	g.manifest("other", "1.1.0", "kettle", 1, g.author)
	g.manifest("forged", "1.1.0", product, 1, g.strangeAuthor)
}

func (g *generator) seal(name string, app []byte) {
	g.write(name+".img", must(otaimage.Seal(app, &g.image.PublicKey)))
}

func (g *generator) images() {
	g.seal("next", g.next)
	g.seal("unsigned", g.plain)
	g.seal("strange", must(secureboot.Sign(g.plain, g.stranger)))
	g.seal("another", must(secureboot.Sign(g.app(named("1.1.0", product, 1 /* and what is compiled in */ +256)), g.v1)))
	g.seal("third", must(secureboot.Sign(g.app(named("1.2.0", product, 2)), g.v1)))
	g.seal("third-strange", must(secureboot.Sign(g.app(named("1.2.0", product, 2)), g.stranger)))
	v2 := must(secureboot.Sign(g.plain, g.v2))
	g.seal("v2", v2)
	s := must(secureboot.Verify(v2, &g.v2.PublicKey))
	g.write("v2.digest", s.KeyDigests[0][:])
	forged := append([]byte(nil), v2...) // its own key, digest and checksum, and a signature that is none
	block := forged[len(forged)-4096:][:1200]
	block[900] ^= 1
	binary.LittleEndian.PutUint32(block[1196:], crc32.ChecksumIEEE(block[:1196]))
	g.seal("v2-forged", forged)
	broken := append([]byte(nil), g.next...)
	broken[0x400] ^= 1 // the checksum tells; the signature would too
	g.seal("broken", broken)
	large := append(append([]byte(nil), g.next...), make([]byte, 64<<10)...)
	g.seal("large", large)
}

// later is an app for a chip after the ESP32, whose ID that is, signed for its secure boot.
func (g *generator) later(id byte, app []byte) []byte { return g.laterBy(id, app, g.v2) }

func (g *generator) laterBy(id byte, app []byte, signer *rsa.PrivateKey) []byte {
	b := append([]byte(nil), app...)
	b[12] = id
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return must(secureboot.Sign(append(body, sum[:]...), signer))
}

// laterBundles are for chips with XTS-AES: an ESP32-C3, and an ESP32-S3 with the long key.
func (g *generator) laterBundles() {
	c3 := g.later(5, g.plain)
	g.bundleFor("c3-cipher", c3, g.flashKey, g.bundle, product, release.CipherESP32, 0x20000) // of which a C3 knows nothing
	if g.has("c3.bundle") {
		return
	}
	g.write("later.digest", must(secureboot.Verify(c3, &g.v2.PublicKey)).KeyDigests[0][:])
	g.bundleFor("c3", c3, g.flashKey, g.bundle, product, release.CipherXTS128, 0x10000, 0x20000)
	g.bundleFor("c3-elsewhere", c3, g.flashKey, g.bundle, product, release.CipherXTS128, 0x60000)
	g.bundleFor("s3", g.later(9, g.plain), g.longKey, g.bundle, product, release.CipherXTS256, 0x10000, 0x20000)
}

// ecies are images for an ESP32-C3 with a key in its fuses, of which Espressif's tool made
// the public key; one is for another chip's key.
func (g *generator) ecies() {
	c3 := g.laterBy(5, g.plain, g.author)
	g.write("hmac.key", g.read("fixtures/ota/hmac.key"))
	g.write("ecies.digest", must(secureboot.Verify(c3, &g.author.PublicKey)).KeyDigests[0][:])
	public := must(keyfile.ReadPublic(filepath.Join(g.root, "fixtures/ota/hmac.public.pem")))
	g.write("ecies.img", must(otaimage.Seal(c3, public)))
	g.write("ecies-strange.img", must(otaimage.Seal(c3, g.stranger.Public())))
}

func (g *generator) bundle1(name string, app []byte, key []byte, signer crypto.Signer, what string, at ...uint32) {
	g.bundleFor(name, app, key, signer, what, release.CipherESP32, at...)
}

func (g *generator) bundleFor(name string, app []byte, key []byte, signer crypto.Signer, what string, kind release.CipherOf, at ...uint32) {
	if g.has(name + ".bundle") {
		return
	}
	path := filepath.Join(g.out, name+".bundle")
	f := must(os.Create(path))
	defer f.Close()
	check := hmac.New(sha256.New, key)
	check.Write([]byte("station key check v1"))
	of := release.BundleOf{App: app, Product: what, Check: [8]byte(check.Sum(nil)[:8]), Signer: signer, Encrypt: func(t release.Target, plain []byte) ([]byte, error) {
		k := must(secret.New(append([]byte(nil), key...)))
		defer k.Destroy()
		cipher := chip.TweakedAES
		if t.Cipher != release.CipherESP32 {
			cipher = chip.XTS128 // or the other, by the size of the key
		}
		c := must(flashcrypt.For(cipher, k, t.Config))
		defer c.Destroy()
		address := t.Address
		if address == release.AnyAddress {
			address = 0
		}
		return plain, c.Encrypt(plain, plain, address)
	}}
	for _, a := range at {
		t := release.Target{Address: a, Cipher: kind}
		if kind == release.CipherESP32 {
			t.Config = 0xf
		}
		of.Targets = append(of.Targets, t)
	}
	if kind == release.CipherESP32 {
		of.Targets = append(of.Targets, release.Target{Cipher: kind})
	}
	must(of.Write(f))
}

// otherPlain is a bundle whose header, well signed, speaks of another plain app
// than the one that its slots hold.
func (g *generator) otherPlain() {
	b := must(os.ReadFile(filepath.Join(g.out, "next.bundle")))
	b[24] ^= 1
	digest := sha256.Sum256(release.Signed(b[:release.BundleHeaderSize]))
	r, s, err := ecdsa.Sign(rand.Reader, g.bundle, digest[:])
	if err != nil {
		log.Fatal(err)
	}
	signature := b[release.BundleHeaderSize-64 : release.BundleHeaderSize]
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	g.write("otherplain.bundle", b)
}

func (g *generator) bundles() {
	g.bundle1("next", g.next, g.flashKey, g.bundle, product, 0x10000, 0x20000, 0x60000)
	g.bundle1("third", must(secureboot.Sign(g.app(named("1.2.0", product, 2)), g.v1)), g.flashKey, g.bundle, product, 0x10000, 0x20000)
	g.bundle1("fourth", must(secureboot.Sign(g.app(named("1.3.0", product, 2)), g.v1)), g.flashKey, g.bundle, product, 0x10000, 0x20000)
	g.otherPlain()
	g.bundle1("strange", g.next, g.flashKey, g.stranger, product, 0x20000)
	g.bundle1("otherkey", g.next, g.strangeFlashKey, g.bundle, product, 0x20000)
	g.bundle1("kettle", g.next, g.flashKey, g.bundle, "kettle", 0x20000)
	g.bundle1("elsewhere", g.next, g.flashKey, g.bundle, product, 0x60000)
	g.laterBundles()
	g.bundle1("another", must(secureboot.Sign(g.app(named("1.1.0", product, 300)), g.v1)), g.flashKey, g.bundle, product, 0x20000)
}
