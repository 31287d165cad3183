package station

import (
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
		{"", "", LabelFile{"", "zpl"}},
		{"[label]\nprinter = \"/dev/usb/lp0\"\n", "", LabelFile{"/dev/usb/lp0", "zpl"}},
		{"[label]\nprinter = \"labels\"\nformat = \"png\"\n", "", LabelFile{"/line/labels", "png"}},
		{"[label]\nformat = \"png\"\n", "station.toml:5: label.printer: is missing", LabelFile{}},
		{"[label]\nprinter = \"labels\"\nformat = \"pdf\"\n", `label.format: "pdf" is not known; write one of zpl, png`, LabelFile{}},
		{"[label]\nprinter = \"labels\"\ncopies = 2\n", "copies", LabelFile{}},
	} {
		s, err := ParseFile("/line/station.toml", []byte(bareStation+c.text))
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: got %v, want %q", c.text, err, c.fault)
			}
		case err != nil || s.Label != c.want || s.Ledger != "/line/ledger.db":
			t.Errorf("%q: got %+v, %v, want %+v", c.text, s, err, c.want)
		}
	}
}
