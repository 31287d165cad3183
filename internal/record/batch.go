package record

import (
	"errors"
	"fmt"
)

// CheckBatch tells what is wrong with the name of a new batch.
func CheckBatch(name string) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("the batch name %q cannot be used: %w", name, err)
	}
	return nil
}

// persons are the kinds of entries that record what a person did, true for
// those that need a reason as well.
var persons = map[Kind]bool{
	PlanApproved: false,
	BatchOpened:  false,
	BatchAmended: true,
	BatchClosed:  false,
	Released:     true,
	KeyRecovered: true,

	ConflictSettled: true,

	ReleaseMade:      false,
	ReleaseWithdrawn: true,
	RolloutChanged:   false,
}

// CheckPerson tells whether an entry that records a person's act says who did
// it, and why where that matters.
func CheckPerson(e Entry) error {
	why, act := persons[e.Kind]
	if !act {
		return nil
	}
	return errors.Join(CheckOperator(e), checkReason(e, why))
}

// CheckOperator tells whether the entry says who did it.
func CheckOperator(e Entry) error {
	if Blank(e.Operator) {
		return fmt.Errorf("%s: who did it is missing", e.Kind)
	}
	return nil
}

func checkReason(e Entry, wanted bool) error {
	if wanted && Blank(e.Message) {
		return fmt.Errorf("%s: why it was done is missing", e.Kind)
	}
	return nil
}
