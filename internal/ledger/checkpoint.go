package ledger

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/record"
)

// ErrNoCheckpoint means that no checkpoint covers what is asked for.
var ErrNoCheckpoint = errors.New("no signed checkpoint covers it: sign one first")

// Checkpoint is a head of a log: what somebody who holds it can prove against.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
	// Previous is the size of the one that the ledger kept before, so that none
	// can be taken out between two; 0 where there was none, and in those of
	// earlier versions.
	Previous uint64
}

// previousLine begins the extension line that names the checkpoint before.
const previousLine = "previous "

// text is the C2SP tlog-checkpoint: origin, size and root, a line each, and
// which one was kept before, as an extension line.
func (c Checkpoint) text() string {
	text := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
	if c.Previous > 0 {
		text += fmt.Sprintf("%s%d\n", previousLine, c.Previous)
	}
	return text
}

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || len(lines) > 5 || lines[len(lines)-1] != "" || !validOrigin(lines[0]) {
		return c, errors.New("checkpoint: want the lines origin, size and root, and which one was before")
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseUint(lines[1], 10, 62); err == nil {
		c.Root, err = tlog.ParseHash(lines[2])
	}
	if err == nil && len(lines) == 5 {
		c.Previous, err = strconv.ParseUint(strings.TrimPrefix(lines[3], previousLine), 10, 62)
	}
	if err == nil && c.Previous >= c.Size && c.Previous > 0 {
		err = errors.New("it names one before that is not smaller")
	}
	if err == nil && c.text() != text {
		err = errors.New("not in its only form")
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return c, nil
}

// validOrigin: an origin is also the name of the key that signs.
func validOrigin(s string) bool {
	return s != "" && !strings.Contains(s, "+") && strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r < ' ' }) < 0
}

// OpenCheckpoint reads a signed checkpoint and checks that one of the trusted
// P-256 keys signed it (C2SP signed-note, signature type 2: ECDSA over SHA-256).
func OpenCheckpoint(signed []byte, trusted ...*ecdsa.PublicKey) (Checkpoint, error) {
	origin, _, _ := strings.Cut(string(signed), "\n")
	text, err := OpenNote(signed, origin, trusted...)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return parseCheckpoint(text)
}

// Checkpoint signs the log's head with a P-256 key, usually one in the HSM
// (its signatures are ASN.1, as crypto.Signer says), keeps the signed note in
// the ledger and returns it. A key that signs for the first time gets an entry
// of its own before. Signing does not hold up appends.
//
// On a ledger that is open for reading the note is only returned.
func (l *Ledger) Checkpoint(key crypto.Signer) ([]byte, error) {
	signed, size, err := l.sign(key)
	switch {
	case err != nil:
	case l.guest != nil:
		var der []byte
		if der, err = marshalKey(key.Public()); err == nil {
			_, err = l.guest.ask(request{Public: der, Checkpoint: signed})
		}
	case l.w != nil:
		err = l.keep(size, signed)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return signed, nil
}

func (l *Ledger) keep(size uint64, signed []byte) error {
	return l.update(func(t *txn) error {
		if err := t.trust(inCheckpoints, number(size)); err != nil {
			return err
		}
		return t.bucket(inCheckpoints).Put([]byte(number(size)), signed)
	})
}

// adopt keeps a checkpoint that a guest let a key sign, if it is one of the
// ledger's keys and tells the truth about its log.
func (l *Ledger) adopt(der, signed []byte) error {
	key, err := ParsePublicKey(der)
	if err != nil {
		return err
	}
	c, err := OpenCheckpoint(signed, key)
	if err != nil {
		return err
	}
	if err := l.view(func(s *snapshot) error { return l.agrees(s, c, der) }); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return l.keep(c.Size, signed)
}

// agrees holds a checkpoint of one of the ledger's keys against the log.
func (l *Ledger) agrees(s *snapshot, c Checkpoint, der []byte) error {
	_, known, err := lookupNumber(s, inSigners, string(der))
	if err == nil && !known {
		err = ErrSignature
	}
	if err != nil {
		return err
	}
	size, err := s.size()
	if err != nil {
		return err
	}
	if c.Origin != l.Origin() || c.Size == 0 || c.Size > size {
		return errNotOurs
	}
	root, err := rootOf(s, c.Size)
	if err == nil && root != c.Root {
		err = errNotOurs
	}
	return err
}

var errNotOurs = errors.New("it is not of this log")

func (l *Ledger) sign(key crypto.Signer) ([]byte, uint64, error) {
	der, err := marshalKey(key.Public())
	if err != nil {
		return nil, 0, err
	}
	if l.w != nil || l.guest != nil {
		if err := l.introduce(der); err != nil {
			return nil, 0, err
		}
	}
	size, root, err := l.Head()
	if err != nil {
		return nil, 0, err
	}
	// What is signed must not be lost afterwards, and what is read may belong
	// to a commit that its writer has not synced yet.
	if err := l.read.f.Sync(); err != nil {
		return nil, 0, onDisk(err)
	}
	c := Checkpoint{Origin: l.Origin(), Size: size, Root: root}
	if c.Previous, err = l.previous(size); err != nil {
		return nil, 0, err
	}
	signed, err := SignNote(c.text(), l.Origin(), key)
	return signed, size, err
}

// previous is the size of the last checkpoint kept of fewer entries; 0 where
// there is none.
func (l *Ledger) previous(size uint64) (n uint64, err error) {
	err = l.view(func(s *snapshot) error {
		n = 0
		signed, err := lastCheckpoint(s)
		if errors.Is(err, ErrNoCheckpoint) {
			return nil
		}
		if err != nil {
			return err
		}
		last, err := parseCheckpoint(noteText(signed))
		switch {
		case err != nil:
			return corrupt("the last checkpoint: %w", err)
		case last.Size < size:
			n = last.Size
		case last.Size == size: // which this one replaces
			n = last.Previous
		}
		return nil
	})
	return n, err
}

// introduce makes a signing key an entry, so that the log itself tells which
// keys speak for it.
func (l *Ledger) introduce(der []byte) error {
	if l.guest != nil {
		_, err := l.guest.ask(request{Public: der})
		return err
	}
	return l.update(func(t *txn) error {
		if _, known, err := lookupNumber(t, inSigners, string(der)); err != nil || known {
			return errors.Join(err, errUnchanged)
		}
		_, err := t.add(record.Entry{Kind: record.LedgerKey, Public: der, Simulated: t.simulated})
		return err
	})
}

// LastCheckpoint returns the newest signed checkpoint, or ErrNoCheckpoint.
func (l *Ledger) LastCheckpoint() (signed []byte, err error) {
	err = l.view(func(s *snapshot) (err error) {
		signed, err = lastCheckpoint(s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("last checkpoint: %w", err)
	}
	return signed, nil
}

func lastCheckpoint(s *snapshot) ([]byte, error) {
	b, err := s.bucket(inCheckpoints)
	if err != nil {
		return nil, err
	}
	last, err := b.Last()
	if err == nil && last.Key == nil {
		err = ErrNoCheckpoint
	}
	return slices.Clone(last.Value), err
}
