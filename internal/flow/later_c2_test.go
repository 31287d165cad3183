package flow_test

import (
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/record"
	"station/internal/station"
)

// A C2 has its key and the digest of secure boot in one block: one intent that names
// both stands before the one burn, and the ledger says what can be read of it afterwards.
func TestSecureBootOfAC2(t *testing.T) {
	key := []string{bootKeyFiles[chip.P256]}
	s := newBench(t, signedJob(t, chip.ESP32C2, key, key))
	device := flowtest.NewChip(t, simFor(s.Job, station.VirtualMAC(0)))
	flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
	if err := checkLater(s, device, 0); err != nil {
		t.Error(err)
	}
	intents, reads, trusts := 0, 0, 0
	for e, err := range s.Ledger.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range e.Burns {
			if e.Kind == record.BurnIntended && b.Field == "BLOCK_KEY0" && strings.Contains(b.New, " and secure boot key digest (ECDSA P-256, digest ") {
				intents++
			}
		}
		if e.Kind == record.BurnSettled && strings.HasPrefix(e.Message, "BLOCK_KEY0: the device key is hidden, the rest reads as the secure boot key digest (ECDSA P-256, digest ") {
			reads++
		}
		for _, k := range e.Keys {
			if k.Purpose == chip.SecureBootDigest && strings.HasPrefix(k.ID, "public:secure-boot:") && len(k.ID) == len("public:secure-boot:")+64 {
				trusts++
			}
		}
	}
	if intents != 1 || reads != 1 || trusts == 0 {
		t.Errorf("the ledger has %d intents of both, %d reads, the digest's key in %d entries", intents, reads, trusts)
	}
}

// What the block has no room for is refused before a port is opened.
func TestSecureBootJobsOfAC2(t *testing.T) {
	p256, other := bootKeyFiles[chip.P256], "third.pem"
	for name, v := range map[string]struct {
		trusted, edit []string
		want          string
	}{
		"a key of 256 bits":        {[]string{p256}, []string{"bits = 128\n", ""}, "a key of 256 bits for flash encryption fills BLOCK_KEY0, and leaves no room for the digest of secure boot: take one of 128 (bits = 128 under [key])"},
		"two keys":                 {[]string{p256, other}, nil, "2 keys; the ESP32-C2 trusts one"},
		"without flash encryption": {[]string{p256}, plainFlash(chip.ESP32C2), ""},
	} {
		_, err := job.Load(signedJob(t, chip.ESP32C2, []string{p256}, v.trusted, v.edit...))
		if (err == nil) != (v.want == "") || err != nil && (!strings.Contains(err.Error(), v.want) || !strings.Contains(err.Error(), "job.toml:")) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	path := signedJob(t, chip.ESP32C2, []string{p256}, []string{p256})
	flowtest.Write(t, filepath.Join(filepath.Dir(path), p256), flowtest.PublicOf(t, bootKeyFiles[chip.P384]))
	if _, err := job.Load(path); err == nil || !strings.Contains(err.Error(), "the ESP32-C2 takes no ECDSA P-384 key; it takes ECDSA P-256 (version 2)") {
		t.Errorf("P-384: got %v", err)
	}
}
