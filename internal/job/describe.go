package job

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Setting is one line of a job's description: a name that stays, and a value
// that people can read.
type Setting struct{ Name, Value string }

func (s Setting) String() string { return s.Name + " = " + s.Value }

// elsewhere are the fields of a job that its description does not tell under
// their own names, by their path in the job file, and why.
var elsewhere = map[string]string{
	"flasher_args":            "what its files hold is told as images",
	"partition_table":         "what it decides is told as images",
	"image":                   "where the bytes came from does not matter; they are told as images",
	"key.escrow":              "told as the key that the file holds",
	"secure_boot.escrow":      "told as the key that the file holds",
	"hmac.escrow":             "told as the key that the file holds",
	"security.fuses":          "told as what is burned",
	"secure_boot.keys":        "told as the keys that the files hold",
	"identity.template":       "told as what the file holds",
	"identity.certificate.ca": "told as whose certificate the file holds",
	"line.target":             "only what the screen counts towards: it differs from shift to shift",
}

// Description is the whole job as it is executed, in a form that stays: every
// setting, every image with its bytes, every fuse. What a person is shown, the
// digest that is approved, and the ledger's record of the approval are all made
// from it. What is not set is not there, so that a setting of a later version
// leaves the digests of jobs alone that do not use it.
func (j *Job) Description() []Setting { return j.described }

func (j *Job) describe() []Setting {
	list := settings("", reflect.ValueOf(*j))
	if j.Key.escrowKey != nil {
		list = append(list, Setting{"key.escrow", Fingerprint(j.Key.escrowKey)})
	}
	if j.SecureBoot.escrowKey != nil {
		list = append(list, Setting{"secure_boot.escrow", Fingerprint(j.SecureBoot.escrowKey)})
	}
	if j.HMAC != nil && j.HMAC.escrowKey != nil {
		list = append(list, Setting{"hmac.escrow", Fingerprint(j.HMAC.escrowKey)})
	}
	for _, name := range j.SecureBoot.names {
		list = append(list, Setting{"secure_boot.keys", name})
	}
	list = append(list, j.Identity.described()...)
	for _, r := range j.Regions {
		how := "plain"
		if r.Encrypted {
			how = "encrypted"
		}
		value := fmt.Sprintf("%q, %d bytes, %s, sha256:%x", r.Name, r.Size, how, sha256.Sum256(r.Data))
		if r.Version != "" {
			value = fmt.Sprintf("%s, version %q", value, r.Version)
		}
		list = append(list, Setting{fmt.Sprintf("image at %#08x", r.Address), value})
	}
	for _, span := range j.Erased {
		list = append(list, Setting{fmt.Sprintf("empty at %#08x", span.Address), fmt.Sprintf("%d bytes, %q", span.Size, span.Name)})
	}
	for _, stage := range j.Plan {
		list = append(list, Setting{"burn " + stage.Name, strings.Join(stage.Wanted(), "; ")})
	}
	return list
}

// settings are the fields of a table of the job file that are set.
func settings(prefix string, v reflect.Value) (list []Setting) {
	for _, declared := range reflect.VisibleFields(v.Type()) {
		name := declared.Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		path := prefix + name
		if _, told := elsewhere[path]; told {
			continue
		}
		field := v.FieldByIndex(declared.Index)
		if field.IsZero() {
			continue
		}
		for field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if described, ok := field.Interface().(interface{ settings(path string) []Setting }); ok {
			list = append(list, described.settings(path)...)
			continue
		}
		if field.Kind() == reflect.Struct {
			list = append(list, settings(path+".", field)...)
			continue
		}
		list = append(list, Setting{path, settingText(field)})
	}
	return list
}

// settingText is a value as people read it. Texts are quoted, so that none can
// pass for two settings or hide what is in it.
func settingText(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return fmt.Sprintf("%q", v.String())
	}
	if v.Kind() == reflect.Map || v.Kind() == reflect.Slice {
		return fmt.Sprintf("%q", fmt.Sprint(v.Interface())) // maps print in the order of their keys
	}
	return fmt.Sprint(v.Interface())
}

