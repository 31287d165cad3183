package release

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func parsePEM[K any](t testing.TB, path string, parse func([]byte) (any, error)) K {
	t.Helper()
	block, _ := pem.Decode(read(t, path))
	if block == nil {
		t.Fatalf("%s: no PEM", path)
	}
	key, err := parse(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(K)
}

func fleetKey(t testing.TB) *rsa.PrivateKey {
	return parsePEM[*rsa.PrivateKey](t, "../../fixtures/fota/manifest-encryption-private.pem", func(b []byte) (any, error) {
		if key, err := x509.ParsePKCS8PrivateKey(b); err == nil {
			return key, nil
		}
		return x509.ParsePKCS1PrivateKey(b)
	})
}

// A manifest that the environment's device code takes opens to what it says;
// one that it refuses is refused.
func TestManifestVectors(t *testing.T) {
	m, err := OpenManifest(read(t, "../../fixtures/fota/man.manifest"), fleetKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.Descriptor[:], read(t, "../../fixtures/fota/desc.bin")) || !bytes.Equal(m.Signature[:], read(t, "../../fixtures/fota/desc.sig")) {
		t.Error("it opened to something else")
	}
	author := parsePEM[*rsa.PublicKey](t, "../../fixtures/fota/manifest-signing-public.pem", func(b []byte) (any, error) { return x509.ParsePKIXPublicKey(b) })
	if m.Verify(author) == nil {
		t.Error("a key that did not sign it is taken for its author's")
	}
	if m, err := OpenManifest(read(t, "../../fixtures/fota/bad.manifest"), fleetKey(t)); err == nil {
		t.Errorf("the bad one opened to %x", m.Descriptor)
	}
}

// OpenSSL opens a manifest of ours and finds its signature good.
func TestManifestOpenSSL(t *testing.T) {
	signer, err := manifestSigner()
	if err != nil {
		t.Fatal(err)
	}
	descriptor := read(t, "../../fixtures/fota/desc.bin")
	file, err := MakeManifest([DescriptorSize]byte(descriptor), signer, &fleetKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&signer.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	openssl := func(args ...string) []byte {
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatalf("openssl %q: %v", args, err)
		}
		return out
	}
	const key = "../../fixtures/fota/manifest-encryption-private.pem"
	plain := openssl("pkeyutl", "-decrypt", "-inkey", key, "-in", write("0", file[:512]))
	if !bytes.Equal(plain, descriptor) {
		t.Error("it opened to something else")
	}
	signature := openssl("pkeyutl", "-decrypt", "-inkey", key, "-in", write("1", file[512:]))
	pub := write("pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	openssl("dgst", "-sha256", "-verify", pub, "-signature", write("sig", signature), write("desc", plain))
}

var manifestSigner = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) })

func TestMakeManifest(t *testing.T) {
	signer, err := manifestSigner()
	if err != nil {
		t.Fatal(err)
	}
	fleet := fleetKey(t)
	d := [DescriptorSize]byte(read(t, "../../fixtures/fota/desc.bin"))
	file, err := MakeManifest(d, signer, &fleet.PublicKey)
	if err != nil || len(file) != 1024 {
		t.Fatal(len(file), err)
	}
	m, err := OpenManifest(file, fleet)
	if err != nil || m.Descriptor != d || m.Verify(&signer.PublicKey) != nil {
		t.Errorf("got %v, %v", m, err)
	}
	another := rsa.PublicKey{N: new(big.Int).Add(signer.N, big.NewInt(2)), E: signer.E}
	if m.Verify(&another) == nil {
		t.Error("it holds for another key")
	}
	m.Descriptor[17] ^= 1
	if m.Verify(&signer.PublicKey) == nil {
		t.Error("it holds for another descriptor")
	}
	if _, err := MakeManifest(d, fleet, &fleet.PublicKey); err == nil || !strings.Contains(err.Error(), "not RSA-3072") {
		t.Errorf("signed with RSA-4096: %v", err)
	}
	if _, err := MakeManifest(d, signer, &signer.PublicKey); err == nil || !strings.Contains(err.Error(), "RSA-3072, want RSA-4096") {
		t.Errorf("encrypted with RSA-3072: %v", err)
	}
	if _, err := OpenManifest(file, signer); err == nil {
		t.Error("opened with RSA-3072")
	}
}

// FuzzOpenManifest: nothing but a manifest of the fleet's opens.
func FuzzOpenManifest(f *testing.F) {
	whole, fleet := read(f, "../../fixtures/fota/man.manifest"), fleetKey(f)
	f.Add(whole)
	f.Add(read(f, "../../fixtures/fota/bad.manifest"))
	f.Add(whole[:1000])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := OpenManifest(b, fleet)
		if (m == nil) == (err == nil) {
			t.Error("a fault and a result")
		}
	})
}
