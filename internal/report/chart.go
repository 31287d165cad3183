package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours tell on paper without colour too: passed is dark, failed light.
var (
	passColor = color.RGBA{0x1f, 0x6f, 0x54, 0xff}
	failColor = color.RGBA{0xe3, 0x8b, 0x4f, 0xff}
	paleColor = color.RGBA{0xb9, 0xd3, 0xc8, 0xff}
	lineColor = color.RGBA{0x33, 0x33, 0x33, 0xff}
	gridColor = color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
)

// draw makes the page's charts. One that would be empty is left out.
func (p *page) draw() (map[string]template.HTML, error) {
	charts := map[string]template.HTML{}
	for name, make := range map[string]func() (*plot.Plot, error){
		"pareto": p.paretoChart, "times": p.timesChart, "steps": p.stepsChart, "throughput": p.throughputChart, "slots": p.slotsChart,
	} {
		chart, err := make()
		if err == nil && chart != nil {
			charts[name], err = svg(chart)
		}
		if err != nil {
			return nil, fmt.Errorf("chart of %s: %w", name, err)
		}
	}
	return charts, nil
}

const (
	chartWidth  = 360 // points
	chartHeight = 190
)

// svg draws the chart as an SVG element that takes the width that it is given.
func svg(p *plot.Plot) (template.HTML, error) {
	c := vgsvg.New(chartWidth, chartHeight)
	const margin = 6
	p.Y.Max *= 1.04
	p.Draw(draw.Crop(draw.New(c), margin, -margin, margin, -margin))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	_, body, ok := strings.Cut(b.String(), "<svg ")
	if !ok {
		return "", fmt.Errorf("no SVG was drawn")
	}
	size := fmt.Sprintf(`width="%dpt" height="%dpt" `, chartWidth, chartHeight)
	if !strings.HasPrefix(body, size) {
		return "", fmt.Errorf("the SVG has another size")
	}
	body = strings.ReplaceAll(body, "font-family:Liberation Sans;", "font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif;")
	title := template.HTMLEscapeString(p.Title.Text)
	return template.HTML(`<svg role="img" aria-label="` + title + `" ` + strings.TrimPrefix(body, size)), nil
}

// newPlot is an empty chart in the style of the page.
func newPlot(title, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.Title.Text, p.Y.Label.Text = title, y
	sans := font.Font{Typeface: "Liberation", Variant: "Sans"}
	for _, style := range []*draw.TextStyle{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Typeface, style.Font.Variant = sans.Typeface, sans.Variant
		style.Font.Size = 8
	}
	p.Title.TextStyle.Font.Size = 10
	p.Title.Padding = 6
	p.Y.Min = 0
	p.Y.Tick.Marker = ticks{whole: true}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, gridColor
	p.Add(grid)
	return p
}

// ticks marks few and round numbers.
type ticks struct{ whole bool }

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) (list []plot.Tick) {
	if high <= 0 {
		return nil
	}
	unit := math.Pow(10, math.Floor(math.Log10(high)))
	step := unit
	for _, part := range []float64{0.1, 0.2, 0.5, 1, 2, 5} {
		if step = unit * part; high/step <= 5 {
			break
		}
	}
	if t.whole {
		step = max(1, step)
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	for i := 0; float64(i)*step <= high; i++ {
		if v := float64(i) * step; v >= low {
			list = append(list, plot.Tick{Value: v, Label: fmt.Sprintf("%.*f", digits, v)})
		}
	}
	return list
}

// bars adds a set of bars; on, if not nil, carries them.
func bars(p *plot.Plot, values plotter.Values, width vg.Length, fill color.Color, on *plotter.BarChart) (*plotter.BarChart, error) {
	b, err := plotter.NewBarChart(values, width)
	if err != nil {
		return nil, err
	}
	b.Color, b.LineStyle.Width = fill, 0
	if on != nil {
		b.StackOn(on)
	}
	p.Add(b)
	return b, nil
}

// barWidth leaves a gap between n bars.
func barWidth(n int) vg.Length { return min(28, vg.Length(chartWidth-60)*0.75/vg.Length(n)) }

// nominal names the places of bars, and leaves room beside the first and last.
func nominal(p *plot.Plot, names []string, long bool) {
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.7, float64(len(names))-0.3
	if long {
		p.X.Tick.Label.Rotation = math.Pi / 7
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YTop
		p.X.Tick.Label.Font.Size = 7
	}
}

const maxCodes = 8 // in the chart; the table has them all

func (p *page) paretoChart() (*plot.Plot, error) {
	if len(p.Codes) == 0 {
		return nil, nil
	}
	list := p.Codes[:min(maxCodes, len(p.Codes))]
	chart := newPlot("Failures by code", "visits")
	var values plotter.Values
	var names []string
	line := plotter.XYs{}
	labels := plotter.XYLabels{}
	all := 0.0
	for _, c := range p.Codes {
		all += float64(c.N)
	}
	for i, c := range list {
		values, names = append(values, float64(c.N)), append(names, strings.TrimPrefix(c.Code, "E-"))
		at := plotter.XY{X: float64(i), Y: c.UpTo * all}
		line = append(line, at)
		labels.XYs, labels.Labels = append(labels.XYs, at), append(labels.Labels, fmt.Sprintf("%.0f %%", 100*c.UpTo))
	}
	if _, err := bars(chart, values, barWidth(len(list)), failColor, nil); err != nil {
		return nil, err
	}
	sum, points, err := plotter.NewLinePoints(line)
	if err != nil {
		return nil, err
	}
	sum.Color, points.Color, points.Shape = lineColor, lineColor, draw.CircleGlyph{}
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, err
	}
	for i := range texts.TextStyle {
		texts.TextStyle[i].Font.Variant, texts.TextStyle[i].Font.Size = "Sans", 7
		texts.TextStyle[i].XAlign, texts.TextStyle[i].YAlign = draw.XCenter, draw.YBottom
	}
	texts.Offset = vg.Point{Y: 4}
	chart.Add(sum, points, texts)
	nominal(chart, names, len(names) > 3)
	chart.Y.Max = all * 1.12
	return chart, nil
}