// digestOf names a description.
func digestOf(head string, list []Setting) string {
	h := sha256.New()
	fmt.Fprintln(h, head)
	for _, s := range list {
		fmt.Fprintf(h, "%q %q\n", s.Name, s.Value)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// PlanDigest is what a person approves: the whole description. It is the same
// for every device.
func (j *Job) PlanDigest() string { return j.planDigest }

// Digest names what makes a device of this job: images, fuses, key and marker.
// What only says how devices are made, such as a quota, is not in it, and may
// change without making other devices.
func (j *Job) Digest() string { return j.digest }

// howMade begins the names of settings that change how devices are made, and
// not what they are.
var howMade = []string{"boot.baud", "boot.timeout", "device.", "empty at ", "flash.baud", "flash.erase", "flash.loader", "line.", "quota.", "serial."}

// inFirst begins the names of settings that the first lines of a job's digest
// tell of. These lines never change: devices that were sealed before are known
// by this digest.
var inFirst = []string{"name", "revision", "chip", "partition_table_offset", "flash.size", "flash.mode", "flash.freq", "key.", "security.",
	"boot.marker", "image at ", "burn "}

func (j *Job) hash() string {
	var first strings.Builder
	fmt.Fprintf(&first, "station job v1\nname %q\nrevision %q\nchip %s\nplan %s\n", j.Name, j.Revision, j.ChipName(), j.burnDigest())
	fmt.Fprintf(&first, "flash %s %s %s\nmarker %q", j.Flash.Size, j.Flash.Mode, j.Flash.Freq, j.Boot.Marker)
	for _, r := range j.Regions {
		fmt.Fprintf(&first, "\nregion %#x %d encrypted=%t %s", r.Address, r.Size, r.Encrypted, r.SHA256)
	}
	more := slices.DeleteFunc(slices.Clone(j.described), func(s Setting) bool { return begins(s.Name, howMade) || begins(s.Name, inFirst) })
	return digestOf(first.String(), more)
}

// burnDigest names the job's fuses, and who else can open its keys.
func (j *Job) burnDigest() string {
	text := fmt.Sprintf("station burn plan v1\nname %q\nrevision %q\nfuses %s\n", j.Name, j.Revision, j.Plan.Digest())
	if j.Key.escrowKey != nil {
		text += fmt.Sprintf("escrow %s\n", Fingerprint(j.Key.escrowKey))
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
}

func begins(name string, with []string) bool {
	return slices.ContainsFunc(with, func(w string) bool {
		if strings.HasSuffix(w, ".") || strings.HasSuffix(w, " ") {
			return strings.HasPrefix(name, w)
		}
		return name == w
	})
}

// ImageLines tells what is written to the flash, one line an image: where, what,
// which version, and by what bytes it is known.
func (j *Job) ImageLines() []string {
	var out []string
	for _, r := range j.Regions {
		how := "plain"
		if r.Encrypted {
			how = "encrypted"
		}
		version := ""
		if r.Version != "" {
			version = fmt.Sprintf(" version %q", r.Version)
		}
		out = append(out, fmt.Sprintf("%#08x %s%s, %d bytes, %s, %s", r.Address, r.Name, version, r.Size, how, r.SHA256))
	}
	return out
}

// SettingLines are what the description tells besides images and fuses.
func (j *Job) SettingLines() []string {
	return DescriptionLines(slices.DeleteFunc(slices.Clone(j.Description()), func(s Setting) bool { return begins(s.Name, []string{"image at ", "burn "}) }))
}

// Differences tells what of a description is not as it was, in words: before as
// the ledger keeps it, one "name = value" a line.
func (j *Job) Differences(before []string) (list []string) {
	was := map[string]string{}
	for _, line := range before {
		name, value, _ := strings.Cut(line, " = ")
		was[name] = value
	}
	for _, s := range j.Description() {
		old, known := was[s.Name]
		switch {
		case !known:
			list = append(list, fmt.Sprintf("%s is new: %s", s.Name, s.Value))
		case old != s.Value:
			list = append(list, fmt.Sprintf("%s was %s, is %s", s.Name, old, s.Value))
		}
		delete(was, s.Name)
	}
	for _, line := range before { // in their order
		if name, value, _ := strings.Cut(line, " = "); was[name] == value && value != "" {
			list = append(list, fmt.Sprintf("%s was %s, is gone", name, value))
		}
	}
	return list
}

// DescriptionLines are the description as the ledger keeps it.
func DescriptionLines(list []Setting) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.String()
	}
	return out
}
