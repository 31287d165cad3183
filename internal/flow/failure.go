package flow

import (
	"context"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/record"
)

// Code is a stable name of one way to fail.
type Code = record.Code

// Failure is an error with its code, and so with a verdict, a sentence for the
// operator and an action.
type Failure struct {
	Code Code
	Err  error // for engineers: operation and cause
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Code, f.Err) }
func (f *Failure) Unwrap() error { return f.Err }

// Kind is the row of the table of failures.
func (f *Failure) Kind() FailureKind { return FailureOf(f.Code) }

// Fail gives err a code. A failure that has one already keeps it.
func Fail(code Code, err error) error {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return err
	}
	return &Failure{code, err}
}

func failf(code Code, format string, args ...any) error {
	return &Failure{code, fmt.Errorf(format, args...)}
}

// FailureKind is what a code means for the people at the line.
type FailureKind struct {
	Code     Code
	Verdict  record.Verdict
	Sentence string // what happened, for an operator
	Action   string // what to do now, one plain sentence
}

// FailureOf finds the row of a code.
func FailureOf(code Code) FailureKind {
	for _, k := range Failures {
		if k.Code == code {
			return k
		}
	}
	return FailureKind{code, record.Quarantine, "Something happened that this program has no name for.", "Set the device aside and call an engineer."}
}

const (
	putBack  = "Take the device out and put it back."
	setAside = "Set the device aside for an engineer."
	callEng  = "Call an engineer; the line waits."
)

