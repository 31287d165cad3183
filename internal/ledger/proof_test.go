package ledger

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"station/internal/record"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, l *Ledger, k crypto.Signer) []byte {
	t.Helper()
	signed, err := l.Checkpoint(k)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// The checkpoint's bytes, taken apart as the specifications say and not with
// our own code.
func TestCheckpointFormat(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	k := newKey(t)
	signed := sign(t, l, k)
	size, root, err := l.Head()
	if err != nil || size != 14 { // the key's own entry is the 14th
		t.Fatalf("%d entries, %v", size, err)
	}
	text := fmt.Sprintf("%s\n14\n%s\n", l.Origin(), base64.StdEncoding.EncodeToString(root[:]))
	rest, ok := strings.CutPrefix(string(signed), text+"\n\u2014 "+l.Origin()+" ")
	if !ok {
		t.Fatalf("got %q", signed)
	}
	blob, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(rest, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&k.PublicKey)
	id, sum := sha256.Sum256(der), sha256.Sum256([]byte(text))
	if !bytes.Equal(blob[:4], id[:4]) || !ecdsa.VerifyASN1(&k.PublicKey, sum[:], blob[4:]) {
		t.Error("key ID or signature is not what the specification says")
	}
	vkey, err := verifierKey(l.Origin(), &k.PublicKey)
	if want := fmt.Sprintf("%s+%x+%s", l.Origin(), id[:4], base64.StdEncoding.EncodeToString(append([]byte{2}, der...))); vkey != want || err != nil {
		t.Errorf("verifier key: got %s, %v, want %s", vkey, err, want)
	}
	if again, err := l.LastCheckpoint(); err != nil || !bytes.Equal(again, signed) {
		t.Errorf("kept: %q, %v", again, err)
	}
	if e, _ := l.Entry(13); e.Kind != record.LedgerKey || !bytes.Equal(e.Public, der) {
		t.Errorf("the key's entry: %+v", e)
	}
	sign(t, l, k)
	if again, _, _ := l.Head(); again != 14 {
		t.Error("the key was introduced twice")
	}
}

func TestOpenCheckpoint(t *testing.T) {
	l := start(t, bench)
	mine, other := newKey(t), newKey(t)
	signed := sign(t, l, mine)
	c, err := OpenCheckpoint(signed, &other.PublicKey, &mine.PublicKey)
	if err != nil || c.Origin != l.Origin() || c.Size != 2 {
		t.Errorf("got %+v, %v", c, err)
	}
	for name, bad := range map[string][]byte{
		"another size":   bytes.Replace(signed, []byte("\n2\n"), []byte("\n3\n"), 1),
		"another origin": bytes.ReplaceAll(signed, []byte(l.Origin()), []byte("station-ledger/0")),
		"no signature":   signed[:bytes.Index(signed, []byte("\u2014"))],
		"empty":          nil,
	} {
		if _, err := OpenCheckpoint(bad, &mine.PublicKey); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := OpenCheckpoint(signed, &other.PublicKey); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: got %v", err)
	}
	if _, err := OpenCheckpoint(signed); !errors.Is(err, ErrSignature) {
		t.Errorf("no key: got %v", err)
	}
}

func TestCheckpointText(t *testing.T) {
	good := "log\n7\n" + tlog.Hash{1}.String() + "\n"
	if c, err := parseCheckpoint(good); err != nil || c.Size != 7 || c.text() != good {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, bad := range []string{"", "log\n7\n", strings.Replace(good, "7", "07", 1), strings.Replace(good, "7", "-7", 1), "\n" + good[3:],
		good + "more\n", good[:len(good)-1], strings.Replace(good, "log", "a log", 1), strings.Replace(good, "7", "99999999999999999999", 1)} {
		if _, err := parseCheckpoint(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// badToken signs as some tokens do: r and s, not ASN.1.
type badToken struct{ *ecdsa.PrivateKey }

func (b badToken) Sign(r io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	x, y, err := ecdsa.Sign(r, b.PrivateKey, digest)
	return append(x.Bytes(), y.Bytes()...), err
}

func TestSignersThatCannot(t *testing.T) {
	l := start(t, bench)
	if _, err := l.Checkpoint(badToken{newKey(t)}); err == nil {
		t.Error("a signature that does not verify was taken")
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(p384); err == nil {
		t.Error("P-384 was taken")
	}
	if _, err := l.LastCheckpoint(); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("got %v, want ErrNoCheckpoint", err)
	}
}

func TestReaderSigns(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	r := reopen(t, l.Path(), Options{ReadOnly: true})
	k := newKey(t)
	signed := sign(t, r, k)
	if c, err := OpenCheckpoint(signed, &k.PublicKey); err != nil || c.Size != 13 {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := l.LastCheckpoint(); !errors.Is(err, ErrNoCheckpoint) {
		t.Error("a reader wrote")
	}
}

func TestParsePublicKey(t *testing.T) {
	k := newKey(t)
	der, _ := x509.MarshalPKIXPublicKey(&k.PublicKey)
	for bytes.Count(der, []byte("+")) < 2 { // which stand between the parts of a verifier key
		k = newKey(t)
		der, _ = x509.MarshalPKIXPublicKey(&k.PublicKey)
	}
	vkey, _ := verifierKey("log", &k.PublicKey)
	for name, b := range map[string][]byte{
		"der": der, "pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "verifier key": []byte(vkey + "\n"),
	} {
		if got, err := ParsePublicKey(b); err != nil || !got.Equal(&k.PublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "x", "a+b+c", "log+00000000+AQ==", vkey[:len(vkey)-8]} {
		if _, err := ParsePublicKey([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// verifierKey is a key as other tools of transparency logs take it:
// origin+ID+base64 of the type byte and the key.
func verifierKey(origin string, key *ecdsa.PublicKey) (string, error) {
	v, err := newVerifier(origin, key)
	if err != nil {
		return "", err
	}
	der, _ := marshalKey(key)
	return fmt.Sprintf("%s+%08x+%s", origin, v.hash, base64.StdEncoding.EncodeToString(append([]byte{2}, der...))), nil
}

// provenLedger has ten devices, a checkpoint, and one device that came back since.
func provenLedger(t testing.TB) (*Ledger, *ecdsa.PrivateKey) {
	t.Helper()
	l, k := start(t, bench), newKey(t)
	for n := range 10 {
		add(t, l, run(n)[:5]...)
	}
	for n := range 10 {
		add(t, l, run(n)[5:]...)
	}
	sign(t, l, k)
	add(t, l, run(3)[:2]...)
	return l, k
}

func TestProve(t *testing.T) {
	l, k := provenLedger(t)
	for n, newer := range map[int]int{0: 0, 3: 2, 9: 0} {
		p, late, err := l.Prove(mac(n))
		if err != nil || late != newer {
			t.Fatalf("device %d: %d newer, %v", n, late, err)
		}
		indented, err := p.File()
		if err != nil {
			t.Fatal(err)
		}
		compact, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range [][]byte{indented, compact} {
			_, entries, err := CheckProof(file, &k.PublicKey)
			if err != nil || len(entries) != 12 || entries[2].FlashKey().ID != key(n) || entries[11].Kind != record.Sealed {
				t.Errorf("device %d: %d entries, %v", n, len(entries), err)
			}
		}
		if _, _, err := CheckProof(indented, &newKey(t).PublicKey); !errors.Is(err, ErrSignature) {
			t.Errorf("another key: got %v", err)
		}
	}
	if _, _, err := l.Prove(mac(99)); err == nil {
		t.Error("a stranger was proved")
	}
	add(t, l, run(20)[0])
	if _, _, err := l.Prove(mac(20)); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("newer than the checkpoint: got %v", err)
	}
}

// Every single changed byte of a proof is noticed, unless it is white space.
func TestProofBytes(t *testing.T) {
	l, k := provenLedger(t)
	p, _, err := l.Prove(mac(5))
	if err != nil {
		t.Fatal(err)
	}
	p.Entries = p.Entries[:3]
	file, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := CheckProof(file, &k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		_, got, err := CheckProof(bad, &k.PublicKey)
		if err == nil && fmt.Sprint(shown(got)) != fmt.Sprint(shown(want)) {
			t.Errorf("byte %d, %q: accepted", i, file[i])
		}
	}
}

func TestProofTricks(t *testing.T) {
	l, k := provenLedger(t)
	other, _, err := l.Prove(mac(4))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Proof){
		"an entry left out":        func(p *Proof) { p.Entries = append(p.Entries[:4:4], p.Entries[5:]...) },
		"the first left out":       func(p *Proof) { p.Entries = p.Entries[1:] },
		"two swapped":              func(p *Proof) { p.Entries[2], p.Entries[3] = p.Entries[3], p.Entries[2] },
		"one said twice":           func(p *Proof) { p.Entries = append(p.Entries, p.Entries[11]) },
		"another device's entries": func(p *Proof) { p.Entries = other.Entries },
		"another device's name":    func(p *Proof) { p.MAC = mac(4) },
		"no entries":               func(p *Proof) { p.Entries = nil },
		"another format":           func(p *Proof) { p.Format = consistencyProof },
		"an index beyond":          func(p *Proof) { p.Entries[0].Index = 1 << 62 },
		"an entry that is nothing": func(p *Proof) { p.Entries[0].Entry = json.RawMessage("null") },
		"a path cut":               func(p *Proof) { p.Entries[0].Path = p.Entries[0].Path[1:] },
	} {
		p, _, err := l.Prove(mac(5))
		if err != nil {
			t.Fatal(err)
		}
		change(&p)
		file, err := p.File()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := CheckProof(file, &k.PublicKey); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestConsistency(t *testing.T) {
	l, k := start(t, bench), newKey(t)
	var kept [][]byte
	for n := range 6 {
		add(t, l, run(n)...)
		kept = append(kept, sign(t, l, k))
	}
	for _, old := range kept {
		p, err := l.ProveConsistency(old)
		if err != nil {
			t.Fatal(err)
		}
		file, err := p.File()
		if err != nil {
			t.Fatal(err)
		}
		before, after, err := CheckConsistency(file, &k.PublicKey)
		if err != nil || before.Size > after.Size || after.Size != 1+6*12+1 {
			t.Errorf("%d to %d: %v", before.Size, after.Size, err)
		}
		for i := range p.Path {
			p.Path[i][0] ^= 1
			if file, _ = p.File(); err == nil {
				if _, _, err := CheckConsistency(file, &k.PublicKey); !errors.Is(err, ErrProof) {
					t.Errorf("hash %d changed: got %v", i, err)
				}
			}
			p.Path[i][0] ^= 1
		}
	}
	if p, err := l.ProveConsistency(kept[2]); err != nil {
		t.Fatal(err)
	} else if file, _ := json.Marshal(Consistency{Format: p.Format, Old: p.New, New: p.Old}); file != nil {
		if _, _, err := CheckConsistency(file, &k.PublicKey); !errors.Is(err, ErrProof) {
			t.Errorf("in the wrong order: got %v", err)
		}
	}
	if _, _, err := CheckConsistency([]byte("{}"), &k.PublicKey); err == nil {
		t.Error("nothing was accepted")
	}
}

// Whoever can write the file can write a whole new log. A checkpoint that was
// kept elsewhere shows it.
func TestReplacedLog(t *testing.T) {
	l, k := start(t, bench), newKey(t)
	add(t, l, run(1)...)
	short := filepath.Join(t.TempDir(), "short.db")
	if err := l.BackupTo(short); err != nil {
		t.Fatal(err)
	}
	add(t, l, run(2)...)
	kept := sign(t, l, k)

	forged := filepath.Join(t.TempDir(), "forged.db")
	if err := Create(forged, record.Entry{Origin: l.Origin()}); err != nil {
		t.Fatal(err)
	}
	f := reopen(t, forged, bench)
	add(t, f, run(1)...)
	add(t, f, run(3)...)
	add(t, f, run(4)...)
	for name, path := range map[string]string{"cut back": short, "replaced": forged} {
		found := false
		for fault := range Check(path, &Audit{Kept: [][]byte{kept}, Trusted: []*ecdsa.PublicKey{&k.PublicKey}}) {
			found = found || strings.Contains(fault.Text, "kept elsewhere")
		}
		if !found {
			t.Errorf("%s: not found", name)
		}
	}
	for fault := range l.Check(&Audit{Kept: [][]byte{kept}, Trusted: []*ecdsa.PublicKey{&k.PublicKey}}) {
		t.Error(fault)
	}
	if _, err := f.ProveConsistency(kept); err == nil {
		t.Error("the forged log continues the real one")
	}
	n := 0
	for range l.Check(&Audit{Trusted: []*ecdsa.PublicKey{&newKey(t).PublicKey}}) {
		n++
	}
	if n != 1 {
		t.Errorf("signed by a key that is not trusted: %d faults", n)
	}
}

// The note reader of x/mod accepts our notes with our verifier.
func TestNoteInterop(t *testing.T) {
	l, k := start(t, bench), newKey(t)
	signed := sign(t, l, k)
	v, err := newVerifier(l.Origin(), &k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 || n.Sigs[0].Name != l.Origin() {
		t.Errorf("got %+v, %v", n, err)
	}
}
