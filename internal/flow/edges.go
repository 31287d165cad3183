package flow

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"maps"
	"slices"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/job"
	"station/internal/record"
	"station/internal/secret"
)

// Chip is what a step may do to the device. It has no register writes: a step
// that could write registers could burn fuses.
type Chip interface {
	Connect(ctx context.Context) error
	Identify(ctx context.Context) (chip.Identity, error)
	SetBaud(ctx context.Context, baud int) error
	SetFlashSize(ctx context.Context, size uint32) error
	WriteFlash(ctx context.Context, addr uint32, size int, src io.ReaderAt, progress func(done int)) (chip.WriteStats, error)
	// WriteByRAM has our own loader write what it can; what it leaves is for WriteFlash.
	// Once it was started the chip must be brought into its loader again, and its
	// memory overwritten by WipeRAM if it has not done that itself.
	WriteByRAM(ctx context.Context, id chip.Identity, job chip.RAMJob) (chip.RAMStats, error)
	WipeRAM(ctx context.Context) error
	EraseFlash(ctx context.Context, addr uint32, size int, progress func(done int)) (chip.WriteStats, error)
	FlashMD5(ctx context.Context, addr, size uint32) ([16]byte, error)
	ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error)
	// SetConsole says at which rate the firmware's console is read from the reset on.
	SetConsole(baud int)
	Boot(ctx context.Context, done func(log []byte) bool) ([]byte, error)
}

// Loader is the whole chip, as the runner has it: a Chip that can also write
// registers. Steps see it only through onlyChip.
type Loader interface {
	Chip
	WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error)
	Close() error
}

var _ efuse.Registers = Loader(nil)

// onlyChip hides every method of a Loader that is not in Chip, so that a type
// assertion cannot bring the register writes back.
type onlyChip struct{ Chip }

// Keys makes or finds keys of devices in a token.
type Keys interface {
	DeviceKey(ctx context.Context, r KeyRequest) (DeviceKey, error)
	// Issuer is the CA that signs certificates of the job's devices.
	Issuer(ctx context.Context, want *job.Certificate) (Issuer, error)
}

// Issuer is a CA: its certificate, and its key in the token.
type Issuer struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
}

// KeyRequest asks for one key of one device, in the words of job files and of
// the ledger. It is no request to a token: what the ledger knows of the device
// (ID, Wrapped) goes before what the job says, and station.Keys decides that.
type KeyRequest struct {
	Chip    string // family, as job files name it
	MAC     chip.MAC
	Purpose chip.Purpose
	Size    int    // bytes
	Policy  string // derived, random, shared
	Label   string // of the token object that the policy uses
	PRF     string // of policy derived; empty is the default
	ID      string // the key recorded for this device before: policy and label come from it
	Wrapped []byte // random policy: the blob of a key made before
	// Escrow is the offline key that the key is also wrapped to; nil for none.
	Escrow *rsa.PublicKey
}

// DeviceKey is a key on its way from the token to the fuses.
type DeviceKey struct {
	ID      string        // public: policy, token object and check value
	Check   string        // check value, 16 hex digits
	Secret  *secret.Bytes // the caller destroys it
	Wrapped []byte        // random policy: what the ledger keeps
	Escrow  []byte        // where the job asks for it
	Token   string        // which token made it
}

// DeviceKeys are the keys of one device.
type DeviceKeys map[chip.Purpose]DeviceKey

// Destroy overwrites the keys; their names stay.
func (k DeviceKeys) Destroy() {
	for _, one := range k {
		one.Secret.Destroy()
	}
}

// Flash is the key for flash encryption.
func (k DeviceKeys) Flash() DeviceKey { return k[chip.FlashEncryption] }

// named are the keys as an entry names them.
func (k DeviceKeys) named() []record.Key {
	var out []record.Key
	for _, p := range slices.Sorted(maps.Keys(k)) {
		out = append(out, record.Key{Purpose: p, ID: k[p].ID})
	}
	return out
}

// Whose is a Ledger that also knows whose device a chip is where that is another bench's:
// admission asks it, in place of Device.
type Whose interface {
	Whose(mac chip.MAC) (record.Device, bool, error)
}

// Ledger is the record that outlives the station's memory. An entry is on
// disk when Append returns.
type Ledger interface {
	Append(e record.Entry) (record.Entry, error)
	Device(mac chip.MAC) (record.Device, bool, error)
	SerialOwner(serial string) (chip.MAC, bool, error)
	// Approval is the newest approval of a digest at a station, ApprovalOf that
	// of a revision of a job.
	Approval(station, digest string) (record.Entry, bool, error)
	ApprovalOf(station, job, revision string) (record.Entry, bool, error)
	// Reserve takes the next number of the entry's batch or job for its device:
	// record.ErrQuota if there is none left. A device keeps the number it has.
	Reserve(e record.Entry) (int, error)
}
