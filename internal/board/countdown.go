package board

import "time"

// countdown is the time that is left for something whose end is guessed anew again
// and again. What it tells never jumps: where a guess is another one, it goes up by
// at most a second in each second, and down by at most two, until it is right.
type countdown struct {
	at           time.Time     // of the last guess; zero: nobody knows yet
	shown, guess time.Duration // what was told then, and what was right
}

// expect is a new guess; the first one is told as it is.
func (c *countdown) expect(at time.Time, guess time.Duration) {
	left := guess
	if !c.at.IsZero() {
		left = c.now(at)
	}
	*c = countdown{at, left, guess}
}

// now is what is left, which is never nothing: only the end itself is the end.
func (c *countdown) now(at time.Time) time.Duration {
	since := max(at.Sub(c.at), 0)
	return max(min(max(c.guess-since, c.shown-2*since), c.shown+since), time.Second)
}
