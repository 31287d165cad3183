package report

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"strings"

	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"rsc.io/qr"
)

// quiet is the white border that a code needs, in modules (ISO/IEC 18004).
const quiet = 4

// pictureDots is how many dots an inch the picture has.
const pictureDots = 300

// PNG writes the label as a picture in black and white.
func (b Label) PNG(w io.Writer) error {
	layout := b.layout()
	width, height := layout.size(pictureDots)
	img := image.NewGray(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	left := 12
	if layout.Code != NoCode {
		code, err := qr.Encode(b.code(), qr.M)
		if err != nil {
			return fmt.Errorf("label: %w", err)
		}
		side := code.Size + 2*quiet
		scale := min(height, width*3/5) / side
		if scale == 0 {
			return fmt.Errorf("label: %.4g by %.4g mm are too small for the code", layout.Width, layout.Height)
		}
		edge := (min(height, width*3/5) - scale*side) / 2
		for y := range code.Size {
			for x := range code.Size {
				if code.Black(x, y) {
					at := image.Pt(edge+(x+quiet)*scale, edge+(y+quiet)*scale)
					draw.Draw(img, image.Rectangle{at, at.Add(image.Pt(scale, scale))}, image.Black, image.Point{}, draw.Src)
				}
			}
		}
		left = scale*side + edge
	}
	if err := b.write(img, left); err != nil {
		return fmt.Errorf("label: %w", err)
	}
	return png.Encode(w, img)
}

// write puts the texts to the right of the code, each as large as fits.
func (b Label) write(img draw.Image, left int) error {
	parsed, err := opentype.Parse(liberationsansregular.TTF)
	if err != nil {
		return err
	}
	lines, size := b.lines(), img.Bounds().Size()
	if len(lines) == 0 {
		return nil
	}
	step := (size.Y - 30) / len(lines)
	for i, line := range lines {
		face, line, err := fit(parsed, line, size.X-left-12, float64(min(step-8, size.Y*40/295)))
		if err != nil {
			return err
		}
		d := font.Drawer{Dst: img, Src: image.NewUniform(color.Black), Face: face, Dot: fixed.P(left, 15+i*step+step*3/4)}
		d.DrawString(line)
		if err := face.Close(); err != nil {
			return err
		}
	}
	return nil
}

// smallest is the least size, in dots, in which a text can be read.
const smallest = 14

// fit is the font in the size in which the text is not wider than width dots,
// or the smallest one with as much of the text as fits.
func fit(f *opentype.Font, text string, width int, size float64) (font.Face, string, error) {
	for {
		face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
		if err != nil || font.MeasureString(face, text).Ceil() <= width {
			return face, text, err
		}
		if size <= smallest {
			cut := []rune(text)
			for len(cut) > 0 && font.MeasureString(face, string(cut)+"…").Ceil() > width {
				cut = cut[:len(cut)-1]
			}
			return face, string(cut) + "…", nil
		}
		if err := face.Close(); err != nil {
			return nil, "", err
		}
		size--
	}
}

// Terminal writes the code with half blocks, for a phone in front of the
// screen, and the texts below it. It is drawn light on dark as most terminals
// are: the light modules are the blocks.
func (b Label) Terminal(w io.Writer) error {
	var out strings.Builder
	if b.layout().Code != NoCode {
		code, err := qr.Encode(b.code(), qr.L)
		if err != nil {
			return fmt.Errorf("label: %w", err)
		}
		const border = 2
		for y := -border; y < code.Size+border; y += 2 {
			for x := -border; x < code.Size+border; x++ {
				upper, lower := !code.Black(x, y), !code.Black(x, y+1)
				out.WriteString([]string{" ", "▄", "▀", "█"}[two(upper)<<1|two(lower)])
			}
			out.WriteByte('\n')
		}
	}
	for _, line := range b.lines() {
		out.WriteString(strings.Map(printable, line) + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func two(b bool) int {
	if b {
		return 1
	}
	return 0
}

// printable keeps control characters of a serial number off the terminal.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}
