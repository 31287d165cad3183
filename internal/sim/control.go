package sim

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A person, or a script, beside the virtual chips: their hands on buttons,
// supply and cable, as lines of text.

var hands = map[string]func(*Chip){
	"boot":    func(c *Chip) { c.PressReset(false) },
	"loader":  func(c *Chip) { c.PressReset(true) },
	"off":     (*Chip).PowerOff,
	"on":      (*Chip).PowerOn,
	"unplug":  (*Chip).Unplug,
	"replug":  (*Chip).Replug,
	"healthy": (*Chip).Heal,
}

// Control obeys lines from r until it ends:
//
//	boot [N]     press reset with BOOT released: the chip boots from flash
//	loader [N]   press reset with BOOT held: the chip enters its loader
//	off [N]      cut the supply        on [N]       switch it on
//	unplug [N]   pull the cable        replug [N]   put it back
//	healthy [N]  take injected faults away
//
// N counts chips from 1; without it all chips are meant. Each line is answered
// on w with "ok" or with what is wrong with it.
func Control(r io.Reader, w io.Writer, chips ...*Chip) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		answer := "ok"
		if words := strings.Fields(lines.Text()); len(words) == 0 {
			continue
		} else if err := handle(words, chips); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintln(w, answer); err != nil {
			return fmt.Errorf("answer a control line: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read control lines: %w", err)
	}
	return nil
}

func handle(words []string, chips []*Chip) error {
	do, ok := hands[words[0]]
	switch {
	case !ok:
		return fmt.Errorf("%q: want boot, loader, off, on, unplug, replug or healthy", words[0])
	case len(words) > 2:
		return fmt.Errorf("%q: one chip number at most", strings.Join(words, " "))
	case len(words) == 2:
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 || n > len(chips) {
			return fmt.Errorf("chip %q: there are %d chips, counted from 1", words[1], len(chips))
		}
		chips = chips[n-1 : n]
	}
	for _, c := range chips {
		do(c)
	}
	return nil
}
