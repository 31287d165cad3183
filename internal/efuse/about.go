package efuse

import "fmt"

// About says in words what a change does whose Field is as in Stage.Changes:
// a field's name, or "WR_DIS bit 7 (BLOCK1)" for one bit of a mask.
func About(field string) string {
	if f, ok := byName[field]; ok {
		return f.About
	}
	var mask string
	var bit int
	if n, _ := fmt.Sscanf(field, "%s bit %d", &mask, &bit); n == 2 && bit >= 0 && bit < 16 {
		return Set{mask, 1 << bit}.about()
	}
	return ""
}
