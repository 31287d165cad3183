//go:build browser

package main

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/chromedp"
)

// pictures draws those of the docs.
func (p *pagePlant) pictures(w *window) {
	p.t.Helper()
	p.tells()
	for _, one := range []struct {
		name, path    string
		width, height int64
	}{
		{"page", "/?lang=en", 1280, 990},
		{"page-wall", "/?lang=en", 1920, 1080},
		{"page-device", "/device?q=SN-0007&lang=en", 1280, 800},
		{"page-phone", "/?lang=zh", 360, 740},
	} {
		w.goes(one.path)
		w.does(chromedp.EmulateViewport(one.width, one.height))
		shot, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
		p.check(err)
		small, err := fewColours(shot)
		p.check(err)
		p.check(os.WriteFile(filepath.Join("../../docs/screens", one.name+".png"), small, 0o644))
	}
}

// fewColours makes a picture small: it keeps the 64 colours that it has most of.
func fewColours(shot []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	box, often := from.Bounds(), map[color.Color]int{}
	for y := range box.Dy() {
		for x := range box.Dx() {
			often[from.At(x, y)]++
		}
	}
	list := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return cmp.Compare(often[b], often[a]) })
	to := image.NewPaletted(box, list[:min(len(list), 64)])
	draw.Draw(to, box, from, box.Min, draw.Src)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to)
	return out.Bytes(), err
}
