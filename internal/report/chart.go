package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// The colours tell on paper without colour too: passed is dark, failed light.
const (
	passColor = "#1f6f54"
	failColor = "#e38b4f"
	paleColor = "#b9d3c8"
)

// A chart is bars over names, each bar stacked of one value of each series.
type chart struct {
	title, unit string
	names       []string // of the bars; "" draws none
	series      [][]float64
	colors      []string  // of the series
	sum         []float64 // a line over the bars; nil draws none
	sumText     func(i int) string
	whole       bool // only whole numbers at the axis
}

// draw makes the page's charts. One that would be empty is left out.
func (p *page) draw() (map[string]template.HTML, error) {
	drawn := map[string]template.HTML{}
	for name, c := range map[string]*chart{
		"pareto": p.paretoChart(), "times": p.timesChart(), "steps": p.stepsChart(), "throughput": p.throughputChart(), "slots": p.slotsChart(),
	} {
		if c == nil {
			continue
		}
		var err error
		if drawn[name], err = c.svg(); err != nil {
			return nil, fmt.Errorf("chart of %s: %w", name, err)
		}
	}
	return drawn, nil
}

// The drawing, in units that the page scales; the bars stand inside the margins.
const (
	chartWidth, chartHeight = 480, 250
	left, right             = 46, 10
	top, bottom             = 44, 40
)

//go:embed chart.svg
var chartSVG string

var chartTemplate = template.Must(template.New("chart").Parse(chartSVG))

// A drawing is a chart in numbers of the SVG: y counts downwards.
type drawing struct {
	Title, Unit         string
	Width, Height       int
	Left, Right, Bottom float64 // of the field in which the bars stand
	Grid                []point // Y and Text
	Bars                []bar
	Names               []point
	Turned              bool // the names, because they would stand on each other
	Line                string
	Points              []point
}

type point struct {
	X, Y float64
	Text string
}

type bar struct {
	X, Y, Width, Height float64
	Color               string
}

// svg draws the chart as an SVG element that takes the width that it is given.
func (c *chart) svg() (template.HTML, error) {
	var b strings.Builder
	if err := chartTemplate.Execute(&b, c.drawing()); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

func (c *chart) drawing() drawing {
	d := drawing{Title: c.title, Unit: c.unit, Width: chartWidth, Height: chartHeight,
		Left: left, Right: chartWidth - right, Bottom: chartHeight - bottom, Turned: len(strings.Join(c.names, "mm")) > 80}
	most, step := c.axis()
	height := func(v float64) float64 { return round1(v / most * (chartHeight - top - bottom)) }
	for v := 0.0; v <= most+step/2; v += step {
		d.Grid = append(d.Grid, point{d.Left - 5, d.Bottom - height(v), shortNumber(v, step)})
	}
	room := (d.Right - d.Left) / float64(len(c.names))
	width := min(36, room*0.75)
	for i, name := range c.names {
		middle := round1(d.Left + room*(float64(i)+0.5))
		under := d.Bottom
		for n, s := range c.series {
			h := height(s[i])
			under -= h
			d.Bars = append(d.Bars, bar{round1(middle - width/2), round1(under), round1(width), h, c.colors[n]})
		}
		if name != "" {
			d.Names = append(d.Names, point{middle, d.Bottom + 13, name})
		}
		if c.sum != nil {
			p := point{middle, d.Bottom - height(c.sum[i]), c.sumText(i)}
			d.Points, d.Line = append(d.Points, p), d.Line+fmt.Sprintf("%g,%g ", p.X, p.Y)
		}
	}
	return d
}

func round1(v float64) float64 { return math.Round(v*10) / 10 }

// axis is the highest value at the axis and the step to it: few and round numbers.
func (c *chart) axis() (most, step float64) {
	high := 0.0
	for i := range c.names {
		bar := 0.0
		for _, s := range c.series {
			bar += s[i]
		}
		high = max(high, bar)
		if c.sum != nil {
			high = max(high, c.sum[i]*1.1) // room for its text
		}
	}
	if high <= 0 {
		return 1, 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(high)))
	for _, part := range []float64{0.1, 0.2, 0.5, 1, 2, 5} {
		if step = unit * part; high/step <= 5 {
			break
		}
	}
	if c.whole {
		step = max(1, step)
	}
	return math.Ceil(high/step) * step, step
}

