package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/record"
)

const (
	deviceProof      = "station-device-proof/1"
	consistencyProof = "station-consistency-proof/1"
)

// ErrProof means that a proof does not prove what it claims.
var ErrProof = errors.New("the proof does not hold")

// Proof shows, without the ledger, that a device's entries stand in the log
// under a signed checkpoint. As JSON it is one file that a person can read.
type Proof struct {
	Format     string     `json:"format"`
	MAC        chip.MAC   `json:"mac"`
	Checkpoint string     `json:"checkpoint"` // signed note
	Entries    []Included `json:"entries"`    // all of the device's, oldest first, as far as the checkpoint goes
}

// Included is one entry with its way to the root.
type Included struct {
	Index uint64           `json:"index"`
	Entry json.RawMessage  `json:"entry"` // the leaf is these bytes without white space
	Path  tlog.RecordProof `json:"path"`  // RFC 6962 audit path: siblings from the leaf up, base64
}

// File is the proof as a file: indented JSON.
func (p Proof) File() ([]byte, error) { return Indented(p) }

// Indented is the form of every file that proves something: JSON that a person
// can read, and in which the bytes of an entry are as they are but for white space.
func Indented(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

// Prove returns the proof of a device's entries under the newest checkpoint,
// and how many entries are newer than that. ErrNoCheckpoint if all are.
func (l *Ledger) Prove(mac chip.MAC) (p Proof, newer int, err error) {
	err = l.project(func(s *snapshot) (err error) {
		p = Proof{Format: deviceProof, MAC: mac}
		newer, err = s.prove(&p)
		return err
	})
	if err != nil {
		return Proof{}, 0, fmt.Errorf("prove %s: %w", mac, err)
	}
	return p, newer, nil
}

// ProveUnder is Prove under a checkpoint of this log that the ledger need not have.
func (l *Ledger) ProveUnder(signed []byte, mac chip.MAC) (p Proof, newer int, err error) {
	c, err := ReadCheckpoint(signed)
	if err == nil {
		err = l.project(func(s *snapshot) (err error) {
			p = Proof{Format: deviceProof, MAC: mac}
			newer, err = s.proveUnder(&p, signed, c)
			return err
		})
	}
	if err != nil {
		return Proof{}, 0, fmt.Errorf("prove %s: %w", mac, err)
	}
	return p, newer, nil
}

func (s *snapshot) prove(p *Proof) (newer int, err error) {
	signed, c, err := s.checkpoint()
	if err != nil {
		return 0, err
	}
	return s.proveUnder(p, signed, c)
}

func (s *snapshot) proveUnder(p *Proof, signed []byte, c Checkpoint) (newer int, err error) {
	d, found, err := bareDevice(s, p.MAC)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, errors.New("the ledger does not know this device")
	}
	p.Checkpoint = string(signed)
	list, err := chain(s, p.MAC, d.Last, 0)
	if err != nil {
		return 0, err
	}
	for _, e := range list {
		if e.Index >= c.Size {
			newer++
			continue
		}
		in, err := s.include(e.Index, c.Size)
		if err != nil {
			return 0, err
		}
		p.Entries = append(p.Entries, in)
	}
	if len(p.Entries) == 0 {
		return 0, ErrNoCheckpoint
	}
	return newer, nil
}

// checkpoint is the newest one of this snapshot.
func (s *snapshot) checkpoint() ([]byte, Checkpoint, error) {
	signed, err := lastCheckpoint(s)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	c, err := parseCheckpoint(noteText(signed))
	if err != nil {
		return nil, c, corrupt("newest checkpoint: %w", err)
	}
	return signed, c, nil
}

// noteText is the part of a note that is signed, not checked.
func noteText(signed []byte) string {
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	return string(text) + "\n"
}

func (s *snapshot) include(n, size uint64) (Included, error) {
	raw, err := entryAt(s, n)
	if err != nil {
		return Included{}, err
	}
	path, err := tlog.ProveRecord(int64(size), int64(n), tree(s))
	return Included{Index: n, Entry: raw, Path: path}, err
}

// CheckProof checks a device's proof offline: that a trusted key signed its
// checkpoint, that every entry is in that log at its place, that all are the
// device's, and that none is missing between the first and the last. It does
// not show that no newer entry exists. What it returns can be believed.
func CheckProof(file []byte, trusted ...*ecdsa.PublicKey) (Proof, []record.Entry, error) {
	var p Proof
	if err := json.Unmarshal(file, &p); err != nil {
		return Proof{}, nil, fmt.Errorf("check proof: %w", err)
	}
	entries, err := p.check(trusted)
	if err != nil {
		return Proof{}, nil, fmt.Errorf("check proof: %w", err)
	}
	return p, entries, nil
}

func (p *Proof) check(trusted []*ecdsa.PublicKey) ([]record.Entry, error) {
	if p.Format != deviceProof {
		return nil, fmt.Errorf("format %q: want %q", p.Format, deviceProof)
	}
	c, err := OpenCheckpoint([]byte(p.Checkpoint), trusted...)
	if err != nil {
		return nil, err
	}
	return p.checkEntries(c)
}

