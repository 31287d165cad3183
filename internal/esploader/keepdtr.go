package esploader

// An adapter that does flow control in hardware and cannot be told not to
// (CP2102C) works only while DTR is asserted. Alone, or together with RTS, DTR
// leaves EN high; once the chip runs it does not look at GPIO0.

// keepsDTR reports whether the port is such an adapter.
func (l *Loader) keepsDTR() bool {
	p, ok := l.port.(interface{ KeepDTR() bool })
	return ok && p.KeepDTR()
}

// endWithDTR takes the steps off that release DTR in the end.
func endWithDTR(ways [][]step) [][]step {
	for i, steps := range ways {
		for len(steps) > 0 && !steps[len(steps)-1].dtr {
			steps = steps[:len(steps)-1]
		}
		ways[i] = steps
	}
	return ways
}

// intoApp releases EN with GPIO0 high.
func (l *Loader) intoApp() []step {
	if l.keepsDTR() {
		return []step{{false, true, holdReset}, {true, true, holdReset}, {true, false, 0}}
	}
	return []step{{false, true, holdReset}, {false, false, 0}}
}
