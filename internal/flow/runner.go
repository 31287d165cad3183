package flow

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/job"
	"station/internal/record"
)

// Session is one visit of one device to one slot, as the steps see it.
type Session struct {
	Job      *job.Job
	Chip     Chip // no register writes
	Keys     Keys
	ID       chip.Identity
	Fuses    efuse.Image   // as read last
	Device   record.Device // what the ledger knows, from admission on
	Known    bool
	Held     DeviceKeys // from the step key on
	identity held       // from the step key until the flash is written
	Serial   string
	Sealed   bool // nothing is left to do
	batch    string

	note     func(e record.Entry) error // into the ledger, on disk when it returns
	now      func() time.Time
	device   func(mac chip.MAC) (record.Device, bool, error)
	whose    func(mac chip.MAC) (record.Device, bool, error) // as device, and what other benches know
	serial   func(ctx context.Context) (string, error)       // nil: nobody can scan one
	claim    func() error                                    // no other slot works on this MAC; nil: none could
	reserve  func() error                                    // takes the device's number
	progress func(done, total int64)
	survey   func(ctx context.Context) (efuse.Image, error) // of the fuses: it writes the fuse controller's registers, and burns nothing
	rate     visitRate
	virtual  error // why no real device may be made; nil: they may
	inLoader bool
	closing  bool // UART_DOWNLOAD_DIS is being burned, or is: the loader may never answer again
	lastBoot record.Boot
	console  []byte // of the last start, until an event has told it
}

// Runner runs the procedure. The zero Now is time.Now.
type Runner struct {
	Job       *job.Job
	Keys      Keys
	Ledger    Ledger
	Emit      func(Event)
	Now       func() time.Time
	Station   string // as the ledger names it in entries
	Operator  string
	Approver  string // who approves the plan; empty is the operator
	TwoPeople bool   // who approves the plan does not work with it
	// MayApprove refuses who may not approve; nil takes everybody.
	MayApprove func(name string) error
	Batch      string
	// Undeclared takes a batch that nobody opened.
	Undeclared bool
	// Numbered gives every device a number, also where nothing limits them.
	Numbered  bool
	Simulated bool
	// VirtualOnly is why no real device may be made here; nil: they may.
	VirtualOnly error
	Serials     *Serials // nil: nobody can scan one
	// Rates is what is known of the adapter at a port; nil: nothing.
	Rates func(port string) BaudRates

	gate   *gate // before the first burn of a visit; nil: none
	claims claims
}

// Outcome is how the visit of one device ended.
type Outcome struct {
	MAC     chip.MAC
	Verdict record.Verdict
	Already bool
	Burned  bool     // it was admitted, and its fuses were burned, in this visit or before
	Failure *Failure // nil for PASS

	number int // from the gate; 0: nothing was burned in this visit
}

// visit is the runner's side of a Session: it holds the register writes.
type visit struct {
	*Runner
	s       Session
	loader  Loader
	slot    string
	port    string
	run     string
	step    Step
	start   time.Time
	took    float64      // seconds to the entry that the device passes with
	shown   int          // percent emitted last
	number  int          // from the gate; 0: it has not passed it
	burnt   efuse.Change // what this visit is known to have done to the fuses
	claimed bool         // the MAC is this visit's until it ends
}

