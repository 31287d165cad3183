package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/klauspost/compress/s2"
	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/record"
)

const (
	inEntries      = "entries"
	inDictionaries = "dictionaries"
	inCheckpoints  = "checkpoints"
	inDevices      = "devices"
	inRecent       = "recent"
	inKeys         = "keys"
	inApprovals    = "approvals"
	inLots         = "lots"
	inSigners      = "signers"
	inTokens       = "tokens"
	inState        = "state"
)

var (
	projections = []string{inDevices, inRecent, inKeys, inApprovals, inLots, inSigners, inTokens}
	buckets     = append([]string{inEntries, inDictionaries, inCheckpoints, inState}, projections...)
)

const (
	// projection is the version of the projections' own format: a ledger with
	// another one has them rebuilt when it is opened for writing.
	projection = 17

	stateFormat     = "format"     // newest record.Version that was written
	stateProjection = "projection" // version of the projections
	stateProjected  = "projected"  // entries folded so far; present only while they are rebuilt
	stateCopy       = "copy"       // 1 in a copy, which has those checkpoints alone that it was given
)

// reader is what both a snapshot and a write transaction can do. An absent
// key gives nil.
type reader interface {
	get(bucket, key string) ([]byte, error)
	// dictionary returns the dictionary with that number; nil for none.
	dictionary(n uint64) (*s2.Dict, error)
}

func number(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(b[:])
}

func fromNumber(key []byte) uint64 { return binary.BigEndian.Uint64(key) }

// encode returns the bytes that are stored and hashed, and the entry as
// everybody will read it from them. Only text that is not UTF-8 reads
// differently from how it was given: it is escaped at first.
func encode(e record.Entry) ([]byte, record.Entry, error) {
	raw, err := json.Marshal(e)
	if err == nil && bytes.Contains(raw, []byte(`\ufffd`)) {
		if e, err = decode(raw); err == nil {
			raw, err = json.Marshal(e)
		}
	}
	return raw, e, err
}

func decode(raw []byte) (record.Entry, error) { return record.Decode(raw) }

// hashCount is how many hashes of the tree entry n completes.
func hashCount(n uint64) int { return bits.TrailingZeros64(n+1) + 1 }

// split takes an entry's value apart into hashes and the entry as it is stored.
func split(n uint64, value []byte) (hashes []tlog.Hash, stored []byte, err error) {
	stored, err = behindHashes(n, value)
	if err != nil {
		return nil, nil, err
	}
	hashes = make([]tlog.Hash, hashCount(n))
	for i := range hashes {
		hashes[i] = tlog.Hash(value[i*tlog.HashSize:])
	}
	return hashes, stored, nil
}

// behindHashes is the entry as it is stored.
func behindHashes(n uint64, value []byte) ([]byte, error) {
	k := hashCount(n)
	if len(value) <= k*tlog.HashSize {
		return nil, corrupt("entry %d is missing or cut", n)
	}
	return value[k*tlog.HashSize:], nil
}

// entryAt returns the stored bytes of an entry after holding them against
// their leaf.
func entryAt(r reader, n uint64) ([]byte, error) {
	value, err := r.get(inEntries, number(n))
	if err != nil {
		return nil, err
	}
	return whole(r, n, value, nil)
}

// whole is entryAt for whoever has the value; buf as for unpack.
func whole(r reader, n uint64, value, buf []byte) (raw []byte, err error) {
	stored, err := behindHashes(n, value)
	if err != nil {
		return nil, err
	}
	raw, leaf, err := unpack(r, n, stored, buf)
	if err == nil && leaf != tlog.Hash(value) {
		err = corrupt("entry %d is not what was written", n)
	}
	return raw, err
}

// tree reads stored hashes of the Merkle tree for package tlog.
func tree(r reader) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, n := tlog.SplitStoredHashIndex(index)
			leaf := uint64(n+1)<<level - 1
			value, err := r.get(inEntries, number(leaf))
			if err != nil {
				return nil, err
			}
			hashes, _, err := split(leaf, value)
			if err != nil {
				return nil, err
			}
			list[i] = hashes[level]
		}
		return list, nil
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum over key and payload in front of a projection's value.
func seal(bucket, key string, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(payload)), checksum(bucket, key, payload))
	return append(b, payload...)
}

func checksum(bucket, key string, payload []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(bucket))
	sum = crc32.Update(sum, castagnoli, []byte(key))
	return crc32.Update(sum, castagnoli, payload)
}

func unseal(bucket, key string, value []byte) ([]byte, error) {
	if len(value) < 4 || binary.BigEndian.Uint32(value) != checksum(bucket, key, value[4:]) {
		return nil, corrupt("%s %s: wrong checksum", bucket, readable(bucket, key))
	}
	return value[4:], nil
}

