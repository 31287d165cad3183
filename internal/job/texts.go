package job

import (
	"station/internal/bootlog"
	"station/internal/record"
	"station/internal/tomlfile"
)

// leastMarker is in bytes: a shorter marker may stand in any line.
const leastMarker = 4

// texts checks what people and the console have to tell apart.
func (j *Job) texts(f *tomlfile.File) {
	for _, t := range []struct{ path, value, fix string }{
		{"name", j.Name, `write name = "product"`},
		{"revision", j.Revision, `write revision = "1" and count it up with every change`},
	} {
		if t.value == "" {
			f.Fault(t.path, "is missing; %s", t.fix)
		} else if err := record.CheckName(t.value); err != nil {
			f.Fault(t.path, "%q cannot be used: %v; %s", t.value, err, t.fix)
		}
	}
	const fix = "write a text that the firmware prints when it is ready"
	if m := j.Boot.Marker; m == "" {
		f.Fault("boot.marker", "is missing; %s", fix)
	} else if record.Blank(m) {
		f.Fault("boot.marker", "%q is blank, which any firmware prints; %s", m, fix)
	} else if why := bootlog.Unseen(m); why != "" {
		f.Fault("boot.marker", "%s, so that it would never be seen; %s", why, fix)
	}
}
