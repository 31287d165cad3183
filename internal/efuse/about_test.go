package efuse

import "testing"

func TestAboutKnowsEveryChangeOfAPlan(t *testing.T) {
	plan, err := New(Options{Mode: Release, KeyPolicy: "derived", Fuses: map[string]uint32{"UART_DOWNLOAD_DIS": 1, "WR_DIS.RD_DIS": 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan {
		for _, c := range s.Changes(Image{}) {
			if About(c.Field) == "" {
				t.Errorf("%q has no words", c.Field)
			}
		}
	}
	if got := About("WR_DIS bit 7 (BLOCK1)"); got != "BLOCK1 can never be written again" {
		t.Errorf("got %q", got)
	}
	if About("NOTHING") != "" {
		t.Error("an unknown field has words")
	}
}
