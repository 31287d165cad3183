package flow

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestPick(t *testing.T) {
	ch340 := func(baud int) bool { return baud <= 2000000 && baud != 921600 }
	for _, c := range []struct {
		rates AdapterRates
		limit int
		not   []int
		want  int
		why   string
	}{
		{AdapterRates{}, 921600, nil, 921600, ""},
		{AdapterRates{}, 750000, nil, 750000, ""}, // a job may ask for any rate
		{AdapterRates{}, 115200, nil, 115200, ""},
		{AdapterRates{}, 57600, nil, 57600, ""},
		{AdapterRates{}, 921600, []int{921600}, 460800, ""},
		{AdapterRates{}, 750000, []int{750000, 460800, 230400}, 115200, ""},
		{AdapterRates{Works: ch340}, 921600, nil, 460800, "cannot do 921600"},
		{AdapterRates{Works: ch340}, 1000000, nil, 1000000, ""},
		{AdapterRates{Works: ch340}, 3000000, nil, 2000000, "cannot do 3000000"},
		{AdapterRates{Barred: map[int]*Bar{921600: {Times: 1, Wait: 3}}}, 921600, nil, 460800, "after 3 devices"},
		{AdapterRates{Barred: map[int]*Bar{921600: {Times: 1}}}, 921600, nil, 921600, ""},
		{AdapterRates{Barred: map[int]*Bar{921600: {Times: 1, Wait: 3}, 460800: {Wait: 9}}}, 1500000, nil, 1500000, ""},
	} {
		got, why := c.rates.Pick(c.limit, c.not...)
		if got != c.want || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%d, not %v: got %d because %q, want %d because %q", c.limit, c.not, got, why, c.want, c.why)
		}
	}
}

// run puts devices of 200 blocks through, of which the adapter spoils the given
// share (per mille) at each rate, and returns the rates used.
func run(l *AdapterRates, devices int, spoilt func(baud int) int) (used []int) {
	for range devices {
		baud, _ := l.Pick(921600)
		used = append(used, baud)
		l.Done(baud, 200, 200*spoilt(baud)/1000)
	}
	return used
}

func at921600(perMille int) func(int) int {
	return func(baud int) int {
		if baud == 921600 {
			return perMille
		}
		return 0
	}
}

// One to three blocks of a hundred go wrong at the job's rate: it is left after
// the first device, tried again after twenty, and then ever more seldom.
func TestLadderStepsDownAndTriesAgain(t *testing.T) {
	for _, perMille := range []int{15, 30, 1000} {
		l := &AdapterRates{}
		fast := 0
		for n, baud := range run(l, 200, at921600(perMille)) {
			if baud == 921600 {
				fast++
			} else if baud != 460800 {
				t.Fatalf("device %d at %d baud", n, baud)
			}
		}
		if fast != 4 { // devices 0, 21, 62 and 143
			t.Errorf("%d per mille: %d devices at 921600 baud, want 4", perMille, fast)
		}
		run(l, 5000, at921600(perMille))
		fast = 0
		for _, baud := range run(l, 10*(maxWait+1), at921600(perMille)) {
			if baud == 921600 {
				fast++
			}
		}
		if fast != 10 {
			t.Errorf("%d per mille: %d of %d devices at 921600 baud, want 10", perMille, fast, 10*(maxWait+1))
		}
	}
}

// An adapter that is well again is used at full speed, and after some devices
// nothing is left of what was.
func TestLadderRecovers(t *testing.T) {
	l := &AdapterRates{}
	run(l, 30, at921600(1000))
	used := run(l, 60, at921600(0))
	if used[0] != 460800 || used[len(used)-1] != 921600 || len(l.Barred) != 0 {
		t.Errorf("used %v, %+v", used, l.Barred)
	}
}

// A block now and then is no reason to go slower, nor to go faster again.
func TestLadderToleratesARareError(t *testing.T) {
	l := &AdapterRates{}
	for _, baud := range run(l, 100, at921600(10)) {
		if baud != 921600 {
			t.Fatalf("at %d baud", baud)
		}
	}
	l.Failed(921600)
	run(l, 100, func(int) int { return 5 })
	if l.Barred[921600].Wait != firstWait {
		t.Errorf("got %+v", l.Barred[921600])
	}
	l.Done(460800, 0, 0) // nothing was written: it tells nothing
	if l.Barred[921600].Wait != firstWait {
		t.Errorf("got %+v", l.Barred[921600])
	}
}

func TestNothingIsBelowTheLastRung(t *testing.T) {
	l := &AdapterRates{}
	for _, baud := range usualRates {
		l.Failed(baud)
	}
	l.Failed(0)
	if baud, _ := l.Pick(2000000); baud != BaseBaud || len(l.Barred) != len(usualRates)-1 {
		t.Errorf("got %d, %v", baud, l.Barred)
	}
}

func TestLadderAsJSON(t *testing.T) {
	l := &AdapterRates{Works: func(int) bool { return true }}
	run(l, 5, at921600(100))
	b, err := json.Marshal(l)
	if err != nil || string(b) != `{"barred":{"921600":{"times":1,"wait":16}}}` {
		t.Errorf("got %s, %v", b, err)
	}
	var back AdapterRates
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back.Barred, l.Barred) {
		t.Errorf("got %+v, %v", back, err)
	}
}