// checkEntries checks that all of the proof stands under a checkpoint, and what the
// device brought along from other benches.
func (p *Proof) checkEntries(c Checkpoint) ([]record.Entry, error) {
	if len(p.Entries) == 0 || p.MAC.IsZero() {
		return nil, fmt.Errorf("%w: it has no entries", ErrProof)
	}
	var list []record.Entry
	before := uint64(0)
	for _, in := range p.Entries {
		e, err := in.check(c)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w: %w", in.Index, ErrProof, err)
		}
		if e.Index != in.Index || e.MAC != p.MAC || e.Prev != before {
			return nil, fmt.Errorf("entry %d: %w: it is another device's, or one before it is missing", in.Index, ErrProof)
		}
		if e.Kind == record.Moved {
			if err := CheckMove(&e); err != nil {
				return nil, fmt.Errorf("entry %d: %w: %w", in.Index, ErrProof, err)
			}
		}
		before = e.Index
		list = append(list, e)
	}
	return list, nil
}

// check proves the entry's place in the log.
func (in Included) check(c Checkpoint) (record.Entry, error) {
	var leaf bytes.Buffer
	if err := json.Compact(&leaf, in.Entry); err != nil {
		return record.Entry{}, err
	}
	if in.Index >= c.Size {
		return record.Entry{}, errors.New("beyond the checkpoint")
	}
	hash := tlog.RecordHash(leaf.Bytes())
	if err := tlog.CheckRecord(in.Path, int64(c.Size), c.Root, int64(in.Index), hash); err != nil {
		return record.Entry{}, err
	}
	return decode(leaf.Bytes())
}

// Consistency shows, without the ledger, that the log under a newer checkpoint
// begins with all of the log under an older one.
type Consistency struct {
	Format string         `json:"format"`
	Old    string         `json:"old"` // signed notes
	New    string         `json:"new"`
	Path   tlog.TreeProof `json:"path"` // RFC 6962 consistency proof, base64
}

// File is the proof as a file: indented JSON.
func (p Consistency) File() ([]byte, error) { return Indented(p) }

// ProveConsistency returns the proof that leads from a signed checkpoint that
// somebody kept to the ledger's newest one. It fails (ErrProof) where the
// ledger is not a continuation of that log.
func (l *Ledger) ProveConsistency(old []byte) (p Consistency, err error) {
	err = l.view(func(s *snapshot) (err error) {
		p = Consistency{Format: consistencyProof, Old: string(old)}
		before, err := parseCheckpoint(noteText(old))
		if err != nil {
			return err
		}
		signed, c, err := s.checkpoint()
		if err != nil {
			return err
		}
		p.New = string(signed)
		if err := s.continues(before, c.Size); err != nil {
			return err
		}
		p.Path, err = tlog.ProveTree(int64(c.Size), int64(before.Size), tree(s))
		return err
	})
	if err != nil {
		return Consistency{}, fmt.Errorf("prove consistency: %w", err)
	}
	return p, nil
}

// continues tells whether the log of this size begins with that of c.
func (s *snapshot) continues(c Checkpoint, size uint64) error {
	if c.Size == 0 || c.Size > size {
		return fmt.Errorf("%w: the log has %d entries, the checkpoint %d", ErrProof, size, c.Size)
	}
	root, err := rootOf(s, c.Size)
	if err == nil && root != c.Root {
		err = fmt.Errorf("%w: the first %d entries are not those of the checkpoint", ErrProof, c.Size)
	}
	return err
}

// CheckConsistency checks such a proof offline; both checkpoints must be signed
// by trusted keys.
func CheckConsistency(file []byte, trusted ...*ecdsa.PublicKey) (before, after Checkpoint, err error) {
	var p Consistency
	if err = json.Unmarshal(file, &p); err == nil && p.Format != consistencyProof {
		err = fmt.Errorf("format %q: want %q", p.Format, consistencyProof)
	}
	if err == nil {
		before, err = OpenCheckpoint([]byte(p.Old), trusted...)
	}
	if err == nil {
		after, err = OpenCheckpoint([]byte(p.New), trusted...)
	}
	if err == nil {
		err = tie(p.Path, before, after)
	}
	if err != nil {
		return Checkpoint{}, Checkpoint{}, fmt.Errorf("check consistency: %w", err)
	}
	return before, after, nil
}

func tie(path tlog.TreeProof, before, after Checkpoint) error {
	if before.Origin != after.Origin {
		return fmt.Errorf("%w: the checkpoints are of two ledgers", ErrProof)
	}
	if before.Size == 0 || before.Size > after.Size {
		return fmt.Errorf("%w: the checkpoints are in the wrong order", ErrProof)
	}
	if err := tlog.CheckTree(path, int64(after.Size), after.Root, int64(before.Size), before.Root); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	return nil
}
