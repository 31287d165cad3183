package flow_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/firmware"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// soon is a provocation that takes no time.
func soon(provoke provocation) provocation {
	return func(t *testing.T) (code flow.Code) {
		timeless(func(t *testing.T) { code = provoke(t) })(t)
		return code
	}
}

func onVisit(o sim.Options, pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		return flowtest.CodeOf(newSmallBench(t, pairs...).Visit(flowtest.NewChip(t, o)))
	})
}

// onIdentity is a visit of a chip whose job has an identity.
func onIdentity(change func(*sim.Options), pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		s, _ := newIdentityBench(t, 0, "esp_secure_cert", pairs...)
		o := simFor(s.Job, station.VirtualMAC(0))
		change(&o)
		return flowtest.CodeOf(s.Visit(flowtest.NewChip(t, o)))
	})
}

// onSigned is a visit of a chip whose job has secure boot, after what was done to
// the images that the job has checked.
func onSigned(version int, o sim.Options, change func(*testing.T, *job.Job)) provocation {
	return soon(func(t *testing.T) flow.Code {
		s := newBench(t, flowtest.BootJobFile(t, version, `timeout = "10s"`, `timeout = "1s"`))
		if change != nil {
			change(t, s.Job)
		}
		return flowtest.CodeOf(s.Visit(flowtest.NewChip(t, o)))
	})
}

// unsigned puts an image without a signature in the place of a signed one.
func unsigned(name, file string) func(*testing.T, *job.Job) {
	return func(t *testing.T, j *job.Job) {
		at := slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.Name == name })
		j.Regions[at].Hold(flowtest.BootFile(t, file))
	}
}

func onChip(spoil func(*sim.Chip)) provocation {
	return soon(func(t *testing.T) flow.Code {
		chip := flowtest.NewChip(t, sim.Options{})
		spoil(chip)
		return flowtest.CodeOf(newSmallBench(t).Visit(chip))
	})
}

// onWire is a visit over a wire that something has been done to.
func onWire(wrap func(*sim.Port) esploader.Port) provocation {
	return soon(func(t *testing.T) flow.Code {
		wire, err := flowtest.NewChip(t, sim.Options{}).Open()
		if err != nil {
			t.Fatal(err)
		}
		return flowtest.CodeOf(newSmallBench(t).Runner().Device(t.Context(), "1", "sim://1", esploader.New(wrap(wire), esploader.Options{})))
	})
}

// twice puts a chip into the slot until it is in its second visit, or its third
// where the second still ends like the first.
func twice(o sim.Options, pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		s, chip := newSmallBench(t, pairs...), flowtest.NewChip(t, o)
		first := flowtest.CodeOf(s.Visit(chip))
		if second := flowtest.CodeOf(s.Visit(chip)); second != first {
			return second
		}
		return flowtest.CodeOf(s.Visit(chip))
	})
}

// onKnown brings a chip whose MAC has its key in the ledger; burning tells that
// the key's burn was begun.
func onKnown(burning bool, o sim.Options) provocation {
	return onKnownKey("", burning, o)
}

func onKnownKey(check string, burning bool, o sim.Options) provocation {
	return func(t *testing.T) flow.Code {
		s := newSmallBench(t)
		o.MAC = station.VirtualMAC(0)
		key, err := s.Token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: station.VirtualMAC(0), Size: 32, Policy: hsm.Derived, Label: flowtest.Master})
		if err != nil {
			t.Fatal(err)
		}
		key.Secret.Destroy()
		id, _ := hsm.ParseKeyID(key.ID)
		if check != "" {
			id.Check = check
		}
		list := []record.Entry{{Kind: record.DeviceSeen}, {Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id.String(), Policy: "derived"}}}}
		if burning {
			list = append(list, record.Entry{Kind: record.BurnIntended, Stage: "key"})
		}
		for i := range list {
			list[i].MAC, list[i].Simulated = station.VirtualMAC(0), true
			list[i].Job, list[i].Revision, list[i].JobHash = s.Job.Name, s.Job.Revision, s.Job.Digest()
		}
		if _, err := s.Ledger.AppendAll(list); err != nil {
			t.Fatal(err)
		}
		return flowtest.CodeOf(s.Visit(flowtest.NewChip(t, o)))
	}
}