// Device runs the whole procedure on the device behind l and closes l. It
// returns when the verdict is in the ledger and in the events.
func (r *Runner) Device(ctx context.Context, slot, port string, l Loader) (out Outcome) {
	v := &visit{Runner: r, loader: l, slot: slot, port: port, run: newRunID(), start: r.now()}
	v.s = Session{Job: r.Job, Chip: onlyChip{l}, Keys: r.Keys, Held: DeviceKeys{}, batch: r.Batch, now: r.now, device: r.Ledger.Device}
	v.s.note, v.s.reserve, v.s.claim = v.append, v.reserve, v.claim
	v.s.whose = r.whose()
	v.s.progress, v.s.survey = v.showProgress, surveyor(&v.s, l)
	v.s.virtual = r.VirtualOnly
	v.s.rate = newVisitRate(r.Job, r.rates(port))
	if r.Serials != nil {
		v.s.serial = func(ctx context.Context) (string, error) { return r.Serials.take(ctx, slot) }
	}
	defer v.release()
	defer l.Close()
	defer func() {
		v.s.Held.Destroy()
		v.s.identity.Destroy()
		v.s.Fuses.Wipe()
	}()
	defer func() {
		if p := recover(); p != nil {
			out = v.fail(failf("E-PANIC", "step %s: panic: %v\n%s", v.step.ID, p, debug.Stack()))
		}
	}()
	for _, step := range Procedure(r.Job) {
		if v.s.closing { // what is left can only be done now
			ctx = context.WithoutCancel(ctx)
		}
		if err := v.do(ctx, step); err != nil {
			return v.fail(v.givingUp(ctx, fmt.Errorf("%s: %w", step.ID, err)))
		}
		if v.s.Sealed {
			break
		}
	}
	return v.pass()
}

// whose asks the ledger whose a device is.
func (r *Runner) whose() func(mac chip.MAC) (record.Device, bool, error) {
	if l, asks := r.Ledger.(Whose); asks {
		return l.Whose
	}
	return r.Ledger.Device
}

// surveyor reads the fuses of the chip that s has identified behind l.
func surveyor(s *Session, l Loader) func(ctx context.Context) (efuse.Image, error) {
	return func(ctx context.Context) (efuse.Image, error) { return efuse.Read(ctx, s.ID.Of(), l) }
}

func newRunID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (r *Runner) rates(port string) BaudRates {
	if r.Rates == nil {
		return nil
	}
	return r.Rates(port)
}

func (r *Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (v *visit) do(ctx context.Context, step Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.step, v.shown = step, -1
	if err := v.passGate(ctx, step); err != nil {
		return err
	}
	begin := v.now()
	v.emit(Event{Event: StepStarted, Message: step.Title, Burning: step.Burn != nil})
	var err error
	if step.Burn != nil {
		err = v.burn(ctx, step)
	} else {
		err = step.Run(ctx, &v.s)
	}
	if err != nil {
		return err
	}
	done := Event{Event: StepDone, Percent: 100, Seconds: v.now().Sub(begin).Seconds()}
	v.s.rate.tell(&done)
	done.Console = v.s.takeConsole()
	v.emit(done)
	return nil
}

// passGate waits until the step may burn what is left to burn. Another device
// may be there by then.
func (v *visit) passGate(ctx context.Context, step Step) error {
	if v.gate == nil || step.Burn == nil || v.number > 0 {
		return nil
	}
	plan, err := step.Burn(&v.s)
	if err != nil {
		return err
	}
	if todo, err := plan.Diff(v.s.Fuses); err != nil || len(todo) == 0 {
		return err
	}
	number, waited, err := v.gate.enter(ctx, v.s.ID.MAC, func() {
		v.emit(Event{Event: DeviceWaits, Message: "Waits until a device that is being burned has its result."})
	})
	if err != nil {
		return err
	}
	v.number = number
	if !waited {
		return nil
	}
	v.s.inLoader = false
	return v.backToLoader(ctx)
}

// burn is the only place that burns fuses: for each stage of the plan that the
// chip does not hold yet, the intent goes to disk, the fuses are burned and
// read back, and the ledger is settled. A stage that was begun in an earlier
// visit and not settled is gone through in the same way: what an interrupted
// burn has left counts only when it has been read back. A begun burn is
// finished even when ctx has been cancelled meanwhile.
func (v *visit) burn(ctx context.Context, step Step) error {
	plan, err := step.Burn(&v.s)
	if err != nil {
		return err
	}
	if err := v.backToLoader(ctx); err != nil {
		return err
	}
	todo, err := plan.Diff(v.s.Fuses)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // nothing is begun yet
		return err
	}
	ctx = context.WithoutCancel(ctx)
	for _, stage := range plan {
		if left := todo.Only(stage.Name); len(left) > 0 {
			stage = left[0]
		} else if !v.s.intended(stage.Name) || v.s.settled(stage.Name) {
			continue
		}
		if err := v.burnStage(ctx, stage); err != nil {
			return fmt.Errorf("stage %s: %w", stage.Name, err)
		}
	}
	if step.LastUseOfKey {
		v.s.Held.Destroy()
	}
	return nil
}

