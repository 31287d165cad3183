package sim

import "fmt"

// console prints lines as ESP-IDF does: level, milliseconds since start, tag.
type console struct {
	c     *Chip
	ms    int
	quiet bool // nothing is logged: a bootloader with the log level None
}

// raw prints a line of the ROM, which knows neither time nor tag.
func (t *console) raw(format string, args ...any) { t.c.print(fmt.Sprintf(format, args...) + "\r\n") }

func (t *console) info(tag, format string, args ...any) { t.line("0;32mI", tag, format, args...) }
func (t *console) warn(tag, format string, args ...any) { t.line("0;33mW", tag, format, args...) }
func (t *console) fail(tag, format string, args ...any) { t.line("0;31mE", tag, format, args...) }

func (t *console) line(level, tag, format string, args ...any) {
	if t.quiet {
		return
	}
	t.c.print(fmt.Sprintf("\x1b[%s (%d) %s: %s\x1b[0m\r\n", level, t.ms, tag, fmt.Sprintf(format, args...)))
	t.ms++
}
