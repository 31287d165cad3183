package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// newkey KIND NAME makes a throw-away key pair, NAME.pem with mode 0600 and
// NAME-pub.pem. KIND is rsa:BITS or a curve.
func newKey(ts *testscript.TestScript, _ bool, args []string) {
	private, public := makePair(ts, args[0])
	der, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	writePEM(ts, args[1]+".pem", "PRIVATE KEY", der, 0o600)
	der, err = x509.MarshalPKIXPublicKey(public)
	ts.Check(err)
	writePEM(ts, args[1]+"-pub.pem", "PUBLIC KEY", der, 0o644)
	switch key := private.(type) { // the forms that older tools write
	case *ecdsa.PrivateKey:
		der, err = x509.MarshalECPrivateKey(key)
		ts.Check(err)
		writePEM(ts, args[1]+"-old.pem", "EC PRIVATE KEY", der, 0o600)
	case *rsa.PrivateKey:
		writePEM(ts, args[1]+"-old.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), 0o600)
	}
}

func makePair(ts *testscript.TestScript, kind string) (private, public any) {
	curves := map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384()}
	if curve, ok := curves[kind]; ok {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		ts.Check(err)
		return key, &key.PublicKey
	}
	var bits int
	_, err := fmt.Sscanf(kind, "rsa:%d", &bits)
	ts.Check(err)
	key, err := rsa.GenerateKey(rand.Reader, bits)
	ts.Check(err)
	return key, &key.PublicKey
}

func writePEM(ts *testscript.TestScript, name, kind string, der []byte, mode os.FileMode) {
	ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode))
}
