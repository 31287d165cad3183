package release

import (
	"fmt"
	"strconv"
)

// MaxID is the highest number of a release: it fits into 32 bits, also signed ones, as
// clients may keep it.
const MaxID = 999_999_999

// CheckID tells what is wrong with the number of a release; nil if nothing is.
func CheckID(id int64) error {
	if id < 1 || id > MaxID {
		return fmt.Errorf("id %d: a release has a number from 1 to %d", id, MaxID)
	}
	return nil
}

// ParseID reads the number of a release.
func ParseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || CheckID(id) != nil {
		return 0, fmt.Errorf("id %.40q: a release has a number from 1 to %d", text, MaxID)
	}
	return id, nil
}