func (p *page) timesChart() (*plot.Plot, error) {
	if p.Times.N == 0 {
		return nil, nil
	}
	chart := newPlot("Time for one device", "devices")
	chart.X.Label.Text = "seconds"
	h, err := plotter.NewHist(plotter.Values(p.seconds), max(6, min(30, int(math.Sqrt(float64(p.Times.N))))))
	if err != nil {
		return nil, err
	}
	h.FillColor, h.LineStyle.Color, h.LineStyle.Width = passColor, color.White, 0.5
	chart.Add(h)
	return chart, nil
}

func (p *page) stepsChart() (*plot.Plot, error) {
	if len(p.Steps) == 0 {
		return nil, nil
	}
	chart := newPlot("Time for each step", "seconds")
	chart.Y.Tick.Marker = ticks{}
	var median, rest plotter.Values
	var names []string
	for _, s := range p.Steps {
		median, rest, names = append(median, s.Median), append(rest, s.P95-s.Median), append(names, s.Step)
	}
	width := barWidth(len(names))
	under, err := bars(chart, median, width, passColor, nil)
	if err != nil {
		return nil, err
	}
	nominal(chart, names, len(names) > 6)
	_, err = bars(chart, rest, width, paleColor, under)
	return chart, err
}

func (p *page) throughputChart() (*plot.Plot, error) {
	if len(p.Buckets) == 0 {
		return nil, nil
	}
	chart := newPlot("Visits in each "+spanName(p.Bucket), "visits")
	var passed, failed plotter.Values
	names := make([]string, len(p.Buckets))
	every := (len(p.Buckets) + 7) / 8
	for i, b := range p.Buckets {
		passed, failed = append(passed, float64(b.Passed)), append(failed, float64(b.Failed))
		if i%every == 0 {
			names[i] = b.Start.In(p.Report.Zone).Format(spanLayout(p.Bucket))
		}
	}
	return chart, passedAndFailed(chart, passed, failed, names)
}

func (p *page) slotsChart() (*plot.Plot, error) {
	if len(p.Slots) == 0 {
		return nil, nil
	}
	chart := newPlot("Visits in each slot", "visits")
	var passed, failed plotter.Values
	var names []string
	for _, s := range p.Slots {
		passed, failed = append(passed, float64(s.Passed)), append(failed, float64(s.Failed))
		name := s.Slot
		if p.Slots[0].Station != p.Slots[len(p.Slots)-1].Station {
			name = s.Station + " " + name
		}
		names = append(names, name)
	}
	return chart, passedAndFailed(chart, passed, failed, names)
}

func passedAndFailed(chart *plot.Plot, passed, failed plotter.Values, names []string) error {
	width := barWidth(len(names))
	under, err := bars(chart, passed, width, passColor, nil)
	if err != nil {
		return err
	}
	nominal(chart, names, false)
	_, err = bars(chart, failed, width, failColor, under)
	return err
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