func (v *visit) burnStage(ctx context.Context, stage efuse.Stage) error {
	begin := v.now()
	e := record.Entry{Kind: record.BurnIntended, Stage: stage.Name, Burns: stage.Changes(v.s.Fuses),
		Keys: v.s.Held.named(), Plan: v.Job.PlanDigest(), Fuses: efuse.Redact(v.s.Fuses), Message: v.s.passedOver(stage.Key)}
	if err := v.append(e); err != nil {
		return err
	}
	v.s.closing = stage.Name == efuse.StageUART
	image, err := efuse.Burn(ctx, v.loader, v.s.ID.Crystal, v.s.Fuses, stage)
	if err != nil && v.s.closing {
		image = v.s.Fuses.With(stage)
		e.Message, err = v.closed(ctx, err)
	}
	if err != nil {
		return v.inBurn(err)
	}
	v.burnt = efuse.Changed
	v.s.Fuses.Wipe()
	v.s.Fuses = image
	e.Kind, e.Plan, e.Fuses, e.Seconds = record.BurnSettled, "", efuse.Redact(v.s.Fuses), v.now().Sub(begin).Seconds()
	e.Message = cmp.Or(stage.Reads(image), e.Message)
	return v.append(e)
}

// inBurn says of a disturbed burn what was read back of it: a fuse that was
// changed, or may have been, is never called unchanged.
func (v *visit) inBurn(err error) error {
	if err == nil {
		return nil
	}
	if change := efuse.ChangeOf(err); change != efuse.Unchanged && v.burnt != efuse.Changed {
		v.burnt = change
	}
	if FailureFrom(err).Code != "E-FUSE-WIRE" || v.burnt == efuse.Unchanged {
		return err
	}
	return Fail("E-FUSE-PART", fmt.Errorf("%w (fuses in this visit: %s)", err, v.burnt))
}

// closed asks the chip how the burn of UART_DOWNLOAD_DIS ended when that could
// not be read back, for it will not be asked again: reset into its loader, a
// closed chip says that it is closed. Otherwise the burn's own error stands.
func (v *visit) closed(ctx context.Context, burn error) (how string, err error) {
	err = v.s.reach(ctx)
	if errors.Is(err, chip.ErrDownloadDisabled) {
		return fmt.Sprintf("not read back (%v): %v", burn, err), nil
	}
	v.s.closing = err != nil
	return "", burn
}

// backToLoader makes sure that the chip is in the loader and still the same
// one, and reads its fuses again where it had left the loader.
func (v *visit) backToLoader(ctx context.Context) error {
	if v.s.inLoader {
		return nil
	}
	return v.inBurn(connectAndRead(ctx, &v.s))
}

// reserve takes the device's number of its batch or job. It is on disk before
// the key is made, so that a power cut may skip a number and never makes a
// device too many. Where nothing is counted there are no numbers. A device that
// was begun in another batch takes a number of this one; a sealed one stays in
// its own.
func (v *visit) reserve() error {
	if d := v.s.Device; v.Batch == "" && (v.Job.Quota.Devices == 0 && !v.Numbered || d.Placed() && d.Batch != "") {
		return nil
	}
	_, err := v.Ledger.Reserve(v.about(record.Entry{Quota: v.Job.Quota.Devices, Undeclared: v.Undeclared}))
	if err != nil {
		return ledgerFailure(fmt.Errorf("ledger: number: %w", err))
	}
	return nil
}

