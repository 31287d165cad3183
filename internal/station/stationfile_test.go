package station

import (
	"reflect"
	"strings"
	"testing"
)

const bareStation = `id = "bench-1"
ledger = "ledger.db"
[hsm]
uri = "pkcs11:token=line-1"
`

func TestStationLabels(t *testing.T) {
	for _, c := range []struct {
		text, fault string
		want        LabelFile
	}{
		{"", "", LabelFile{Format: "zpl"}},
		{"[label]\nprinter = \"/dev/usb/lp0\"\n", "", LabelFile{Printer: "/dev/usb/lp0", Format: "zpl"}},
		{"[label]\nprinter = \"labels\"\nformat = \"png\"\n", "", LabelFile{Printer: "/line/labels", Format: "png"}},
		{"[label]\nformat = \"png\"\n", "station.toml:5: label.printer: is missing", LabelFile{}},
		{"[label]\nprinter = \"labels\"\nformat = \"pdf\"\n", `label.format: "pdf" is not known; write one of zpl, png`, LabelFile{}},
		{"[label]\nprinter = \"labels\"\ncopies = 2\n", "copies", LabelFile{}},
		{"[label]\nsize = \"38.1x19\"\ndots = 300\ncode = \"-\"\nlines = [\"{serial}\", \"{job} {revision}\"]\n", "",
			LabelFile{Format: "zpl", Size: LabelSize{38.1, 19}, Dots: 300, Code: "-", Lines: []string{"{serial}", "{job} {revision}"}}},
		{"[label]\nsize = \"50 by 25\"\n", "station.toml:6: label.size: \"50 by 25\" is no size of a label", LabelFile{}},
		{"[label]\nsize = \"50x25x1\"\n", "no size of a label", LabelFile{}},
		{"[label]\ndots = 12\n", "label.dots: 12 dots an inch", LabelFile{}},
		{"[label]\nlines = [\"{mac}\", \"{colour}\"]\n", "label.lines: {colour} is not known; write {mac}, {MAC}", LabelFile{}},
	} {
		s, err := ParseFile("/line/station.toml", []byte(bareStation+c.text))
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: got %v, want %q", c.text, err, c.fault)
			}
		case err != nil || !reflect.DeepEqual(s.Label, c.want) || s.Ledger != "/line/ledger.db":
			t.Errorf("%q: got %+v, %v, want %+v", c.text, s, err, c.want)
		}
	}
}

// The lists of people are judged with the file: who they are, and what two are
// wanted for.
func TestStationPeople(t *testing.T) {
	for text, fault := range map[string]string{
		"[people]\noperators = []\n":                                           "station.toml:6: people.operators: is empty",
		"[people]\nofficers = [\"eve\", \" EVE\"]\n":                           "people.officers: item 2",
		"[people]\nofficers = [\"eve\", \"\u2800\"]\n":                         "is blank",
		"[people]\nofficers = [\"eve\", \"eve\\u202e\"]\n":                     "holds U+202E",
		"[people]\ntwo_people = [\"everything\"]\n":                            "people.two_people: item 1, \"everything\", is not known; write approval, release or recover",
		"[people]\nofficers = [\"eve\"]\ntwo_people = [\"recover\"]\n":         `"recover" wants two officers, and there is one, eve`,
		"[people]\nworkers = [\"eve\"]\n":                                      "workers",
		"[people]\nofficers = [\"eve\", \"dana\"]\ntwo_people = [\"recover\"]": "",
	} {
		s, err := ParseFile("/line/station.toml", []byte(bareStation+text))
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%q: got %v, want %q", text, err, fault)
		}
		if err != nil {
			continue
		}
		for _, c := range []struct{ what, first, second, fault string }{
			{Recover, "eve", "", "wants two people"}, {Recover, "eve", " Eve", "cannot be both"}, {Recover, "eve", "dana", ""},
			{Release, "eve", "", ""}, {Release, "eve", "EVE", "cannot be both"}, {Release, "eve", "dana", ""},
		} {
			err := s.Second(c.what, c.first, c.second)
			if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("%+v: got %v", c, err)
			}
		}
		if s.May(Officer, "dana") != nil || s.May(Officer, "bob") == nil || s.May(Operator, "bob") != nil || s.Knows("bob") == nil || s.Knows("DANA ") != nil {
			t.Errorf("%+v: the roles are not as they stand there", s.People)
		}
		if !s.WantsTwo(Recover) || s.WantsTwo(Approval) {
			t.Error("what wants two people is not as it stands there")
		}
	}
}
