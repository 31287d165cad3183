package station

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
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
)

func codeOf(out flow.Outcome) flow.Code {
	if out.Failure == nil {
		return flow.Code(out.Verdict)
	}
	return out.Failure.Code
}

func stationOf(t *testing.T, pairs ...string) *station {
	return newStation(t, editCopy(t, small, append(pairs, `timeout = "10s"`, `timeout = "1s"`)...))
}

// soon is a provocation that takes no time.
func soon(provoke provocation) provocation {
	return func(t *testing.T) (code flow.Code) {
		timeless(func(t *testing.T) { code = provoke(t) })(t)
		return code
	}
}

func onVisit(o sim.Options, pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code { return codeOf(stationOf(t, pairs...).visit(newChip(t, o))) })
}

// onIdentity is a visit of a chip whose job has an identity.
func onIdentity(change func(*sim.Options), pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		s, _ := identityStation(t, 0, "esp_secure_cert", pairs...)
		o := simFor(s.job, VirtualMAC(0))
		change(&o)
		return codeOf(s.visit(newChip(t, o)))
	})
}

// onSigned is a visit of a chip whose job has secure boot, after what was done to
// the images that the job has checked.
func onSigned(version int, o sim.Options, change func(*testing.T, *job.Job)) provocation {
	return soon(func(t *testing.T) flow.Code {
		s := newStation(t, bootJobFile(t, version, `timeout = "10s"`, `timeout = "1s"`))
		if change != nil {
			change(t, s.job)
		}
		return codeOf(s.visit(newChip(t, o)))
	})
}

// unsigned puts an image without a signature in the place of a signed one.
func unsigned(name, file string) func(*testing.T, *job.Job) {
	return func(t *testing.T, j *job.Job) {
		at := slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.Name == name })
		j.Regions[at].Hold(bootFile(t, file))
	}
}

func onChip(spoil func(*sim.Chip)) provocation {
	return soon(func(t *testing.T) flow.Code {
		chip := newChip(t, sim.Options{})
		spoil(chip)
		return codeOf(stationOf(t).visit(chip))
	})
}

// onWire is a visit over a wire that something has been done to.
func onWire(wrap func(*sim.Port) esploader.Port) provocation {
	return soon(func(t *testing.T) flow.Code {
		wire, err := newChip(t, sim.Options{}).Open()
		if err != nil {
			t.Fatal(err)
		}
		return codeOf(stationOf(t).runner().Device(t.Context(), "1", "sim://1", esploader.New(wrap(wire), esploader.Options{})))
	})
}

// twice puts a chip into the slot until it is in its second visit, or its third
// where the second still ends like the first.
func twice(o sim.Options, pairs ...string) provocation {
	return soon(func(t *testing.T) flow.Code {
		s, chip := stationOf(t, pairs...), newChip(t, o)
		first := codeOf(s.visit(chip))
		if second := codeOf(s.visit(chip)); second != first {
			return second
		}
		return codeOf(s.visit(chip))
	})
}

// onKnown brings a chip whose MAC has its key in the ledger; burning tells that
// the key's burn was begun.
func onKnown(burning bool, o sim.Options) provocation {
	return onKnownKey("", burning, o)
}

func onKnownKey(check string, burning bool, o sim.Options) provocation {
	return func(t *testing.T) flow.Code {
		s := stationOf(t)
		o.MAC = VirtualMAC(0)
		key, err := s.token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: VirtualMAC(0), Size: 32, Policy: hsm.Derived, Label: master})
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
			list[i].MAC, list[i].Simulated = VirtualMAC(0), true
			list[i].Job, list[i].Revision, list[i].JobHash = s.job.Name, s.job.Revision, s.job.Digest()
		}
		if _, err := s.ledger.AppendAll(list); err != nil {
			t.Fatal(err)
		}
		return codeOf(s.visit(newChip(t, o)))
	}
}

// underOther brings a chip again, to the line of another product.
func underOther(o sim.Options) provocation {
	return func(t *testing.T) flow.Code {
		s, chip := stationOf(t), newChip(t, o)
		s.visit(chip)
		s.under(t, `name = "station-example"`, `name = "other"`)
		return codeOf(s.visit(chip))
	}
}

func strangerComes(t *testing.T) flow.Code {
	s := stationOf(t)
	s.visit(newChip(t, sim.Options{MAC: VirtualMAC(0)}))
	return codeOf(s.visit(newChip(t, sim.Options{MAC: VirtualMAC(0)})))
}

// sameMAC brings the second chip while the first is in its burns.
func sameMAC(t *testing.T) flow.Code {
	s := stationOf(t)
	r := s.runner()
	open := func() flow.Loader {
		wire, err := newChip(t, sim.Options{MAC: VirtualMAC(0)}).Open()
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
			once.Do(func() { code = codeOf(r.Device(t.Context(), "2", "sim://2", second)) })
		}
	}
	r.Device(t.Context(), "1", "sim://1", first)
	return code
}

func stopped(t *testing.T) flow.Code {
	s := stationOf(t)
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := s.runner()
	r.Emit = func(e flow.Event) {
		if e.Event == flow.DeviceSeen {
			stop()
		}
	}
	return codeOf(r.Device(ctx, "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

// realOnSoftware brings a virtual device, which passes, and then a real one.
func realOnSoftware(t *testing.T) flow.Code {
	s := stationOf(t)
	visit := func(o sim.Options) flow.Code {
		wire, err := newChip(t, o).Open()
		if err != nil {
			t.Fatal(err)
		}
		r := s.runner()
		r.VirtualOnly = (&File{Path: "station.toml"}).VirtualOnly(s.token.Info())
		return codeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
	}
	if code := visit(sim.Options{MAC: VirtualMAC(0)}); code != flow.Code(record.Pass) {
		return code
	}
	return visit(sim.Options{MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Real: true})
}

func badRate(t *testing.T) flow.Code {
	out, _, _, _ := smallStation(t).visitBy(t, 1, nil, badAdapter{good: 460800, broken: true})
	return codeOf(out)
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
				if got := codeOf(tr.visit()); got == want {
					code = got
				}
				tr.finish()
			}
		})
		return code
	}
}

func onStrangeLoader(t *testing.T) flow.Code {
	wire, err := newChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return codeOf(stationOf(t).runner().Device(t.Context(), "1", "sim://1", strange{esploader.New(wire, esploader.Options{})}))
}

// strange is a loader that fails in a way that nobody has thought of.
type strange struct{ flow.Loader }

func (strange) SetFlashSize(context.Context, uint32) error {
	return errors.New("the chip is on strike")
}
