package flow_test

import (
	"encoding/binary"
	"math/bits"
	"path/filepath"
	"slices"
	"testing"

	"station/internal/esploader"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/sim"
)

// product is one kind of device that the crash tests seal, with what its fuses
// must hold in the end: by stage, since what may change before which is part
// of it.
type product struct {
	name    string
	job     *job.Job
	chip    sim.Options
	stages  []stage            // in the order in which they may be burned
	before  func(*sim.Options) // what was done to it before it came to us
	lasting bool               // its faults stay when it is put back
	options esploader.Options
}

// stage is the bits of BLOCK0 that one stage of a plan burns.
type stage struct {
	name   string
	block0 [7]uint32
	boot   bool // it burns BLOCK2
}

var (
	protect     = stage{"key-protect", [7]uint32{0: 0x00010080}, false}
	bootKey     = stage{"boot-key", [7]uint32{}, true}
	digestBits  = stage{"boot-key-protect", [7]uint32{0: 1 << 8}, false}
	bootBits    = stage{"boot-key-protect", [7]uint32{0: 1<<8 | 2<<16}, false}
	signedOn    = stage{"boot-on", [7]uint32{6: 1 << 5}, false}
	digestOn    = stage{"boot-on", [7]uint32{6: 1 << 4}, false}
	finalBits   = stage{"lock", [7]uint32{0: 1 << 0}, false}
	releaseBits = stage{"config", [7]uint32{0: 1 << 3, 5: 0xf0000000, 6: 0x3c0}, false}
	aloneBits   = stage{"config", [7]uint32{0: 1 << 3, 6: 0x40}, false}
	developBits = stage{"config", [7]uint32{0: 1 << 3, 5: 0xf0000000, 6: 0x340}, false}
	foreverOn   = stage{"count", [7]uint32{0: 0x7f << 20}, false}
	onceOn      = stage{"count", [7]uint32{0: 1 << 20}, false}
	lockBits    = stage{"lock", [7]uint32{0: 1<<0 | 1<<15}, false}
	freezeBits  = stage{"freeze", [7]uint32{0: 1 << 1}, false}
	closeBits   = stage{"uart", [7]uint32{0: 1 << 27}, false}
)

// products are made anew for each test: jobs are read from files.
func products(t *testing.T) map[string]product {
	t.Helper()
	inMemory(t)
	small := func(pairs ...string) *job.Job {
		t.Helper()
		job, err := job.Load(flowtest.EditCopy(t, filepath.Dir(flowtest.SmallJob), pairs...))
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
	const mode = `mode = "release"`
	locked := small(mode, mode+"\nfuses = { \"WR_DIS.RD_DIS\" = 1, \"WR_DIS.DISABLE_DL_CACHE\" = 1, \"WR_DIS.WR_DIS\" = 1, UART_DOWNLOAD_DIS = 1 }")
	list := []product{
		{name: "release", job: small(), stages: []stage{protect, releaseBits, foreverOn}},
		{name: "release, coding 3/4", job: small(), chip: sim.Options{Coding: 1}, stages: []stage{protect, releaseBits, foreverOn}},
		{name: "release and lock", job: locked,
			stages: []stage{protect, releaseBits, foreverOn, lockBits, freezeBits, closeBits}},
		{name: "release and lock, coding 3/4", job: locked, chip: sim.Options{Coding: 1},
			stages: []stage{protect, releaseBits, foreverOn, lockBits, freezeBits, closeBits}},
		{name: "development", job: small(mode, `mode = "development"`), chip: sim.Options{Revision: 1}, stages: []stage{protect, developBits, onceOn}},
		{name: "release, random key", job: small(`policy = "derived"`, `policy = "random"`, `label = "station-master"`, `label = "kek"`),
			stages: []stage{protect, releaseBits, foreverOn}},
	}
	list = append(list,
		product{name: "secure boot 2, release", job: bootJob(t, 2), chip: sim.Options{FlashSize: 4 << 20},
			stages: []stage{protect, bootKey, digestBits, releaseBits, foreverOn, signedOn, finalBits, closeBits}},
		product{name: "secure boot 1, release", job: bootJob(t, 1), chip: sim.Options{Revision: 1},
			stages: []stage{protect, bootKey, bootBits, releaseBits, foreverOn, digestOn}},
		product{name: "secure boot 1, coding 3/4", job: bootJob(t, 1), chip: sim.Options{Revision: 1, Coding: 1},
			stages: []stage{protect, bootKey, bootBits, releaseBits, foreverOn, digestOn}},
		product{name: "secure boot 2, development", job: bootJob(t, 2, `mode = "release"`, `mode = "development"`), chip: sim.Options{FlashSize: 4 << 20},
			stages: []stage{protect, bootKey, digestBits, developBits, onceOn, signedOn, finalBits}},
	)
	list = append(list,
		product{name: "secure boot 2 alone, release", job: aloneJob(t, 2), chip: sim.Options{FlashSize: 4 << 20},
			stages: []stage{bootKey, digestBits, aloneBits, signedOn, finalBits, closeBits}},
		product{name: "secure boot 1 alone, release", job: aloneJob(t, 1), chip: sim.Options{Revision: 1},
			stages: []stage{bootKey, bootBits, aloneBits, digestOn}},
		product{name: "secure boot 2 alone, development", job: aloneInDevelopment(t), chip: sim.Options{FlashSize: 4 << 20},
			stages: []stage{bootKey, digestBits, aloneBits, signedOn, finalBits}},
	)
	known := func(version int) *job.Job {
		t.Helper()
		j, err := job.Load(flowtest.IdentityJobFile(t, version, "esp_secure_cert", anyCA(t)))
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	list = append(list,
		product{name: "secure boot 2 and identity", job: known(2), chip: sim.Options{FlashSize: 4 << 20, Identity: "identity: {id}"},
			stages: []stage{protect, bootKey, digestBits, releaseBits, foreverOn, signedOn, finalBits, closeBits}},
		product{name: "secure boot 1 and identity", job: known(1), chip: sim.Options{Revision: 1, Identity: "identity: {id}"},
			stages: []stage{protect, bootKey, bootBits, releaseBits, foreverOn, digestOn}},
	)
	all := map[string]product{}
	for _, p := range list {
		all[p.name] = p
	}
	return all
}

// coded is a key as BLOCK1 stores it, worked out here from the chip's manual.
func coded(key []byte) (words [8]uint32) {
	raw := slices.Clone(key)
	slices.Reverse(raw)
	if len(raw) == 24 {
		var all []byte
		for part := range slices.Chunk(raw, 6) {
			var xor, sum byte
			for i, b := range part {
				xor ^= b
				sum += byte((i + 1) * bits.OnesCount8(b))
			}
			all = append(append(all, part...), xor, sum)
		}
		raw = all
	}
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return words
}
