package chip

import "testing"

// Known answers: CRC bytes of real chips (fixtures of the eFuse summary).
func TestMACCRC(t *testing.T) {
	for mac, want := range map[string]byte{
		"24:0A:C4:01:02:03": 0x38,
		"30:AE:A4:11:22:33": 0x36,
		"FF:FF:FF:FF:FF:FF": 0x12,
		"94:B9:7E:5A:6E:58": 0xe2,
	} {
		m, err := ParseMAC(mac)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.CRC8(); got != want {
			t.Errorf("%s: got %#02x, want %#02x", mac, got, want)
		}
	}
}

func TestParseMAC(t *testing.T) {
	m, err := ParseMAC("24-0a-c4-01-02-03")
	if err != nil || m.String() != "24:0a:c4:01:02:03" {
		t.Errorf("got %v, %v", m, err)
	}
	for _, bad := range []string{"", "24:0a", "24:0a:c4:01:02:0g", "24:0a:c4:01:02:03:04"} {
		if _, err := ParseMAC(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	text, _ := m.MarshalText()
	var back MAC
	if err := back.UnmarshalText(text); err != nil || back != m {
		t.Errorf("got %v, %v", back, err)
	}
}