// shortNumber writes v with the digits that its step needs.
func shortNumber(v, step float64) string {
	return fmt.Sprintf("%.*f", max(0, -int(math.Floor(math.Log10(step)+1e-9))), v)
}

const maxCodes = 8 // in the chart; the table has them all

func (p *page) paretoChart() *chart {
	if len(p.Codes) == 0 {
		return nil
	}
	all := 0.0
	for _, c := range p.Codes {
		all += float64(c.N)
	}
	list := p.Codes[:min(maxCodes, len(p.Codes))]
	c := &chart{title: "Failures by code", unit: "visits", colors: []string{failColor}, whole: true,
		sumText: func(i int) string { return fmt.Sprintf("%.0f %%", 100*list[i].UpTo) }}
	values := make([]float64, len(list))
	for i, code := range list {
		values[i] = float64(code.N)
		c.sum, c.names = append(c.sum, code.UpTo*all), append(c.names, strings.TrimPrefix(string(code.Code), "E-"))
	}
	c.series = [][]float64{values}
	return c
}

func (p *page) timesChart() *chart {
	if p.Times.N == 0 {
		return nil
	}
	names, counts := histogram(p.seconds, max(6, min(30, int(math.Sqrt(float64(p.Times.N))))))
	return &chart{title: "Time for one device, in seconds", unit: "devices", names: names,
		series: [][]float64{counts}, colors: []string{passColor}, whole: true}
}

// histogram counts values in n classes of one width; a class is named by its middle.
func histogram(values []float64, n int) (names []string, counts []float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	width := (high - low) / float64(n)
	if width == 0 {
		n, width = 1, 1
	}
	counts = make([]float64, n)
	for _, v := range values {
		counts[min(n-1, int((v-low)/width))]++
	}
	every := (n + 7) / 8
	names = make([]string, n)
	for i := 0; i < n; i += every {
		names[i] = shortNumber(low+(float64(i)+0.5)*width, width/10)
	}
	return names, counts
}

func (p *page) stepsChart() *chart {
	if len(p.Steps) == 0 {
		return nil
	}
	c := &chart{title: "Time for each step: median and 95 % of devices", unit: "seconds", colors: []string{passColor, paleColor}}
	var median, rest []float64
	for _, s := range p.Steps {
		median, rest = append(median, s.Median), append(rest, s.P95-s.Median)
		c.names = append(c.names, s.Step)
	}
	c.series = [][]float64{median, rest}
	return c
}

func (p *page) throughputChart() *chart {
	if len(p.Buckets) == 0 {
		return nil
	}
	c := passedAndFailed("Visits in each "+spanName(p.Bucket), len(p.Buckets))
	every := (len(p.Buckets) + 7) / 8
	for i, b := range p.Buckets {
		c.series[0][i], c.series[1][i] = float64(b.Passed), float64(b.Failed)
		if i%every == 0 {
			c.names[i] = b.Start.In(p.Report.Zone).Format(spanLayout(p.Bucket))
		}
	}
	return c
}

func (p *page) slotsChart() *chart {
	if len(p.Slots) == 0 {
		return nil
	}
	c := passedAndFailed("Visits in each slot", len(p.Slots))
	several := p.Slots[0].Station != p.Slots[len(p.Slots)-1].Station
	for i, s := range p.Slots {
		c.series[0][i], c.series[1][i], c.names[i] = float64(s.Passed), float64(s.Failed), s.Slot
		if several {
			c.names[i] = s.Station + " " + s.Slot
		}
	}
	return c
}

func passedAndFailed(title string, bars int) *chart {
	return &chart{title: title, unit: "visits", names: make([]string, bars), whole: true,
		series: [][]float64{make([]float64, bars), make([]float64, bars)}, colors: []string{passColor, failColor}}
}

func spanName(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d == 24*time.Hour:
		return "day"
	case d > time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d == time.Hour:
		return "hour"
	case d == time.Minute:
		return "minute"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

func spanLayout(d time.Duration) string {
	if d >= 24*time.Hour {
		return "2 Jan"
	}
	return "15:04"
}