// about fills in what every entry of this visit tells. When and where it was
// written, and by which software, is the ledger's to say.
func (v *visit) about(e record.Entry) record.Entry {
	e.Operator, e.Simulated = v.Operator, v.Simulated || v.s.simulated()
	e.Job, e.Revision, e.JobHash, e.Batch = v.Job.Name, v.Job.Revision, v.Job.Digest(), v.Batch
	e.Slot, e.Run, e.MAC, e.Step = v.slot, v.run, v.s.ID.MAC, string(v.step.ID)
	return e
}

// append writes an entry about this visit to the ledger. The one that the device
// passes with has the seconds that the screen shows.
func (v *visit) append(e record.Entry) error {
	if e.Kind == record.Sealed || e.Decision == DecisionSealed {
		v.took = v.seconds()
		e.Seconds = v.took
	}
	stored, err := v.Ledger.Append(v.about(e))
	if err != nil {
		return ledgerFailure(fmt.Errorf("ledger: %s: %w", e.Kind, err))
	}
	v.s.Device.Apply(stored)
	if e.Kind == record.DeviceSeen {
		v.emit(Event{Event: DeviceSeen})
	}
	return nil
}

func (v *visit) emit(e Event) {
	if v.Emit == nil {
		return
	}
	e.Time, e.Slot, e.Port, e.MAC, e.KeyID, e.Serial = v.now(), v.slot, v.port, v.s.ID.MAC, v.s.Held.Flash().ID, v.s.Serial
	if e.Step == "" {
		e.Step = v.step.ID
	}
	e.Simulated = v.Simulated || v.s.simulated()
	v.Emit(e)
}

func (v *visit) showProgress(done, total int64) {
	percent := 100
	if total > 0 {
		percent = int(done * 100 / total)
	}
	if percent == v.shown {
		return
	}
	v.shown = percent
	v.emit(Event{Event: StepProgress, Percent: percent, Bytes: done, Total: total})
}

// seconds since the visit's begin.
func (v *visit) seconds() float64 { return v.now().Sub(v.start).Seconds() }

func (v *visit) pass() Outcome {
	v.emit(Event{Event: DevicePassed, Verdict: record.Pass, Already: v.s.Sealed,
		Message: "Sealed.", Action: "Take the device out.", Seconds: v.took})
	return Outcome{MAC: v.s.ID.MAC, Verdict: record.Pass, Already: v.s.Sealed, Burned: true, number: v.number}
}

func (v *visit) fail(err error) Outcome {
	f := FailureFrom(err)
	if v.s.closing && f.Kind().Verdict == record.Retry {
		// It may never tell its MAC again. What is known is said now.
		f = &Failure{"E-CLOSED", f}
	}
	kind := f.Kind()
	seconds := v.seconds()
	if !v.s.ID.MAC.IsZero() {
		note := record.Entry{Kind: record.Failed, Verdict: kind.Verdict, Code: f.Code, Message: f.Err.Error(), Seconds: seconds}
		if ledgerErr := v.append(note); ledgerErr != nil && kind.Verdict != record.Station {
			f = FailureFrom(errors.Join(ledgerErr, f.Err))
			kind = f.Kind()
		}
	}
	event := DeviceFailed
	if kind.Verdict == record.Quarantine {
		event = DeviceQuarantined
	}
	v.emit(Event{Event: event, Verdict: kind.Verdict, Code: f.Code, Message: kind.Sentence, Action: kind.Action,
		Detail: f.Err.Error(), Seconds: seconds, Console: v.s.takeConsole()})
	return Outcome{MAC: v.s.ID.MAC, Verdict: kind.Verdict, Burned: !v.step.AtDoor && len(v.s.Device.Intended) > 0, Failure: f, number: v.number}
}

// ledgerFailure tells what the ledger refuses because of what it holds from a
// ledger that cannot be written.
func ledgerFailure(err error) error {
	for _, refusal := range []error{record.ErrKeyTaken, record.ErrKeyBound, record.ErrSerialTaken, record.ErrIdentity, record.ErrQuota, record.ErrNumbers, record.ErrBatch, record.ErrMixed} {
		if errors.Is(err, refusal) {
			return err
		}
	}
	return Fail("E-LEDGER", err)
}
