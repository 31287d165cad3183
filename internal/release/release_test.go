package release

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/record"
)

var sha = "sha256:" + strings.Repeat("0a", 32)

func lamp(id int64, version string) *Release {
	return &Release{Format: Format, ID: id, Product: "lamp", Name: "lamp-fw", Version: version, App: sha, Jobs: []string{"sha256:job"},
		Forms: []Form{{Kind: KindApp, Size: 5, SHA256: sha}, {Kind: KindEncrypted, Size: 6, SHA256: sha}, {Kind: KindBundle, Size: 7, SHA256: sha, Check: "0102030405060708"}, {Kind: KindManifest, Size: 1024, SHA256: sha}}}
}

// What a device is offered: only what fits, never what is older.
func TestMisfit(t *testing.T) {
	device := Device{MAC: chip.MAC{1}, Product: "lamp", Job: "sha256:job", Version: "1.1.0"}
	for _, v := range []struct {
		name   string
		change func(*Release, *Device)
		want   string
	}{
		{"fits", func(*Release, *Device) {}, ""},
		{"fits any job", func(r *Release, d *Device) { r.Jobs, d.Job = nil, "sha256:new" }, ""},
		{"the same version again", func(r *Release, d *Device) { r.Version = "1.1.0" }, ""},
		{"versions that are none", func(r *Release, d *Device) { r.Version, d.Version = "blue", "green" }, ""},
		{"withdrawn", func(r *Release, _ *Device) { r.Withdrawn = "it burns" }, "withdrawn"},
		{"product", func(r *Release, _ *Device) { r.Product = "kettle" }, "another product"},
		{"job", func(_ *Release, d *Device) { d.Job = "sha256:other" }, "not made for the job"},
		{"older", func(r *Release, _ *Device) { r.Version = "1.0.9" }, "version 1.0.9 is older than 1.1.0"},
		{"older with a v", func(r *Release, _ *Device) { r.Version = "v1.0.9" }, "older"},
		{"commits after what it runs", func(r *Release, _ *Device) { r.Version = "1.1.0-3-gabc" }, ""},
		{"the tag before what it runs", func(r *Release, d *Device) { r.Version, d.Version = "1.1.0", "1.1.0-3-gabc" }, "older"},
		{"before a release", func(r *Release, _ *Device) { r.Version = "1.1.0-rc1" }, "older"},
		{"secure version", func(r *Release, d *Device) { r.SecureVersion, d.SecureVersion = 3, 4 }, "its secure version is 3, that of the device 4"},
		{"runs it", func(r *Release, d *Device) { d.Release = r.ID }, "runs it, or a newer one"},
		{"runs a newer one", func(r *Release, d *Device) { d.Release = r.ID + 1 }, "runs it, or a newer one"},
		{"tried", func(r *Release, d *Device) { d.Tried = []int64{r.ID} }, "has tried it"},
		{"sealed with it", func(_ *Release, d *Device) { d.App = sha }, "was sealed with it"},
		{"only a bundle", func(r *Release, _ *Device) { r.Forms = r.Forms[2:] }, "no form"},
	} {
		r, d := lamp(7, "1.2.0"), device
		v.change(r, &d)
		if got := r.Misfit(d); got != v.want && (v.want == "" || !strings.Contains(got, v.want)) {
			t.Errorf("%s: got %q, want %q", v.name, got, v.want)
		}
	}
}

// A bundle is for those that share its key, and for nobody else.
func TestForms(t *testing.T) {
	kinds := func(d Device) (list []Kind) {
		for _, f := range lamp(7, "1").For(d) {
			list = append(list, f.Kind)
		}
		return list
	}
	for check, want := range map[string]string{"": "encrypted app", "0102030405060708": "bundle encrypted app", "ffffffffffffffff": "encrypted app"} {
		var got []string
		for _, k := range kinds(Device{Check: check}) {
			got = append(got, string(k))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %q", check, got, want)
		}
	}
}

// What the line made of a device decides.
func TestOf(t *testing.T) {
	d := Of(record.Device{MAC: chip.MAC{1}, Job: "lamp", SealedHash: "sha256:job", Keys: record.FlashKey("shared:fleet:0102030405060708"),
		Images: []record.Image{{Name: "ota_1", Slot: "ota_1", Plain: "sha256:1", Version: "1"}, {Name: "app", Slot: "factory", Plain: "sha256:0", Version: "0.9"}, {Name: "boot", Plain: "sha256:b"}}})
	if d.Product != "lamp" || d.Job != "sha256:job" || d.Check != "0102030405060708" || d.App != "sha256:0" || d.Version != "0.9" {
		t.Errorf("got %+v", d)
	}
	if d := Of(record.Device{Keys: record.FlashKey("derived:m:0102030405060708")}); d.Check != "" {
		t.Errorf("a key of its own has the check value %q", d.Check)
	}
	for want, d := range map[string]record.Device{"": {Sealed: true}, "it was set aside": {Sealed: true, SetAside: true}, "it was never sealed": {},
		"it was revoked": {Sealed: true, Identity: &record.Identity{ID: "00", Revoked: time.Unix(1, 0)}}} {
		if got := Refusal(d, true); got != want {
			t.Errorf("%+v: got %q, want %q", d, got, want)
		}
	}
	if got := Refusal(record.Device{Sealed: true, Identity: &record.Identity{Revoked: time.Unix(1, 0)}}, true); got != "it was revoked" {
		t.Errorf("one without an identity: got %q", got)
	}
	if Refusal(record.Device{}, false) == "" {
		t.Error("one that nobody knows gets in")
	}
}

