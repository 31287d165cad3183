package efuse

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// What can be wrong with a plan, or between a plan and a chip.
var (
	// ErrPlan: the plan itself would damage any chip. A fault of the job.
	ErrPlan = errors.New("the fuse plan is not safe")
	// ErrUnfit: this kind of chip cannot take the plan. Nothing was burned.
	ErrUnfit = errors.New("the chip cannot take this fuse plan")
	// ErrConflict: the chip holds bits that the plan would have to clear, or
	// protections in its way. No retry can help.
	ErrConflict = errors.New("the chip holds other fuses than the plan allows")
	// ErrKeyMismatch: BLOCK1 is not the key that it must be.
	ErrKeyMismatch = errors.New("BLOCK1 does not hold the device's key")
)

// RefusedError carries every reason against a plan. It is each of the
// sentinels that its reasons belong to.
type RefusedError struct {
	Reasons []string
	kinds   []error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: %s", e.kinds[0], strings.Join(e.Reasons, "; "))
}

// Unwrap gives the sentinels.
func (e *RefusedError) Unwrap() []error { return e.kinds }

// refusal collects reasons.
type refusal RefusedError

func (r *refusal) add(kind error, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if slices.Contains(r.Reasons, reason) {
		return
	}
	r.Reasons = append(r.Reasons, reason)
	if !slices.Contains(r.kinds, kind) {
		r.kinds = append(r.kinds, kind)
	}
}

func (r *refusal) err() error {
	if len(r.Reasons) == 0 {
		return nil
	}
	return (*RefusedError)(r)
}

// never says why a field is not for this program, where there is more to say
// than that.
var never = map[string]string{
	"DIS_CACHE":       "it would stop the chip from running at all",
	"DISABLE_APP_CPU": "it would take one of the chip's two cores for ever",
	"CODING_SCHEME":   "it would change how keys are stored",
	"MAC":             "the MAC address is the factory's",
	"MAC_CRC":         "the MAC address is the factory's",
	"XPD_SDIO_REG":    "a wrong flash voltage destroys the flash",
	"XPD_SDIO_TIEH":   "a wrong flash voltage destroys the flash",
	"XPD_SDIO_FORCE":  "a wrong flash voltage destroys the flash",
}

// position orders what is burned: by stage, and within a stage as Burn does it.
type position struct{ stage, phase int }

func (p position) before(q position) bool {
	return p.stage < q.stage || p.stage == q.stage && p.phase < q.phase
}

// The phases of one stage. BLOCK0 is burned twice: values first, then what
// protects or switches on.
const (
	phaseKey = iota
	phaseValues
	phaseProtect
)

func phase(field string) int {
	switch field {
	case "WR_DIS", "RD_DIS", "UART_DOWNLOAD_DIS", "ABS_DONE_1", "FLASH_CRYPT_CNT":
		return phaseProtect
	}
	return phaseValues
}

// check finds what would make the plan dangerous on any chip.
func (p Plan) check(r *refusal) {
	for i, s := range p {
		for _, set := range s.Sets {
			p.checkSet(r, i, set)
		}
	}
	p.checkOrder(r)
}

func (p Plan) checkSet(r *refusal, i int, set Set) {
	s, f := p[i], byName[set.Field]
	stage, ok := stageOf(set)
	alone := len(s.Sets) == 1 && s.Key == nil
	switch {
	case f.Name == "":
		r.add(ErrPlan, "%s: the ESP32 has no such field", set.Field)
	case set.isMask() && !ok:
		r.add(ErrPlan, "%s is never burned", set)
	case !ok:
		reason := never[set.Field]
		if reason == "" {
			reason = "it has no part in sealing a device"
		}
		r.add(ErrPlan, "%s is never burned: %s", set.Field, reason)
	case set.Value>>f.Width != 0:
		r.add(ErrPlan, "%s: %d does not fit into %d bits", set.Field, set.Value, f.Width)
	case set.Field == "RD_DIS" && s.Compare == nil:
		r.add(ErrPlan, "%s needs the key to compare BLOCK1 with in stage %s", set, s.Name)
	case set.Field == "FLASH_CRYPT_CNT" && !odd(set.Value):
		r.add(ErrPlan, "FLASH_CRYPT_CNT = %d leaves encryption off: an odd number of bits switches it on", set.Value)
	case stage == StageCount && !alone:
		r.add(ErrPlan, "%s must be burned alone, not with others in stage %s", set.Field, s.Name)
	case stage == StageUART && (!alone || i != len(p)-1):
		r.add(ErrPlan, "%s must be burned last and alone: nothing can follow it", set.Field)
	}
}

// checkOrder finds write protections that come before what they freeze. Within
// one phase all bits change at once, and a power cut may leave any of them.
func (p Plan) checkOrder(r *refusal) {
	for i, s := range p {
		for _, set := range s.Sets {
			if set.Field != "WR_DIS" {
				continue
			}
			for _, one := range set.each() {
				p.checkFreeze(r, one, position{i, phaseProtect})
			}
		}
	}
}

func (p Plan) checkFreeze(r *refusal, lock Set, at position) {
	bit := bits.TrailingZeros32(lock.Value)
	for j, s := range p[at.stage:] {
		if s.Key != nil && bit == byName["BLOCK1"].WriteDisable && !(position{at.stage + j, phaseKey}).before(at) {
			r.add(ErrPlan, "WR_DIS bit %d in stage %s would freeze BLOCK1 before its key is burned", bit, p[at.stage].Name)
		}
		for _, set := range s.Sets {
			for _, one := range set.each() {
				if one == lock || one.Value == 0 || byName[one.Field].WriteDisable != bit ||
					(position{at.stage + j, phase(one.Field)}).before(at) {
					continue
				}
				r.add(ErrPlan, "WR_DIS bit %d in stage %s would freeze %s, which stage %s still has to burn",
					bit, p[at.stage].Name, one.name(), s.Name)
			}
		}
	}
}

func odd(v uint32) bool { return bits.OnesCount32(v)%2 == 1 }
