package flow_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/secret"
	"station/internal/sim"
	"station/internal/station"
)

// aloneJobFile is the small product with secure boot and without flash encryption.
func aloneJobFile(t testing.TB, version int, pairs ...string) string {
	t.Helper()
	path := flowtest.BootJobFile(t, version, append([]string{"[key]\npolicy = \"derived\"\nlabel = \"station-master\"\n", "",
		"mode = \"release\"", "mode = \"release\"\nflash_encryption = false"}, pairs...)...)
	if version == 2 {
		return path
	}
	return flowtest.EditCopy(t, filepath.Dir(path), "version = 1\n", "version = 1\nlabel = \"station-master\"\n")
}

// regionAt0 is what a device of that number has at address 0.
func regionAt0(t testing.TB, j *job.Job, number int, key byte) []byte {
	t.Helper()
	k, err := secret.New(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	own, err := j.RegionsFor(job.Own{MAC: station.VirtualMAC(number), BootKey: k})
	if err != nil {
		t.Fatal(err)
	}
	return own.List[0].Data
}

func bootJob(t testing.TB, version int, pairs ...string) *job.Job {
	t.Helper()
	j, err := job.Load(flowtest.BootJobFile(t, version, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func aloneJob(t testing.TB, version int, pairs ...string) *job.Job {
	t.Helper()
	j, err := job.Load(aloneJobFile(t, version, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func aloneInDevelopment(t testing.TB) *job.Job {
	t.Helper()
	j, err := job.Load(flowtest.EditCopy(t, filepath.Dir(aloneJobFile(t, 2)), `mode = "release"`, `mode = "development"`))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// bootWords are what BLOCK2 of the device must hold, worked out here.
func (tr *trial) bootWords() (w [8]uint32) {
	switch tr.product.job.SecureBoot.Version {
	case 1:
		return coded(tr.bootSecret())
	case 2:
		digest, err := os.ReadFile("../../fixtures/secureboot/v2a.digest")
		if err != nil {
			tr.fault("%w", err)
		}
		for i := range w {
			w[i] = binary.LittleEndian.Uint32(digest[4*i:])
		}
	}
	return w
}

// bootSecret is the device's key for the digest of its bootloader; none
// without one.
func (tr *trial) bootSecret() []byte {
	if tr.product.job.SecureBoot.Version != 1 {
		return nil
	}
	return flowtest.DerivedKey("station secure boot v1", tr.mac, len(tr.key()))
}

// words are the bits that a stage burns in this device.
func (tr *trial) words(s stage) (all sim.Words) {
	copy(all[:], s.block0[:])
	if s.boot {
		w := tr.bootWords()
		copy(all[15:], w[:])
	}
	return all
}
