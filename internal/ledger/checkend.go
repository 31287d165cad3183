package ledger

import (
	"encoding/json"

	"station/internal/record"
)

// beyond looks for what the indexes know and the log does not have: its end is
// lost, and indexes that are made from it would not even tell that.
func (u *auditor) beyond(s *snapshot) {
	for bucket, last := range lastIndex {
		for it, err := range s.items(bucket, "") {
			if err != nil {
				u.fault(-1, "%s: %v", bucket, err)
				continue
			}
			payload, err := unseal(bucket, string(it.Key), it.Value)
			if err != nil {
				continue // it says nothing
			}
			if n, err := last(payload); err == nil && n >= u.Size {
				u.fault(-1, "%s %s: it knows entry %d, and the log ends before it: entries are lost", bucket, readable(bucket, string(it.Key)), n)
			}
			u.laterLot(bucket, payload)
		}
	}
}

// lastIndex is the last entry that a projection's payload knows of.
var lastIndex = map[string]func([]byte) (uint64, error){
	inDevices:   lastOf,
	inApprovals: oneNumber,
	inSigners:   oneNumber,
	inTokens:    oneNumber,
	inRecent: func(payload []byte) (uint64, error) {
		t, err := openTail(payload)
		return t.last, err
	},
	inLots: func(payload []byte) (uint64, error) {
		var l record.Lot
		err := json.Unmarshal(payload, &l)
		return l.First, err
	},
}

func oneNumber(payload []byte) (uint64, error) {
	if len(payload) != 8 {
		return 0, corrupt("not a number")
	}
	return fromNumber(payload), nil
}

// laterLot finds a batch that was opened or closed after the last entry.
func (u *auditor) laterLot(bucket string, payload []byte) {
	var l record.Lot
	if bucket != inLots || json.Unmarshal(payload, &l) != nil {
		return
	}
	if l.Opened.After(u.log.newest) || l.Closed.After(u.log.newest) {
		u.fault(-1, "lots %s: it was opened or closed after the last entry of the log: entries are lost", l.Name)
	}
}
