package flow_test

import (
	"encoding/hex"
	"path/filepath"
	"testing"

	"station/internal/chip"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/record"
	"station/internal/station"
)

// A device of every family has an identity by its own chip's name: it comes out of
// the token again, and a server knows the device by its token.
func TestIdentityOfEveryFamily(t *testing.T) {
	s, ca := newIdentityBench(t, 0, "esp_secure_cert")
	tokens := &station.DeviceTokens{Token: s.Token, Ledger: s.Ledger}
	for n, f := range chip.Families[1:] {
		t.Run(f.Name, func(t *testing.T) {
			var err error
			if s.Job, err = job.Load(filepath.Join(flowtest.Identified(t, filepath.Dir(flowtest.EditCopy(t, filepath.Dir(laterJob(f)))), "esp_secure_cert", ca.Raw), "job.toml")); err != nil {
				t.Fatal(err)
			}
			mac := station.VirtualMAC(n)
			flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, simFor(s.Job, mac))), record.Pass, "")
			d, _, err := s.Ledger.Device(mac)
			if want := hex.EncodeToString(flowtest.KeyOf(f, "station device id v1", mac, 32)[:16]); err != nil || d.Chip != f.Name || !d.Identity.Known() || d.Identity.ID != want {
				t.Fatalf("the ledger has %q, %+v, %v", d.Chip, d.Identity, err)
			}
			if faults, err := station.IdentityFaults(t.Context(), s.Token, d, nil); err != nil || len(faults) > 0 {
				t.Errorf("its identity has faults %q, %v", faults, err)
			}
			for token, want := range map[string]bool{
				hex.EncodeToString(flowtest.KeyOf(f, "station device token v1", mac, 32)):          true,
				hex.EncodeToString(flowtest.KeyOf(chip.ESP32, "station device token v1", mac, 32)): false,
			} {
				if is, err := tokens.Is(t.Context(), mac, token); is != want || err != nil {
					t.Errorf("a token is its own: %t, %v, want %t", is, err, want)
				}
			}
			d.Chip = "esp99"
			if _, err := station.IdentityFaults(t.Context(), s.Token, d, nil); err == nil {
				t.Error("a chip that nobody knows has an identity")
			}
		})
	}
}
