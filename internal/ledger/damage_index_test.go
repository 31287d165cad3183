package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/record"
)

// The same without a trace in the entries themselves: hashes of the tree,
// projections, checkpoints.
func TestEveryProjection(t *testing.T) {
	path, size := damageable(t)
	m := mac(1)
	device := string(m[:])
	for name, change := range map[string]func(*txn) error{
		"a hash of the tree": func(tx *txn) error {
			value, _ := tx.get(inEntries, number(15)) // 16 leaves: five hashes
			value = bytes.Clone(value)
			value[3*tlog.HashSize] ^= 1
			return tx.bucket(inEntries).Put([]byte(number(15)), value)
		},
		"a key that is no index": func(tx *txn) error { return tx.bucket(inEntries).Put([]byte("abc"), []byte("x")) },
		"an entry too many":      func(tx *txn) error { return tx.bucket(inEntries).Put([]byte(number(size+1)), make([]byte, 500)) },
		"a device":               func(tx *txn) error { return tx.put(inDevices, device, append(make([]byte, deviceHead), "{}"...)) },
		"a device's checksum":    func(tx *txn) error { return tx.bucket(inDevices).Put([]byte(device), make([]byte, 200)) },
		"a device is missing":    func(tx *txn) error { return tx.bucket(inDevices).Delete([]byte(device)) },
		"a device too many":      func(tx *txn) error { return tx.put(inDevices, "strang", []byte("{}")) },
		"a device from before": func(tx *txn) error {
			d, err := tx.device(m)
			d.Last--
			payload, err2 := devicePayload(d)
			return errors.Join(err, err2, tx.put(inDevices, device, payload))
		},
		"a recent device from before": func(tx *txn) error {
			mac, b := oneRecent(tx)
			b.last--
			return tx.put(inRecent, mac, b.payload())
		},
		"a recent device from after": func(tx *txn) error {
			mac, b := oneRecent(tx)
			b.last++
			return tx.put(inRecent, mac, b.payload())
		},
		"a recent device's earlier entry": func(tx *txn) error {
			mac, b := oneRecent(tx)
			raw, err := entryAt(tx, b.last)
			e, err2 := decode(raw)
			b.last = e.Prev
			return errors.Join(err, err2, tx.put(inRecent, mac, b.payload()))
		},
		"a recent device is missing": func(tx *txn) error {
			mac, _ := oneRecent(tx)
			return tx.bucket(inRecent).Delete([]byte(mac))
		},
		"a recent device too many": func(tx *txn) error {
			sealed := mac(0)
			d, err := tx.device(sealed)
			return errors.Join(err, tx.put(inRecent, string(sealed[:]), tail{d.Last, 1}.payload()))
		},
		"a recent device unknown": func(tx *txn) error { return tx.put(inRecent, "strang", tail{3, 1}.payload()) },
		"a recent device's checksum": func(tx *txn) error {
			mac, _ := oneRecent(tx)
			return tx.bucket(inRecent).Put([]byte(mac), make([]byte, 13))
		},
		"a recent device's projection": func(tx *txn) error {
			mac, _ := oneRecent(tx)
			d, err := tx.device(chip.MAC([]byte(mac)))
			d.Runs++
			payload, err2 := devicePayload(d)
			return errors.Join(err, err2, tx.put(inDevices, mac, payload))
		},
		"a device from after": func(tx *txn) error {
			d, err := tx.device(m)
			d.Last++
			payload, err2 := devicePayload(d)
			return errors.Join(err, err2, tx.put(inDevices, device, payload))
		},
		"a key":                  func(tx *txn) error { return tx.put(inKeys, key(1), []byte("strang")) },
		"a key made shared":      func(tx *txn) error { return tx.put(inKeys, key(1), nil) },
		"a key is missing":       func(tx *txn) error { return tx.bucket(inKeys).Delete([]byte(key(1))) },
		"a key too many":         func(tx *txn) error { return tx.put(inKeys, "k", m[:]) },
		"a key's checksum":       func(tx *txn) error { return tx.bucket(inKeys).Put([]byte(key(1)), m[:]) },
		"a shared key owned":     func(tx *txn) error { return tx.put(inKeys, "fleet", m[:]) },
		"an approval too many":   func(tx *txn) error { return tx.put(inApprovals, approval("s", "d"), []byte(number(1))) },
		"an approval missing":    func(tx *txn) error { return tx.bucket(inApprovals).Delete([]byte(approval("bench-3", "sha256:1"))) },
		"a token's key too many": func(tx *txn) error { return tx.put(inTokens, "4711\x00kek:k", []byte(number(3))) },
		"a token's key missing":  func(tx *txn) error { return tx.bucket(inTokens).Delete([]byte("4711\x00master:m")) },
		"a token's key from before": func(tx *txn) error {
			return tx.put(inTokens, "4711\x00master:m", []byte(number(1)))
		},
		"a lot": func(tx *txn) error { return tx.put(inLots, "batch:2026-W47", []byte(`{"name":"batch:2026-W47"}`)) },
		"a signer missing": func(tx *txn) error {
			k, _ := tx.bucket(inSigners).Cursor().First()
			return tx.bucket(inSigners).Delete(k)
		},
		"a checkpoint": func(tx *txn) error {
			k, _ := tx.bucket(inCheckpoints).Cursor().First()
			return tx.bucket(inCheckpoints).Put(k, []byte("x"))
		},
		"a checkpoint moved": func(tx *txn) error {
			_, v := tx.bucket(inCheckpoints).Cursor().First()
			return tx.bucket(inCheckpoints).Put([]byte(number(3)), v)
		},
		"no bucket of devices": func(tx *txn) error { return tx.tx.DeleteBucket([]byte(inDevices)) },
		"no bucket of entries": func(tx *txn) error { return tx.tx.DeleteBucket([]byte(inEntries)) },
		"no format":            func(tx *txn) error { return tx.bucket(inState).Delete([]byte(stateFormat)) },
		"a state too many":     func(tx *txn) error { return tx.setState("dormat", 1) },
		"no bucket of recents": func(tx *txn) error { return tx.tx.DeleteBucket([]byte(inRecent)) },
		"no bucket of tokens":  func(tx *txn) error { return tx.tx.DeleteBucket([]byte(inTokens)) },
		"no bucket of lots":    func(tx *txn) error { return tx.tx.DeleteBucket([]byte(inLots)) },
		"no state":             func(tx *txn) error { return tx.tx.DeleteBucket([]byte(inState)) },
	} {
		bad := copyOf(t, path)
		tamper(t, bad, change)
		if list := check(bad); len(list) == 0 {
			t.Errorf("%s: not found", name)
		}
		list, ofLog := checkLog(bad), notOfIndexes[name] || strings.HasPrefix(name, "no ")
		if (len(list) > 0) != ofLog {
			t.Errorf("%s: of the log %v", name, list)
		}
		if ofLog {
			continue
		}
		l := reopen(t, bad, bench)
		add(t, l, record.Entry{Kind: record.Recovered, Operator: "anna"})
		if err := errors.Join(l.Rebuild(), l.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		mustBeWhole(t, bad)
	}
}

// notOfIndexes is what no making anew of the indexes mends; so is whatever is
// missing as a whole.
var notOfIndexes = map[string]bool{"a hash of the tree": true, "a key that is no index": true, "an entry too many": true, "a checkpoint": true,
	"a checkpoint moved": true, "a state too many": true}

// What the log has lost at its end and the indexes still know is not forgotten by
// making them anew, whichever of them knows it.
func TestTheIndexesKnowThatTheEndIsLost(t *testing.T) {
	for _, last := range []record.Entry{
		{Kind: record.Sealed, MAC: mac(1)},
		{Kind: record.DeviceSeen, MAC: mac(1)},
		{Kind: record.PlanApproved, Plan: "sha256:2", Operator: "anna"},
		{Kind: record.BatchOpened, Operator: "anna", Batch: "b2"},
		{Kind: record.BatchClosed, Operator: "anna", Batch: "2026-W47"},
		{Kind: record.KeyImported, Token: "4711", Keys: []record.Key{{ID: "kek:k:01"}}},
	} {
		path, size := damageable(t)
		o := bench
		o.Now = func() time.Time { return time.Now().Add(time.Hour) } // after all that is there
		l, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		add(t, l, last)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		tamper(t, path, func(tx *txn) error { return tx.bucket(inEntries).Delete([]byte(number(size))) })
		if list := checkLog(path); len(list) == 0 {
			t.Errorf("%s: its loss is not noticed", last.Kind)
		}
	}
}

// oneRecent is a device whose projection is behind.
func oneRecent(t *txn) (key string, b tail) {
	all, err := t.recentDevices()
	if err != nil {
		panic(err)
	}
	for key, b = range all {
		return key, b
	}
	panic("no device is recent")
}