// The share of a rollout grows and loses nobody; each release has another order.
func TestReaches(t *testing.T) {
	const devices = 20_000
	mac := func(i int) chip.MAC { return chip.MAC{0x24, 0x0a, byte(i >> 16), byte(i >> 8), byte(i)} }
	in := make([]bool, devices)
	for _, percent := range []int{0, 5, 25, 50, 100} {
		r, n := Rollout{Product: "lamp", Release: 7, Percent: percent}, 0
		for i := range devices {
			reached := r.Reaches(mac(i))
			if in[i] && !reached {
				t.Fatalf("%s was among %d %% no more", mac(i), percent)
			}
			if in[i] = reached; reached {
				n++
			}
		}
		if share := float64(n) * 100 / devices; math.Abs(share-float64(percent)) > 1.5 || percent == 0 && n != 0 || percent == 100 && n != devices {
			t.Errorf("%d %% are %.1f %%", percent, share)
		}
	}
	both := 0
	for i := range devices {
		a, b := Rollout{Product: "lamp", Release: 7, Percent: 10}, Rollout{Product: "lamp", Release: 8, Percent: 10}
		if a.Reaches(mac(i)) && b.Reaches(mac(i)) {
			both++
		}
	}
	if both > devices/50 {
		t.Errorf("%d of %d devices are among the first twice", both, devices)
	}
	// The place is for ever: devices in the field were given theirs by it.
	if got := Bucket(chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, "lamp", 7); got != bucketOfOld {
		t.Errorf("the bucket is %d now, it was %d", got, bucketOfOld)
	}
}

const bucketOfOld = 5281

// A rollout stops by itself at the share of failures, and not before enough results.
func TestResult(t *testing.T) {
	for _, v := range []struct {
		name    string
		results string
		stops   int // at which result, 0 never
	}{
		{"all well", "++++++++++++++++++++", 0},
		{"too few", "---", 0},
		{"at the fourth", "----", 4},
		{"half", "+-+-+-+-", 0},
		{"more than half", "+-+--", 5},
		{"late", "++++-----", 9},
	} {
		r := Rollout{Product: "lamp", Release: 7, Percent: 5, State: Running, Samples: 4, Failures: 50}
		stopped := 0
		for i, c := range v.results {
			if r.Result(c == '+') {
				stopped = i + 1
				break
			}
		}
		if stopped != v.stops || (r.State == Stopped) != (v.stops > 0) {
			t.Errorf("%s: stopped at %d, want %d: %+v", v.name, stopped, v.stops, r)
		}
	}
	r := Rollout{State: Paused, Samples: 1}
	if r.Result(false) || r.State != Paused {
		t.Error("what a person paused became something else")
	}
}

func TestParseFaults(t *testing.T) {
	good := lamp(7, "1.2.0")
	if r, err := Parse(good.JSON()); err != nil || !r.Same(good) {
		t.Fatal(err)
	}
	for _, v := range []struct {
		old, now, want string
	}{
		{`"format": 1`, `"format": 2`, "format 2"},
		{`"id": 7`, `"id": 0`, "id 0: a release has a number from 1 to 999999999"},
		{`"id": 7`, `"id": 1000000000`, "id 1000000000: a release has a number from 1 to 999999999"},
		{`"id": 7`, `"id": -9223372036854775808`, "id -9223372036854775808: a release"},
		{`"lamp"`, `"../lamp"`, "want letters"},
		{`"lamp-fw"`, `""`, "it has no name"},
		{`"kind": "app"`, `"kind": "bundle"`, "there twice"},
		{`"kind": "app"`, `"kind": "exe"`, "not known"},
		{`"size": 5`, `"size": -5`, "-5 bytes"},
		{`sha256:0a`, `sha256:0G`, "digest"},
		{`"id": 7`, `"di": 7`, "unknown"},
	} {
		_, err := Parse(bytes.Replace(good.JSON(), []byte(v.old), []byte(v.now), 1))
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %q", v.now, err, v.want)
		}
	}
	for _, bad := range []string{"", "{}", `{"product":"lamp","release":1000000000,"percent":1,"state":"running","samples":1,"failures":1,"offered":0,"succeeded":0,"failed":0}`, `{"product":"lamp","release":7,"percent":101,"state":"running","samples":1,"failures":1,"offered":0,"succeeded":0,"failed":0}`} {
		if _, err := ParseRollout([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// FuzzParse: a document that is taken is written again as the same one.
func FuzzParse(f *testing.F) {
	f.Add(lamp(7, "1.2.0").JSON())
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(r.JSON())
		if err != nil || !again.Same(r) || !json.Valid(r.JSON()) {
			t.Errorf("%s: %v", r.JSON(), err)
		}
	})
}