// readable is a projection's key as people write it.
func readable(bucket, key string) string {
	if (bucket == inDevices || bucket == inRecent) && len(key) == len(chip.MAC{}) {
		return chip.MAC([]byte(key)).String()
	}
	return fmt.Sprintf("%q", key)
}

// lookup returns a projection's payload; found is false where it is absent.
func lookup(r reader, bucket, key string) (payload []byte, found bool, err error) {
	if key == "" {
		return nil, false, nil
	}
	value, err := r.get(bucket, key)
	if err != nil || value == nil {
		return nil, false, err
	}
	payload, err = unseal(bucket, key, value)
	return payload, err == nil, err
}

func lookupNumber(r reader, bucket, key string) (n uint64, found bool, err error) {
	payload, found, err := lookup(r, bucket, key)
	if err == nil && found && len(payload) != 8 {
		err = corrupt("%s %s: not a number", bucket, readable(bucket, key))
	}
	if err != nil || !found {
		return 0, false, err
	}
	return fromNumber(payload), true, nil
}

func lookupJSON(r reader, bucket, key string, into any) (found bool, err error) {
	payload, found, err := lookup(r, bucket, key)
	if err != nil || !found {
		return false, err
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return false, corrupt("%s %s: %w", bucket, readable(bucket, key), err)
	}
	return true, nil
}

// deviceAt returns a device; a zero one where the MAC is not known.
func deviceAt(r reader, mac chip.MAC) (d record.Device, found bool, err error) {
	d, found, err = bareDevice(r, mac)
	if err == nil && found {
		err = addImages(r, &d)
	}
	return d, found, err
}

// bareDevice is deviceAt without the images.
func bareDevice(r reader, mac chip.MAC) (d record.Device, found bool, err error) {
	if mac.IsZero() {
		return d, false, nil
	}
	payload, found, err := lookup(r, inDevices, string(mac[:]))
	if err != nil || !found {
		return d, false, err
	}
	if d, err = openDevice(payload); err != nil {
		return d, false, err
	}
	behind, err := tailOf(r, mac)
	if err == nil {
		err = applyTail(r, &d, behind)
	}
	return d, err == nil, err
}

// deviceHead is the length of what stands in front of a device's JSON, to be
// told without decoding: the index of the last entry that it knows.
const deviceHead = 8

// devicePayload leaves the images, the greatest part, where they are: in the
// entry that verified them.
func devicePayload(d record.Device) ([]byte, error) {
	d.Images = nil
	b, err := json.Marshal(d)
	return append([]byte(number(d.Last)), b...), err
}

func lastOf(payload []byte) (uint64, error) {
	if len(payload) < deviceHead {
		return 0, corrupt("a device's projection is cut")
	}
	return fromNumber(payload[:deviceHead]), nil
}

// lastEntry is the index of a device's last entry.
func lastEntry(r reader, mac chip.MAC) (n uint64, found bool, err error) {
	if mac.IsZero() {
		return 0, false, nil
	}
	payload, found, err := lookup(r, inDevices, string(mac[:]))
	if err != nil || !found {
		return 0, false, err
	}
	if n, err = lastOf(payload); err != nil {
		return 0, false, err
	}
	behind, err := tailOf(r, mac)
	return max(n, behind.last), err == nil, err
}

func openDevice(payload []byte) (d record.Device, err error) {
	if _, err := lastOf(payload); err != nil {
		return d, err
	}
	if err := jsonv2.Unmarshal(payload[deviceHead:], &d); err != nil {
		return d, corrupt("a device's projection: %w", err)
	}
	return d, nil
}

// addImages takes a device's images from the entry that verified them.
func addImages(r reader, d *record.Device) error {
	if d.Flashed == 0 {
		return nil
	}
	raw, err := entryAt(r, d.Flashed)
	if err != nil {
		return err
	}
	e, err := decode(raw)
	if err != nil || e.MAC != d.MAC || e.Kind != record.FlashVerified {
		return corrupt("entry %d does not verify the flash of %s", d.Flashed, d.MAC)
	}
	d.Images = e.Images
	return nil
}

// owner tells whom a key belongs to. A shared key belongs to nobody in
// particular: bound, but to no MAC.
func owner(r reader, keyID string) (mac chip.MAC, bound bool, err error) {
	payload, bound, err := lookup(r, inKeys, keyID)
	if err != nil || !bound || len(payload) == 0 {
		return mac, bound, err
	}
	if copy(mac[:], payload) != len(payload) || len(payload) != len(mac) {
		return mac, false, corrupt("key %q: its owner is not a MAC", keyID)
	}
	return mac, true, nil
}

var errNoEntries = errors.New("no entries")