// Failures is the whole list of codes. Verdicts: RETRY where nothing is lost,
// SCRAP where a fuse holds what it must not, QUARANTINE where chip and ledger
// cannot be explained together, STATION where it is not the device's fault.
// One is no verdict: that of a device that passed.
var Failures = []FailureKind{
	{"E-NO-ANSWER", record.Retry, "The device does not answer.", "Check that it sits well in the fixture, then put it back."},
	{"E-PORT-GONE", record.Retry, "The device or its cable was unplugged.", putBack},
	{"E-BOOT-MODE", record.Retry, "The device started its program instead of the loader.", "Check the fixture's BOOT and EN contacts, then put it back."},
	{"E-DEAF", record.Retry, "The device talks but does not hear the station.", "Check the fixture's RX contact, then put it back."},
	{"E-ROM", record.Retry, "The device's loader refused a command.", putBack},
	{"E-BAUD", record.Retry, "The connection does not work, not even at its lowest speed.", "Check the fixture's contacts and the cable, then put it back."},
	{"E-FLASH-ID", record.Retry, "The flash chip does not identify itself.", "Put it back; if it happens again, set it aside for repair."},
	{"E-FLASH-VERIFY", record.Retry, "The flash does not keep what was written.", "Put it back; if it happens again, set it aside for repair."},
	{"E-FUSE-WIRE", record.Retry, "The connection was disturbed; no fuse was changed this time.", putBack},
	{"E-FUSE-PART", record.Retry, "The connection was disturbed while fuses were being changed.", putBack},
	{"E-KEY-TORN", record.Retry, "The key was not burned whole; another place is taken for it.", putBack},
	{"E-BROWNOUT", record.Retry, "The device's supply voltage broke down.", "Check the fixture's power contacts, then put it back."},
	{"E-BOOT-SILENT", record.Retry, "The device printed nothing after the reset.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-MARKER", record.Retry, "The device started but did not say that it is ready.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-FAILED", record.Retry, "The device did not start.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-PSRAM", record.Retry, "The device's extra memory (PSRAM) does not answer.", "Put it back; if it happens again, set it aside: another module may be fitted."},
	{"E-BOOT-CORES", record.Retry, "The device's chip has one core; its program needs two.", "Put it back; if it happens again, set it aside: another module is fitted."},
	{"E-BOOT-ASSERT", record.Retry, "The device's program stopped at a check of its own.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-STACK", record.Retry, "The device's program ran out of stack.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-HEAP", record.Retry, "The device's program damaged its own memory.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-VERSION", record.Retry, "The device started another program than the job's.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-BOOT-IDENTITY", record.Retry, "The device started but does not know who it is.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-SIGNATURE-BOOT", record.Retry, "The device refuses its bootloader: it is not signed as the device demands.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-SIGNATURE-APP", record.Retry, "The device refuses its program: it is not signed as the device demands.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-SIGNATURE-UNSEEN", record.Retry, "The device started but did not say that it checks signatures.", "Put it back; if it happens again, set it aside for an engineer."},
	{"E-STOPPED", record.Retry, "The station was stopped before this device was finished.", "Put it back when the line runs again."},

	{"E-CLAIMED", record.Quarantine, "Another station of the site has this device, or one with its number.", setAside},
	{"E-NOT-ESP32", record.Quarantine, "This is not an ESP32.", "Set the device aside: it does not belong to this job."},
	{"E-CHIP", record.Quarantine, "This device has another chip than the job is for.", "Set the device aside: it does not belong to this job."},
	{"E-CHIP-REVISION", record.Quarantine, "This chip's revision does not fit the job.", "Set the device aside: it does not belong to this job."},
	{"E-FLASH-SIZE", record.Quarantine, "This device's flash is smaller than the job needs.", "Set the device aside: it does not belong to this job."},
	{"E-CODING", record.Quarantine, "This chip's fuse coding does not fit the job's key.", setAside},
	{"E-MAC", record.Quarantine, "The device's factory address is damaged.", setAside},
	{"E-FOREIGN-KEY", record.Quarantine, "The device holds a key that this station did not make.", setAside},
	{"E-FOREIGN-FUSES", record.Quarantine, "The device's fuses were changed by somebody else.", setAside},
	{"E-LEDGER-DISAGREES", record.Quarantine, "The device and the station's records do not agree.", setAside},
	{"E-KEY-CONFLICT", record.Quarantine, "The device holds parts of another key.", setAside},
	{"E-KEY-CHANGED", record.Quarantine, "The token gives another key than the one recorded for this device.", setAside},
	{"E-SET-ASIDE", record.Quarantine, "This device was set aside before and nobody has released it.", setAside},
	{"E-RETESTS", record.Quarantine, "This device has failed too often.", setAside},
	{record.SealedOther, record.Quarantine, "This device was sealed before with another job.", setAside},
	{record.OtherJob, record.Quarantine, "This device was begun with another job.", "Set the device aside for an engineer: it is finished with its own job."},
	{record.Doubtful, record.Quarantine, "This device does not say clearly whether it is a real or a virtual one.", setAside},
	{record.Stranger, record.Quarantine, "This device has the address of another device that was made here.", setAside},
	{record.SameMAC, record.Quarantine, "This device has the address of the one in another slot.", setAside},
	{"E-DOWNLOAD-DISABLED", record.Quarantine, "The device is closed for ever and cannot be examined.", "Look for its label in the sealed devices; otherwise set it aside for an engineer."},
	{"E-CLOSED", record.Quarantine, "The device was being closed for ever and was not seen to start afterwards.", "Put it back once; if it does not pass, set it aside for an engineer."},
	{record.ElsewhereCode, record.Quarantine, "This device was begun at another station.", "Take it to that station; if nobody knows which, put it back when the site is there."},
	{record.Conflicting, record.Quarantine, "The site found that this device, or its number, is also another station's.", "Set the device aside for an engineer, who settles it at the site."},
	{"E-FUSE-CONFLICT", record.Quarantine, "The device's fuses do not allow this job.", setAside},
	{"E-FUSE-UNSTABLE", record.Quarantine, "The device's fuses do not read the same twice.", setAside},
	{"E-BOOT-SELFKEY", record.Quarantine, "The device made a key of its own.", setAside},

	{"E-UNKNOWN", record.Quarantine, "Something happened that this program has no name for.", setAside},

	{"E-KEY-BLOCKS", record.Scrap, "No place for a key is left in this chip.", "Put the device into the scrap box."},
	{"E-FUSE-BURN", record.Scrap, "A fuse could not be burned.", "Put the device into the scrap box."},
	{"E-FUSE-WRONG", record.Scrap, "A fuse holds what it must not.", "Put the device into the scrap box."},

	{"E-HSM", record.Station, "The key token does not work.", callEng},
	{"E-HSM-AWAY", record.Station, "The key token is not there or does not answer.", "Plug the token in; the line goes on by itself."},
	{"E-HSM-TOKENS", record.Station, "Several key tokens answer; it is not clear which is meant.", callEng},
	{"E-HSM-PIN", record.Station, "The key token's PIN is wrong.", callEng},
	{"E-HSM-NO-PIN", record.Station, "The station has no PIN for the key token.", callEng},
	{"E-HSM-SOFTWARE", record.Station, "The key token is software, and this device is a real one.", callEng},
	{"E-HSM-KEY", record.Station, "The key token does not hold the job's key.", callEng},
	{"E-LEDGER", record.Station, "The station's records cannot be written.", callEng},
	{"E-LEDGER-LOCKED", record.Station, "Another program has the station's records open.", "Close the other program, then start again."},
	{"E-LEDGER-DAMAGED", record.Station, "The station's records are damaged.", "Call an engineer; nothing is made before they are restored."},
	{"E-LEDGER-SITE", record.Station, "The site has other records of this station than the station itself.", "Call an engineer; nothing is made before that is explained."},
	{"E-SITE", record.Station, "The site cannot be reached, and this station may make nothing more without it.", "Call an engineer if it lasts; the line goes on by itself."},
	{"E-PORT", record.Station, "The port cannot be used.", callEng},
	{"E-PORT-BUSY", record.Station, "Another program uses the port.", "Close the other program; the line goes on by itself."},
	{"E-QUOTA", record.Station, "This job has made as many devices as it may.", callEng},
	{"E-BATCH", record.Station, "The batch is not open.", callEng},
	{"E-SERIAL", record.Station, "Nobody can scan the serial number that the job demands.", callEng},
	{"E-IDENTITY", record.Station, "The identity that the job demands cannot be made.", callEng},
	{"E-ALIKE", record.Station, "Several devices failed alike after a burn.", "Call an engineer, who lets the line go on."},
	{"E-PANIC", record.Station, "The station's program met a fault of its own.", callEng},

	{LabelMissing, record.Pass, "Sealed, but its label was not printed.", "Take the device out; it needs a label (station label --reprint)."},
}

