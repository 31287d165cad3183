package report

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/ledger"
)

// What the certificates of a ledger and of a site have in common.

// certificateText is a certificate for people: its lines, and one more with a
// digest of all fields of the certificate, which is given without its signature.
func certificateText(title string, lines [][2]string, unsigned any) string {
	data, err := json.Marshal(unsigned)
	if err != nil {
		return err.Error() // texts, numbers and times always marshal
	}
	var b strings.Builder
	b.WriteString(title + "\n")
	for _, l := range append(lines, [2]string{"fields", fmt.Sprintf("sha256:%x", sha256.Sum256(data))}) {
		// One line each: what a person wrote cannot pass for another line.
		fmt.Fprintf(&b, "%-12s %s\n", l[0], strings.Join(strings.Fields(l[1]), " "))
	}
	return b.String()
}

// readCertificate reads a file and checks what it says of itself.
func readCertificate[C any](file []byte, check func(*C, []*ecdsa.PublicKey) error, trusted []*ecdsa.PublicKey) (*C, error) {
	c := new(C)
	err := strict(file, c)
	if err == nil {
		err = check(c, trusted)
	}
	if err != nil {
		return nil, fmt.Errorf("check certificate: %w", err)
	}
	return c, nil
}

// signsText checks that a trusted key signed just this text.
func signsText(signed, signer, text string, trusted []*ecdsa.PublicKey) error {
	got, err := ledger.OpenNote([]byte(signed), signer, trusted...)
	if err == nil && got != text {
		err = fmt.Errorf("%w: its fields are not those that were signed", ErrProof)
	}
	return err
}

// signsHead reports whether a checkpoint that a trusted key signed is of this head.
func signsHead(checkpoint, origin string, size uint64, root tlog.Hash, trusted []*ecdsa.PublicKey) (bool, error) {
	head, err := ledger.OpenCheckpoint([]byte(checkpoint), trusted...)
	return err == nil && head.Origin == origin && head.Size == size && head.Root == root, err
}
