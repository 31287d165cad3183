package release

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"

	"station/internal/chip"
	"station/internal/record"
)

// State is the state of a rollout.
type State string

// The states.
const (
	Running State = "running"
	Paused  State = "paused"  // by a person
	Stopped State = "stopped" // by itself: too many devices failed
)

// Rollout offers a release to a share of its product's devices, and counts how their
// updates end.
type Rollout struct {
	Product string `json:"product"`
	Release int64  `json:"release"`
	Percent int    `json:"percent"` // 0 to 100
	State   State  `json:"state"`
	Reason  string `json:"reason,omitempty"`
	// The rollout stops by itself when there are at least Samples results and more than
	// Failures per cent of them are failures.
	Samples  int `json:"samples"`
	Failures int `json:"failures"` // per cent

	Offered   int `json:"offered"`   // devices that it was offered to
	Succeeded int `json:"succeeded"` // devices that reported a success
	Failed    int `json:"failed"`    // devices that reported a failure
}

// Defaults of Rollout's fields.
const (
	DefaultSamples  = 10
	DefaultFailures = 10 // per cent
)

// ParseRollout reads and checks the JSON document of a rollout.
func ParseRollout(data []byte) (*Rollout, error) {
	r := &Rollout{}
	if err := jsonv2.Unmarshal(data, r, jsonv2.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	return r, r.check()
}

func (r *Rollout) check() error {
	switch {
	case CheckProduct(r.Product) != nil || CheckID(r.Release) != nil:
		return errors.New("rollout: want a product and a release")
	case r.Percent < 0 || r.Percent > 100:
		return fmt.Errorf("rollout: %d per cent, want 0 to 100", r.Percent)
	case r.State != Running && r.State != Paused && r.State != Stopped:
		return fmt.Errorf("rollout: state %q", r.State)
	case r.Samples < 1 || r.Failures < 0 || r.Failures > 100:
		return fmt.Errorf("rollout: stops at %d %% of %d results: want 0 to 100, of 1 or more", r.Failures, r.Samples)
	}
	return nil
}

// JSON is the document, which ParseRollout reads.
func (r *Rollout) JSON() []byte {
	b, err := json.Marshal(r)
	if err != nil { // cannot happen: it holds only strings and numbers
		panic(err)
	}
	return b
}

// Field is what the ledger's entries have of the rollout of a release with that version.
func (r *Rollout) Field(version string) record.Field {
	return record.Field{Product: r.Product, Release: r.Release, Version: version, State: string(r.State), Percent: r.Percent}
}

// buckets is into how many parts a rollout divides the devices.
const buckets = 10_000

// Bucket is the place of a device in the rollout of a release, from 0 to 9999, by a
// hash. It never changes. Each release has other places, so that not always the same
// devices are the first to be updated.
func Bucket(mac chip.MAC, product string, release int64) int {
	h := sha256.New()
	fmt.Fprintf(h, "station rollout\x00%s\x00%d\x00%s", product, release, mac)
	return int(binary.BigEndian.Uint64(h.Sum(nil)) % buckets)
}

// Reaches tells whether a device is in the rollout's share. It stays in it when Percent
// grows.
func (r *Rollout) Reaches(mac chip.MAC) bool {
	return Bucket(mac, r.Product, r.Release) < r.Percent*buckets/100
}

// Result counts the result of one device's update, and tells whether the rollout has
// stopped because of it.
func (r *Rollout) Result(success bool) (stopped bool) {
	if success {
		r.Succeeded++
	} else {
		r.Failed++
	}
	results := r.Succeeded + r.Failed
	if r.State != Running || results < r.Samples || r.Failed*100 <= r.Failures*results {
		return false
	}
	r.State = Stopped
	r.Reason = fmt.Sprintf("%d of %d devices failed, more than %d %%", r.Failed, results, r.Failures)
	return true
}
