package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow/flowtest"
	"station/internal/sim"
	"station/internal/station"
)

// tableLine prints one line of a Markdown table.
func tableLine(cells ...any) {
	var b strings.Builder
	for _, c := range cells {
		fmt.Fprintf(&b, "| %v ", c)
	}
	fmt.Println(b.String() + "|")
}

func tableHead(cells ...any) {
	fmt.Println()
	tableLine(cells...)
	fmt.Println(strings.Repeat("|---", len(cells)) + "|")
}

// thousands groups digits: 968 228.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// asOthers is the way of today's tools.
var asOthers = esploader.Options{BlockSize: 0x400, AlwaysErase: true}

// blankAndFilled is what a device costs whose flash is blank, and one whose
// flash holds the images already.
func (s *bench) blankAndFilled(b *testing.B, mac int, o esploader.Options) (blank, filled cost) {
	visit := func(flash []byte) (cost, []byte) {
		chip, err := sim.New(sim.Options{MAC: chip.MAC(station.VirtualMAC(mac)), Flash: flash})
		if err != nil {
			b.Fatal(err)
		}
		defer chip.Close()
		s.OpenLedger()
		steps := s.visitOf(b, chip, o)
		return steps[len(steps)-1], chip.Flash()
	}
	blank, flash := visit(nil)
	filled, _ = visit(flash)
	return blank, filled
}

// BenchmarkWire prints what a device of the example job costs on the wire,
// beside the same with blocks of 1 KiB and everything erased and written always,
// as today's tools do through the mask ROM.
func BenchmarkWire(b *testing.B) {
	s := newBench(b, flowtest.ExampleJob)
	var ours, theirs [2]cost
	for n := 0; b.Loop(); n++ {
		ours[0], ours[1] = s.blankAndFilled(b, 2*n, esploader.Options{})
		theirs[0], theirs[1] = s.blankAndFilled(b, 2*n+1, asOthers)
	}
	stored := s.stored()
	of := func(f func(c cost) any) []any {
		return []any{f(ours[0]), f(theirs[0]), f(ours[1]), f(theirs[1])}
	}
	fmt.Printf("\n\nthe images are %s bytes in the flash\n", thousands(stored))
	tableHead("", "blank chip", "the same, 1 KiB blocks, erasing all", "images there", "the same, 1 KiB blocks, erasing all")
	tableLine(append([]any{"bytes to the chip"}, of(func(c cost) any { return thousands(c.BytesIn) })...)...)
	tableLine(append([]any{"the same without escapes, to the images"}, of(func(c cost) any {
		return fmt.Sprintf("%.3f", float64(c.BytesIn-c.escapes)/float64(stored))
	})...)...)
	tableLine(append([]any{"bytes from the chip"}, of(func(c cost) any { return thousands(c.BytesOut) })...)...)
	tableLine(append([]any{"round trips"}, of(func(c cost) any { return c.RoundTrips })...)...)
	tableLine(append([]any{"of them with blocks of flash"}, of(func(c cost) any { return c.FlashBlocks })...)...)
	tableLine(append([]any{"pages programmed"}, of(func(c cost) any { return c.PagesProgrammed })...)...)
	tableLine(append([]any{"sectors erased"}, of(func(c cost) any { return c.SectorsErased })...)...)
	for i, baud := range sim.ModelBauds {
		tableLine(append([]any{fmt.Sprintf("modelled seconds at %d", baud)}, of(func(c cost) any {
			return fmt.Sprintf("%.1f", c.Model()[i].Total)
		})...)...)
	}
	b.ReportMetric(float64(ours[0].BytesIn), "B-sent")
	b.ReportMetric(float64(ours[0].RoundTrips), "round-trips")
	b.ReportMetric(ours[0].Model()[2].Total, "s-at-921600")
}

// BenchmarkVisit prints where the time of a visit goes, with a chip that takes
// no time for the wire and its flash.
func BenchmarkVisit(b *testing.B) {
	s := newBench(b, flowtest.ExampleJob)
	calls := s.Token.Calls()
	sums := map[string]*cost{}
	var order []string
	n := 0
	for ; b.Loop(); n++ {
		chip, err := sim.New(sim.Options{MAC: chip.MAC(station.VirtualMAC(n))})
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range s.visitOf(b, chip, esploader.Options{}) {
			sum := sums[c.step]
			if sum == nil {
				sum = &cost{}
				sums[c.step], order = sum, append(order, c.step)
			}
			sum.total, sum.reset = sum.total+c.total, sum.reset+c.reset
			sum.HostTime += c.HostTime
			sum.RoundTrips, sum.BytesIn = c.RoundTrips, c.BytesIn
		}
		chip.Close()
	}
	ms := func(d time.Duration) string {
		return fmt.Sprintf("%.1f", float64(d)/float64(n)/float64(time.Millisecond))
	}
	fmt.Printf("\n\nmilliseconds, mean of %d devices\n", n)
	tableHead("step", "all", "reset and start", "virtual chip", "station", "round trips", "bytes to the chip")
	for _, step := range order {
		c := sums[step]
		tableLine(step, ms(c.total), ms(c.reset), ms(c.total-c.reset-c.HostTime), ms(c.HostTime), c.RoundTrips, thousands(c.BytesIn))
	}
	calls = (s.Token.Calls() - calls) / int64(n)
	fmt.Printf("\ncalls into the token's module: %d a device\n", calls)
	b.ReportMetric(float64(calls), "calls")
	b.ReportMetric(float64(sums["all"].HostTime.Milliseconds())/float64(n), "ms-station")
}
