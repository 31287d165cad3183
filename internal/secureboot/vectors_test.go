package secureboot

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"testing"
)

// Known answers of espsecure v4.8.1 for keys and images that serve nothing else.
const vectorKey = `-----BEGIN PUBLIC KEY-----
MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEA1G9V8RS8ezRofIsw+jyX
e+pySYXPJ1NLGAwlD8aKhgKOa/cbkvAF3c3GUqpqJMe/ZJbEq+I+MSSonUkY2d0j
8oyqvJBUGbqgdu28Wlls9Kvt9NrmQEfwq0+tI0mVt34mihegMYipaM1rvr0DaCGN
m1tRC6nPE9kjpXHZYVd1S6mh7jnx0j6LPLa6yr5dGyI0Bw+JJDZNNU+r+KKyAWCz
gxncBoNB3Xrjtc2v/SCTTlstDPct9PcR/gne3TB9FXw3M1DejWVYYOTsLx5LBpqT
/+Xdb8cNy6vA2iRg8EVUfi7umKhvW9n+W9rryG6Zj6jX9iM07QgCN0j7t3pGHX96
+McMqiZe2G2MAixRA9zUrgDnkXZLVM5spUh6aQUR+LTbeAw7B6RujeSHKIQcRQO1
CTXeaebftiLEYAq1vkO9clT7+DrxtSWzJkQvYicLiMxUHiewxqWGQ1UqHhbDICHc
SRH4P/qg0PRfJmJUiAXE6f5teuCfrnexVaXYREvsDI5dAgMBAAE=
-----END PUBLIC KEY-----
`

func hexBytes(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeyDigestOfKnownKey(t *testing.T) {
	block, _ := pem.Decode([]byte(vectorKey))
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*rsa.PublicKey)
	digest, err := KeyDigest(key)
	if want := "3e0c11b828b802f5fd9e35cf3bf043e777d99675ece75910df5801100af045af"; err != nil || hex.EncodeToString(digest[:]) != want {
		t.Errorf("got %x, %v, want %s", digest, err, want)
	}
	b := rsaFields(key)
	for _, v := range []struct {
		name string
		at   int
		want string
	}{
		{"n", 0, "5d8e0cec"},
		{"e", 384, "01000100"},
		{"R", 388, "b77901db"},
		{"M'", 772, "0b4a9ba8"},
	} {
		if got := hex.EncodeToString(b[v.at : v.at+4]); got != v.want {
			t.Errorf("%s begins %s, want %s", v.name, got, v.want)
		}
	}
	if len(b) != 776 {
		t.Errorf("%d bytes, want 776", len(b))
	}
}

func TestMPrime(t *testing.T) {
	for n := uint32(1); n != 0 && n < 1<<31; n = n*5 + 2 | 1 {
		if got := n * mPrime(n); got != 0xffffffff {
			t.Fatalf("n %#x: n*M' is %#x, want 0xffffffff", n, got)
		}
	}
}

// A modulus whose R is short: it must be padded before it is turned round.
func TestShortR(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 3071)
	n.Add(n, big.NewInt(12345)) // 2^6144 mod n is far below n
	b := rsaFields(&rsa.PublicKey{N: n, E: 3})
	r := new(big.Int).SetBytes(reversed(b[388:772]))
	want := new(big.Int).Exp(big.NewInt(2), big.NewInt(6144), n)
	if r.Cmp(want) != 0 || want.BitLen() > 3000 {
		t.Errorf("got R %x, want %x", r, want)
	}
}

func TestDigestOfKnownContents(t *testing.T) {
	image := bytes.Repeat([]byte("hello provisioning"), 10)
	file := signed(t, image, rsaKey(t))
	const digest = "a58e0746efeb45f29f13dc80527cc954168914a17399050ea9d293d3ab85e535"
	if got := hex.EncodeToString(file[4096 : 4096+36]); got != "e7020000"+digest {
		t.Errorf("the block begins %s", got)
	}
	if len(file) != 8192 || !bytes.HasPrefix(file, image) || !erased(file[len(image):4096]) || !erased(file[4096+1216:]) {
		t.Errorf("%d bytes: not the image, its padding and a sector", len(file))
	}
	s, err := Verify(file, nil)
	if err != nil || s.Version != V2 || s.Signed != 4096 || hex.EncodeToString(s.Digest[:]) != digest {
		t.Errorf("got %+v, %v", s, err)
	}
	n := new(big.Int).SetBytes(reversed(file[4096+36 : 4096+420]))
	if n.Cmp(rsaKey(t).N) != 0 {
		t.Error("the modulus is not the key's, little endian")
	}
	if m := binary.LittleEndian.Uint32(file[4096+808:]) * uint32(n.Uint64()); m != 0xffffffff {
		t.Errorf("n*M' is %#x", m)
	}
}

// knownImage is an ESP image of two segments, 144 bytes with its SHA-256.
func knownImage(t testing.TB) []byte {
	t.Helper()
	b := hexBytes(t, "e902022000000840ee0000000000000000ffff0000000001")
	segment := func(load uint32, n int) {
		b = binary.LittleEndian.AppendUint32(b, load)
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		for i := range n {
			b = append(b, byte(i))
		}
	}
	segment(0x3fff0018, 4)
	segment(0x40078000, 64)
	b = append(b, make([]byte, 15-len(b)%16)...)
	b = append(b, 0xef) // both segments cancel out
	sum := sha256.Sum256(b)
	if want := "1e84859bde6dc101d354551deab37802115569d11ebd7573c92675356e7afa6d"; hex.EncodeToString(sum[:]) != want {
		t.Fatalf("the image has %x, want %s", sum, want)
	}
	return append(b, sum[:]...)
}

func TestKnownV1Signature(t *testing.T) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), hexBytes(t, "1122334455667788990011223344556677889900aabbccddeeff001122334455"))
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if want := "9372bf5caef297853b108736a1f665a65acdb7526eb55ec0bb3aa1dfc63850c9876efc26f600ee2e805bcf3e83c44b62420181818ce85a59acbaa0a3112ca75f"; hex.EncodeToString(point[1:]) != want {
		t.Errorf("public key %x, want %s", point[1:], want)
	}
	image := knownImage(t)
	file, err := Sign(image, key)
	if err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Clone(image), hexBytes(t, "00000000"+
		"73194caeae82831dd1fe11c743eaac023fff78e3f356d69b7202dfd409aadb78"+
		"5f596a8b2eea5db5771dc81bef5d98873b5e1bbf6994107347b0fa6cfe6185e0")...)
	if !bytes.Equal(file, want) {
		t.Errorf("got  %x\nwant %x", file[len(image):], want[len(image):])
	}
	s, err := Verify(want, &key.PublicKey)
	if err != nil || s.Version != V1 || s.Signed != 144 ||
		hex.EncodeToString(s.Digest[:]) != "c0c9aefdd33d0e4ac738587837cbb96db7e9695b843094a949fc684103798506" {
		t.Errorf("got %+v, %v", s, err)
	}
}