// LabelMissing is the code of a device that passed without a label.
const LabelMissing Code = "E-LABEL"

// sentinels maps what can be wrong with a chip to its code; the first that
// matches decides.
var sentinels = []struct {
	is   error
	code Code
}{
	{record.ErrKeyTaken, "E-LEDGER-DISAGREES"},
	{record.ErrKeyBound, "E-LEDGER-DISAGREES"},
	{record.ErrSerialTaken, "E-LEDGER-DISAGREES"},
	{record.ErrIdentity, "E-LEDGER-DISAGREES"},
	{record.ErrMixed, record.Doubtful},
	{record.ErrQuota, "E-QUOTA"},
	{record.ErrNumbers, "E-QUOTA"},
	{record.ErrBatch, "E-BATCH"},
	{chip.ErrPortGone, "E-PORT-GONE"},
	{chip.ErrPortBusy, "E-PORT-BUSY"},
	{chip.ErrPortAbsent, "E-PORT"},
	{chip.ErrDownloadDisabled, "E-DOWNLOAD-DISABLED"},
	{chip.ErrBootMode, "E-BOOT-MODE"},
	{chip.ErrDeaf, "E-DEAF"},
	{chip.ErrNotESP32, "E-NOT-ESP32"},
	{chip.ErrMACCRC, "E-MAC"},
	{chip.ErrFlashID, "E-FLASH-ID"},
	{chip.ErrVerify, "E-FLASH-VERIFY"},
	{efuse.ErrTorn, "E-KEY-TORN"},
	{efuse.ErrNotBurned, "E-FUSE-BURN"},
	{efuse.ErrUnstable, "E-FUSE-UNSTABLE"},
	{efuse.ErrStray, "E-FUSE-WRONG"},
	{efuse.ErrKeyMismatch, "E-FUSE-WRONG"},
	{efuse.ErrRegisters, "E-FUSE-WIRE"},
	{efuse.ErrChanged, "E-FUSE-WIRE"},
	{efuse.ErrUnfit, "E-CHIP-REVISION"},
	{efuse.ErrConflict, "E-FUSE-CONFLICT"},
	{chip.ErrRefused, "E-ROM"},
	{context.Canceled, "E-STOPPED"},
	{chip.ErrNoAnswer, "E-NO-ANSWER"},
	{context.DeadlineExceeded, "E-NO-ANSWER"},
}

// FailureFrom turns any error about a device or the station into a Failure.
func FailureFrom(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	var refused *efuse.RefusedError
	if errors.As(err, &refused) && !errors.Is(err, efuse.ErrUnfit) {
		return &Failure{"E-FUSE-CONFLICT", err} // before anything was burned
	}
	for _, s := range sentinels {
		if errors.Is(err, s.is) {
			return &Failure{s.code, err}
		}
	}
	return &Failure{"E-UNKNOWN", err}
}
