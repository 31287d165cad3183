package report

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	at := func(minutes ...int) map[time.Time]*Bucket {
		m := map[time.Time]*Bucket{}
		for _, n := range minutes {
			start := begin.Add(time.Duration(n) * time.Minute)
			m[start] = &Bucket{Start: start, Passed: n + 1, Failed: 1}
		}
		return m
	}
	for _, c := range []struct {
		minutes []int
		width   time.Duration
		n       int
	}{
		{nil, 0, 0},
		{[]int{0}, time.Minute, 1},
		{[]int{0, 47}, time.Minute, 48},
		{[]int{0, 48}, 5 * time.Minute, 10},
		{[]int{0, 8 * 60}, 15 * time.Minute, 33},
		{[]int{0, 40 * 60}, time.Hour, 41},
		{[]int{0, 30 * 24 * 60}, 24 * time.Hour, 31},
		{[]int{0, 3000 * 24 * 60}, 28 * 24 * time.Hour, 108},
	} {
		list, width := join(at(c.minutes...), time.UTC)
		sum := 0
		for _, b := range list {
			sum += b.Failed
		}
		if width != c.width || len(list) != c.n || sum != len(c.minutes) {
			t.Errorf("%v: got %d of %v with %d visits, want %d of %v", c.minutes, len(list), width, sum, c.n, c.width)
		}
	}
	// A day begins at midnight on the wall.
	tokyo := time.FixedZone("JST", 9*3600)
	if list, _ := join(at(0, 30*24*60), tokyo); list[0].Start.In(tokyo).Hour() != 0 {
		t.Errorf("the first day begins at %v", list[0].Start.In(tokyo))
	}
}

func TestSpread(t *testing.T) {
	var s []float64
	for i := range 100 {
		s = append(s, float64(100-i))
	}
	if got, want := spread(s), (Spread{N: 100, Min: 1, Median: 50, P95: 95, Mean: 50.5, Max: 100}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := spread([]float64{7}); got.Median != 7 || got.P95 != 7 {
		t.Errorf("got %+v", got)
	}
}

// The axis begins at 0 and ends at a round number at or over the highest bar.
func TestAxis(t *testing.T) {
	for _, c := range []struct {
		high  float64
		whole bool
		want  string
	}{
		{0.23, false, "0.00 0.05 0.10 0.15 0.20 0.25"},
		{0.9, true, "0 1"},
		{3.1, true, "0 1 2 3 4"},
		{9.6, false, "0 2 4 6 8 10"},
		{93, true, "0 20 40 60 80 100"},
		{40000, true, "0 10000 20000 30000 40000"},
		{0, true, "0 1"},
	} {
		most, step := (&chart{names: []string{""}, series: [][]float64{{c.high}}, whole: c.whole}).axis()
		var got []string
		for v := 0.0; v <= most+step/2; v += step {
			got = append(got, shortNumber(v, step))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("to %v: got %v, want %s", c.high, got, c.want)
		}
	}
}

// What is drawn is what the axis says: the heights of bars, from the SVG, are
// in the ratio of their values, and a stack's parts stand on each other.
func TestBarsAreTheirValues(t *testing.T) {
	c := passedAndFailed("x", 3)
	copy(c.series[0], []float64{1, 2, 4})
	copy(c.series[1], []float64{0, 2, 0})
	c.names = []string{"a", "b", "c"}
	svg, err := c.svg()
	if err != nil {
		t.Fatal(err)
	}
	passed, failed := barHeights(string(svg), passColor), barHeights(string(svg), failColor)
	if len(passed) != 3 || math.Abs(passed[1]/passed[0]-2) > 0.05 || math.Abs(passed[2]/passed[0]-4) > 0.05 {
		t.Errorf("heights of passed %v in\n%s", passed, svg)
	}
	if slices.Max(failed) != passed[1] {
		t.Errorf("heights of failed %v beside passed %v", failed, passed)
	}
}

var barRect = regexp.MustCompile(`<rect x="[0-9.]+" y="[0-9.]+" width="[0-9.]+" height="([0-9.]+)" fill="([^"]+)"/>`)

func barHeights(svg, fill string) (heights []float64) {
	for _, m := range barRect.FindAllStringSubmatch(svg, -1) {
		if h, err := strconv.ParseFloat(m[1], 64); err == nil && m[2] == fill {
			heights = append(heights, h)
		}
	}
	return heights
}

func TestSecondsText(t *testing.T) {
	for f, want := range map[float64]string{0: "0.000", 0.0341: "0.034", 1.5: "1.50", 9.99: "9.99", 31.25: "31.2"} {
		if got := secondsText(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}