// underOther brings a chip again, to the line of another product.
func underOther(o sim.Options) provocation {
	return func(t *testing.T) flow.Code {
		s, chip := newSmallBench(t), flowtest.NewChip(t, o)
		s.Visit(chip)
		s.Under(t, `name = "station-example"`, `name = "other"`)
		return flowtest.CodeOf(s.Visit(chip))
	}
}

func strangerComes(t *testing.T) flow.Code {
	s := newSmallBench(t)
	s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)}))
	return flowtest.CodeOf(s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})))
}

// sameMAC brings the second chip while the first is in its burns.
func sameMAC(t *testing.T) flow.Code {
	s := newSmallBench(t)
	r := s.Runner()
	open := func() flow.Loader {
		wire, err := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)}).Open()
		if err != nil {
			t.Fatal(err)
		}
		return esploader.New(wire, esploader.Options{})
	}
	first, second := open(), open()
	var code flow.Code
	var once sync.Once
	emit := r.Emit
	r.Emit = func(e flow.Event) {
		emit(e)
		if e.Slot == "1" && e.Event == flow.StepStarted && e.Step == "burn-key" {
			once.Do(func() { code = flowtest.CodeOf(r.Device(t.Context(), "2", "sim://2", second)) })
		}
	}
	r.Device(t.Context(), "1", "sim://1", first)
	return code
}

func stopped(t *testing.T) flow.Code {
	s := newSmallBench(t)
	wire, err := flowtest.NewChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := s.Runner()
	r.Emit = func(e flow.Event) {
		if e.Event == flow.DeviceSeen {
			stop()
		}
	}
	return flowtest.CodeOf(r.Device(ctx, "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

// realOnSoftware brings a virtual device, which passes, and then a real one.
func realOnSoftware(t *testing.T) flow.Code {
	s := newSmallBench(t)
	visit := func(o sim.Options) flow.Code {
		wire, err := flowtest.NewChip(t, o).Open()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Runner()
		r.VirtualOnly = (&station.File{Path: "station.toml"}).VirtualOnly(s.Token.Info())
		return flowtest.CodeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
	}
	if code := visit(sim.Options{MAC: station.VirtualMAC(0)}); code != flow.Code(record.Pass) {
		return code
	}
	return visit(sim.Options{MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Real: true})
}

func badRate(t *testing.T) flow.Code {
	out, _, _, _ := smallStation(t).visitBy(t, 1, nil, badAdapter{good: 460800, broken: true})
	return flowtest.CodeOf(out)
}

// disturbedBurn disturbs one register write after the other until one ends so.
func disturbedBurn(want flow.Code) provocation {
	return func(t *testing.T) (code flow.Code) {
		p := products(t)["release and lock"]
		inLab(t, func(l *lab) {
			ref, err := l.undisturbed(p)
			if err != nil {
				t.Fatal(err)
			}
			for n, c := range ref.sent {
				if c.op != writeReg || code == want {
					continue
				}
				tr := l.trial(p, sim.Fault{Kind: sim.ChangeByte, At: n + 1, Times: -1, Byte: 61, XOR: 0x10})
				if got := flowtest.CodeOf(tr.visit()); got == want {
					code = got
				}
				tr.finish()
			}
		})
		return code
	}
}

func onStrangeLoader(t *testing.T) flow.Code {
	wire, err := flowtest.NewChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return flowtest.CodeOf(newSmallBench(t).Runner().Device(t.Context(), "1", "sim://1", strange{esploader.New(wire, esploader.Options{})}))
}

// strange is a loader that fails in a way that nobody has thought of.
type strange struct{ flow.Loader }

func (strange) SetFlashSize(context.Context, uint32) error {
	return errors.New("the chip is on strike")
}
