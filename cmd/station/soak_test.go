package main

import (
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"station/internal/job"
	"station/internal/racetest"
)

// A line of several jobs, revisions and images works in batches that people open,
// amend and close meanwhile; devices come new, come back, come under another job,
// come twice, are pulled, break their wires, fail alike. Every verdict, record,
// account and exit code is what the model says: see soak_model_test.go.
//
// SOAK_SEED and SOAK_DEVICES make it another or a longer one: make soak.
func TestSoak(t *testing.T) {
	few := 30
	if racetest.Enabled {
		few = 12
	}
	seed, devices := racetest.Setting(t, "SOAK_SEED", 1), racetest.Setting(t, "SOAK_DEVICES", few)
	s := newSoak(t, uint64(seed))
	for s.made < devices && !t.Failed() {
		s.shift()
	}
	for what, n := range map[string]int{"visits": s.visits, "commands": s.commands, "commands refused": s.refused, "devices pulled": s.pulled,
		"lines killed": s.killed, "serial numbers scanned": s.scanned} {
		if n == 0 && (devices >= 500 || what == "visits" || what == "commands") {
			t.Errorf("no %s: nothing is shown", what)
		}
	}
	if s.model.late > 2+s.model.hurried/4 {
		t.Errorf("%d of %d devices gave no answer in time, and nothing was wrong with them", s.model.late, s.model.hurried)
	}
	t.Logf("seed %d: %d devices, %d visits in %d shifts, %d commands beside them (%d refused), %d pulled, %d lines killed, %d serial numbers, %d of %d too slow; ends %v, exit codes %v",
		seed, s.made, s.visits, s.shifts, s.commands, s.refused, s.pulled, s.killed, s.scanned, s.model.late, s.model.hurried, s.ends, s.exits)
}

// dice is a source of random numbers for several goroutines.
type dice struct {
	mu  sync.Mutex
	src rand.Source
}

func (d *dice) Uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.src.Uint64()
}

// soak is the place, and how far it has come.
type soak struct {
	*workplace
	*rand.Rand
	model    *model
	goods    []*goods
	pieces   []*piece // that may come back
	batches  []string
	made     int
	read     uint64 // entries that the model has
	runs     map[string]*visit
	queue    map[string][]*visit // of each slot, whose entries have not been seen
	acts     []*act
	labelled map[string]bool

	shifts, visits, commands, refused, pulled, killed, scanned int
	ends, exits                                                map[string]int
}

// goods are what a job makes.
type goods struct {
	path, name, digest, plan, kind, escrow string
	serial                                 bool
}

func newSoak(t *testing.T, seed uint64) *soak {
	if _, err := common(); err != nil { // other tests use it too: not in the folder that goes away
		t.Fatal(err)
	}
	if dir, err := os.MkdirTemp("/dev/shm", "station"); err == nil { // each entry is synced, and a disk is not what is asked here
		t.Cleanup(func() { os.RemoveAll(dir) })
		t.Setenv("TMPDIR", dir)
	}
	s := &soak{workplace: newWorkplace(t), Rand: rand.New(&dice{src: rand.NewPCG(seed, 10)}), runs: map[string]*visit{}, queue: map[string][]*visit{},
		labelled: map[string]bool{}, ends: map[string]int{}, exits: map[string]int{}}
	s.model = &model{limit: 2, things: map[string]*thing{}, batches: map[string]*lot{}, keys: map[string]string{}, serials: map[string]string{},
		alike: map[string]map[string]string{}, burning: map[*visit]bool{}, passed: map[string]int{}}
	s.run(0, "hsm", "init", "--policy", "random", "--label", "kek", "--operator", "eve")
	s.append("station.toml", "[line]\nequal_failures = 2\n")
	for _, edits := range [][]string{
		{},
		{`revision = "1"`, `revision = "2"`, `timeout = "10s"`, `timeout = "11s"`},
		{`name = "station-example"`, `name = "other"`},
		{`revision = "1"`, `revision = "3"`, `policy = "derived"`, "policy = \"derived\"\nescrow = \"officer.pem\""},
		{`name = "station-example"`, `name = "random"`, `policy = "derived"`, `policy = "random"`, `label = "station-master"`, `label = "kek"`},
		{`name = "station-example"`, `name = "numbered"`, `[key]`, "[serial]\npattern = \"S[0-9]{6}\"\n\n[key]"},
	} {
		s.goods = append(s.goods, s.product(edits))
	}
	return s
}

func (s *soak) append(name, text string) {
	path := filepath.Join(s.dir, name)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(b, text...), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// product is the small job, edited, and approved at this station.
func (s *soak) product(edits []string) *goods {
	dir := filepath.Join(s.dir, fmt.Sprint("job", len(s.goods)))
	if err := os.CopyFS(dir, os.DirFS("../../fixtures/small")); err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(dir, "job.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.NewReplacer(edits...).Replace(string(b))
	g := &goods{path: path, kind: "derived:station-master"}
	g.serial = strings.Contains(text, "[serial]")
	if strings.Contains(text, "escrow") {
		g.escrow = "officer.pem"
		writeOfficer(s.t, filepath.Join(dir, g.escrow))
	}
	if strings.Contains(text, `"kek"`) {
		g.kind = "random:kek"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	j, err := job.Load(path)
	if err != nil {
		s.t.Fatal(err)
	}
	g.name, g.digest, g.plan = j.Name, j.Digest(), j.PlanDigest()
	return g
}

// writeOfficer makes the officer's key for escrows.
func writeOfficer(t *testing.T, path string) {
	t.Helper()
	key, err := rsa.GenerateKey(crand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
