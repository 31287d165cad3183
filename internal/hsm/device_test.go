package hsm_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

func TestDerivedKeyIsTheKDFOfTheMaster(t *testing.T) {
	cfg := hsmtest.Known(t, hsmtest.Token(t), "station-master", hsmtest.Master)
	token := hsmtest.Open(t, cfg)
	for _, size := range chip.KeySizes {
		k := deviceKey(t, token, derived(size))
		first, second := hsm.KDFInput(derived(size)), hsm.KDFInput(derived(size))
		second[3] = 2 // the counter
		want := append(hmacSHA256(hsmtest.Master, first), hmacSHA256(hsmtest.Master, second)...)[:size]
		if !bytes.Equal(k.Secret.Reveal(), want) {
			t.Errorf("%d bytes: got %x, want %x", size, k.Secret.Reveal(), want)
		}
		if id := "derived:station-master:" + kcv(want); k.ID != id || k.Check != kcv(want) {
			t.Errorf("got ID %s, check %s, want %s", k.ID, k.Check, id)
		}
		if k.Token != token.URI() || k.Wrapped != nil {
			t.Errorf("got token %q, wrapped %x", k.Token, k.Wrapped)
		}
	}
	again, other := deviceKey(t, token, derived(32)), derived(32)
	other.MAC[5]++
	if k := deviceKey(t, token, derived(32)); k.ID != again.ID {
		t.Errorf("the same device got %s, then %s", k.ID, again.ID)
	}
	if k := deviceKey(t, token, other); k.ID == again.ID {
		t.Error("two devices got one key")
	}
}

// CAVS 14.4, KDF in counter mode: PRF HMAC_SHA256, CTRLOCATION BEFORE_FIXED,
// RLEN 32_BITS, COUNT 0 and 10.
func TestKDFAgainstNIST(t *testing.T) {
	cfg := hsmtest.Token(t)
	for i, v := range []struct{ ki, fixed, ko string }{
		{"dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0",
			"01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac",
			"10621342bfb0fd40046c0e29f2cfdbf0"},
		{"e204d6d466aad507ffaf6d6dab0a5b26152c9e21e764370464e360c8fbc765c6",
			"7b03b98d9f94b899e591f3ef264b71b193fba7043c7e953cde23bc5384bc1a6293580115fae3495fd845dadbd02bd6455cf48d0f62b33e62364a3a80",
			"770dfab6a6a4a4bee0257ff335213f78d8287b4fd537d5c1fffa956910e7c779"},
	} {
		label := fmt.Sprint("nist-", i)
		cfg = hsmtest.Known(t, cfg, label, fromHex(t, v.ki))
		token, err := hsm.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := token.Block(t.Context(), label, fromHex(t, v.fixed))
		if err != nil {
			t.Fatal(err)
		}
		if want := fromHex(t, v.ko); !bytes.Equal(got.Reveal()[:len(want)], want) {
			t.Errorf("%s: got %x, want %s", label, got.Reveal(), v.ko)
		}
		got.Destroy()
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// otherSize is one that a key of a size has not.
var otherSize = map[int]int{16: 24, 24: 32, 32: 64, 64: 16}

func TestSharedKeyOfAFile(t *testing.T) {
	cfg := hsmtest.Token(t)
	token := hsmtest.Open(t, cfg)
	for _, size := range chip.KeySizes {
		label := fmt.Sprint("fleet ", size)
		file := bytes.Repeat([]byte{0xa5, byte(size)}, size/2)
		made, err := token.Import(t.Context(), label, newSecret(t, file))
		if err != nil {
			t.Fatal(err)
		}
		if made.Check != kcv(file) || made.Bits != size*8 {
			t.Errorf("import: got check %s, %d bits, want %s, %d", made.Check, made.Bits, kcv(file), size*8)
		}
		k := deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: size, Policy: hsm.Shared, Label: label})
		if !bytes.Equal(k.Secret.Reveal(), file) || k.ID != "shared:"+label+":"+kcv(file) {
			t.Errorf("got %s", k.ID)
		}
		_, err = token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: otherSize[size], Policy: hsm.Shared, Label: label})
		wantError(t, err, hsm.ErrSize, fmt.Sprintf("it has %d bytes, the chip needs %d", size, otherSize[size]))
	}
	_, err := token.Import(t.Context(), "fleet 32", newSecret(t, make([]byte, 32)))
	wantError(t, err, hsm.ErrExists, "fleet 32")
	_, err = token.Import(t.Context(), "short", newSecret(t, make([]byte, 20)))
	wantError(t, err, hsm.ErrSize, "20 bytes")
	// The keys and the wrapping key of this run.
	if n := objects(t, cfg); n != len(chip.KeySizes)+1 {
		t.Errorf("%d objects are in the token", n)
	}
}

func TestSharedKeyMadeInTheToken(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t))
	for _, size := range chip.KeySizes {
		label := fmt.Sprint("batch-", size)
		made, err := token.NewShared(t.Context(), label, size)
		if err != nil {
			t.Fatal(err)
		}
		k := deviceKey(t, token, hsm.Request{Size: size, Policy: hsm.Shared, Label: label})
		if k.Secret.Len() != size || made.Check != kcv(k.Secret.Reveal()) || made.Check != k.Check || made.Bits != size*8 {
			t.Errorf("%d bytes: made with check %s and %d bits, taken out with %s", size, made.Check, made.Bits, k.Check)
		}
	}
	_, err := token.NewShared(t.Context(), "odd", 20)
	wantError(t, err, hsm.ErrSize)
}

func TestRandomKeyComesBackFromItsBlob(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.KEK)
	token := hsmtest.Open(t, cfg)
	for _, size := range chip.KeySizes {
		r := hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: size, Policy: hsm.Random, Label: hsm.KEK.Label()}
		first, second := deviceKey(t, token, r), deviceKey(t, token, r)
		if first.ID == second.ID || len(first.Wrapped) != size+8 {
			t.Errorf("got %s and %s, %d bytes of blob", first.ID, second.ID, len(first.Wrapped))
		}
		if first.ID != "random:station-kek:"+kcv(first.Secret.Reveal()) {
			t.Errorf("got ID %s", first.ID)
		}
		r.Wrapped = first.Wrapped
		if back := deviceKey(t, token, r); !bytes.Equal(back.Secret.Reveal(), first.Secret.Reveal()) || back.ID != first.ID {
			t.Errorf("the blob of %s gave %s", first.ID, back.ID)
		}
		r.Wrapped = append([]byte(nil), first.Wrapped...)
		r.Wrapped[9] ^= 1
		_, err := token.DeviceKey(t.Context(), r)
		wantError(t, err, hsm.ErrWrapped, "unwrap with station-kek")
		r.Wrapped, r.Size = first.Wrapped, otherSize[size]
		_, err = token.DeviceKey(t.Context(), r)
		wantError(t, err, hsm.ErrSize)
	}
	// Nothing accumulates: the KEK and the wrapping key of this run.
	if n := objects(t, cfg); n != 2 {
		t.Errorf("%d objects are in the token, want 2", n)
	}
}

// RFC 3394, 4.6: 256 bits of key data under a KEK of 256 bits.
func TestRandomKeyAgainstRFC3394(t *testing.T) {
	cfg := hsmtest.Token(t)
	kek := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, fromHex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))}
	for _, a := range hsmtest.MasterTemplate("kek") {
		switch a.Type {
		case pkcs11.CKA_KEY_TYPE:
			a = pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES)
		case pkcs11.CKA_SIGN:
			a = pkcs11.NewAttribute(pkcs11.CKA_SIGN, false)
		case pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP:
			a = pkcs11.NewAttribute(a.Type, true)
		}
		kek = append(kek, a)
	}
	hsmtest.Create(t, cfg, kek...)
	cfg = hsmtest.Vouch(cfg, hsm.Noted{Role: hsm.KEK, Label: "kek", Check: "f29000"}) // AES of a block of zeros
	token := hsmtest.Open(t, cfg)
	k := deviceKey(t, token, hsm.Request{Size: 32, Policy: hsm.Random, Label: "kek",
		Wrapped: fromHex(t, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")})
	if want := fromHex(t, "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"); !bytes.Equal(k.Secret.Reveal(), want) {
		t.Errorf("got %x, want %x", k.Secret.Reveal(), want)
	}
}

func TestRequestsThatMakeNoKey(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	hsmtest.Known(t, cfg, "double", hsmtest.Master)
	hsmtest.Known(t, cfg, "double", []byte("another master of the same label"))
	token := hsmtest.Open(t, cfg)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		r     hsm.Request
		is    error
		words string
	}{
		{"size", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 20, Policy: hsm.Derived, Label: "x"}, hsm.ErrSize, "20 bytes, want one of [16 24 32 64]"},
		{"no MAC", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, Size: 32, Policy: hsm.Derived, Label: "station-master"}, nil, "no MAC"},
		{"policy", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: "secret", Label: "x"}, nil, `no such policy "secret"`},
		{"label", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived}, nil, "a key needs a label"},
		{"no key", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: "other"}, hsm.ErrNoKey, `key "other"`},
		{"not this role", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Random, Label: "station-master"}, hsm.ErrAttributes, "its type is generic secret key, want AES secret key"},
		{"two keys", nil, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: "double"}, hsm.ErrAmbiguous, "the token has 2 of that label"},
		{"cancelled", gone, derived(32), context.Canceled, "hsm: context canceled"},
	} {
		ctx := c.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		k, err := token.DeviceKey(ctx, c.r)
		if c.is == nil && err != nil {
			c.is = err
		}
		wantError(t, err, c.is, c.words)
		if k.Secret != nil || k.ID != "" {
			t.Errorf("%s: got a key beside the error", c.name)
		}
	}
}

func TestKeysForManyAtOnce(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.KEK, hsm.SharedKey)
	token := hsmtest.Open(t, hsmtest.Known(t, cfg, "station-master", hsmtest.Master))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 25 {
				m := chip.MAC{2, 0, 0, 0, byte(g), byte(i)}
				for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
					k, err := token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: m, Size: 32, Policy: p, Label: p.Role().Label()})
					if err != nil {
						t.Error(err)
						return
					}
					if want := hmacSHA256(hsmtest.Master, hsm.KDFInput(request(m, 32))); p == hsm.Derived && !bytes.Equal(k.Secret.Reveal(), want) {
						t.Errorf("%v got %x, want %x", m, k.Secret.Reveal(), want)
					}
					k.Secret.Destroy()
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkDeviceKey(b *testing.B) {
	token := hsmtest.Open(b, hsmtest.Token(b, hsm.Master, hsm.SharedKey, hsm.KEK))
	for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
		b.Run(string(p), func(b *testing.B) {
			for b.Loop() {
				k, err := token.DeviceKey(b.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: p, Label: p.Role().Label()})
				if err != nil {
					b.Fatal(err)
				}
				k.Secret.Destroy()
			}
		})
	}
}
