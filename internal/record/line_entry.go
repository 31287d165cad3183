package record

import (
	"math"

	"station/internal/chip"
)

// scan reads an entry of version 2 or 3 in the form in which it is written; ok is
// false where only the long way can tell what it is. The fields are in the order
// of the structs, and each has to be here: a test says which is not.
func scan(raw []byte) (e Entry, ok bool) {
	l := line{text: string(raw), lists: &alone}
	ok = l.scan(&e)
	return e, ok
}

// scan reads the entry that is the whole line: its texts are parts of it.
func (l *line) scan(e *Entry) bool {
	l.object(func() { l.entry(e) })
	return !l.odd && l.at == len(l.text) && !(e.Version == 2 && e.hasVersion3())
}

func (l *line) entry(e *Entry) {
	l.needs("v")
	e.Version = l.int()
	l.odd = l.odd || e.Version != Version && e.Version != 2
	l.needs("index")
	e.Index = l.uint(math.MaxUint64)
	l.needs("time")
	e.Time = l.time()
	l.needs("kind")
	e.Kind = Kind(l.string())
	l.head(e)
	l.product(e)
	l.found(e)
	l.burned(e)
}

// head reads who wrote the entry, and where it stands.
func (l *line) head(e *Entry) {
	if !l.again(sameHead, e) {
		from := l.at
		l.optString("station", &e.Station)
		l.optString("operator", &e.Operator)
		l.optString("software", &e.Software)
		l.keep(sameHead, from, e, e.Software != "")
	}
	e.Simulated = l.optTrue("simulated")
	l.optString("origin", &e.Origin)
	l.optUint("prev", &e.Prev)
	l.optFloat("clockBack", &e.ClockBack)
}

// product reads what the entry is about.
func (l *line) product(e *Entry) {
	if !l.again(sameProduct, e) {
		from := l.at
		l.optString("job", &e.Job)
		l.optString("revision", &e.Revision)
		l.optString("jobDigest", &e.JobHash)
		l.optString("batch", &e.Batch)
		l.optInt("quota", &e.Quota)
		l.optInt("number", &e.Number)
		l.optString("slot", &e.Slot)
		l.optString("run", &e.Run)
		if l.field("mac") {
			e.MAC = l.mac()
			l.odd = l.odd || e.MAC.IsZero()
		}
		l.keep(sameProduct, from, e, !e.MAC.IsZero())
	}
	l.optString("serial", &e.Serial)
}

// said is what an entry said in places where the next one mostly says the same, word
// for word.
type said struct {
	text  [2]string // at each place; "" is nothing
	entry Entry     // only the fields of the places

	day      day
	midnight int64 // when it begins, in seconds since 1970
}

// The places. Each ends with a field that is there: whatever follows is none of its
// fields.
const (
	sameHead = iota
	sameProduct
)

func (s *said) copy(place int, to, from *Entry) {
	if place == sameHead {
		to.Station, to.Operator, to.Software = from.Station, from.Operator, from.Software
		return
	}
	to.Job, to.Revision, to.JobHash, to.Batch = from.Job, from.Revision, from.JobHash, from.Batch
	to.Quota, to.Number, to.Slot, to.Run, to.MAC = from.Quota, from.Number, from.Slot, from.Run, from.MAC
}

// again reads a place where the entry before said the same.
func (l *line) again(place int, e *Entry) bool {
	if l.said == nil || l.said.text[place] == "" || !l.take(l.said.text[place]) {
		return false
	}
	l.said.copy(place, e, &l.said.entry)
	return true
}

// keep remembers what was said at a place, if it ends with its last field.
func (l *line) keep(place, from int, e *Entry, ends bool) {
	if l.said != nil && ends && !l.odd {
		l.said.text[place] = l.text[from:l.at]
		l.said.copy(place, &l.said.entry, e)
	}
}

// found reads what was decided, and on what grounds.
func (l *line) found(e *Entry) {
	l.optString("step", &e.Step)
	l.optString("decision", &e.Decision)
	if l.field("identity") {
		e.Identity = new(chip.Identity)
		l.object(func() { l.identity(e.Identity) })
	}
	e.Keys = optList(l, "keys", &l.keys, func(k *Key) { l.object(func() { l.key(k) }) })
	l.optString("token", &e.Token)
	e.Public = l.optBytes("public")
	l.optString("planDigest", &e.Plan)
	e.Described = l.optStrings("described")
	l.optString("lineOperator", &e.LineOperator)
	e.Undeclared = l.optTrue("undeclared")
}

// burned reads what was done, and how it ended.
func (l *line) burned(e *Entry) {
	l.optString("stage", &e.Stage)
	if !l.skip.Remarks || !l.passOver("burns", "}]") {
		e.Burns = optList(l, "burns", &l.burns, func(b *FuseChange) { l.object(func() { l.burn(b) }) })
	}
	if !l.skip.Fuses || !l.passOver("fuses", "}]") {
		e.Fuses = optList(l, "fuses", &l.fuses, func(b *Block) { l.object(func() { l.block(b) }) })
	}
	if !l.skip.Images || !l.passOver("images", "}]") {
		e.Images = optList(l, "images", &l.images, func(i *Image) { l.object(func() { l.image(i) }) })
	}
	if !(l.skip.Remarks && l.passOver("boot", "}")) && l.field("boot") {
		e.Boot = new(Boot)
		l.object(func() { l.boot(e.Boot) })
	}
	l.optString("verdict", (*string)(&e.Verdict))
	l.optString("code", (*string)(&e.Code))
	if !l.skip.Remarks || !l.passText("message") {
		l.optString("message", &e.Message)
	}
	l.optFloat("seconds", &e.Seconds)
}

func (l *line) identity(i *chip.Identity) {
	l.needs("mac")
	i.MAC = l.mac()
	l.optString("chip", &i.Chip)
	l.needs("revision")
	i.Revision = chip.Revision(l.uint(math.MaxUint16))
	i.Package = l.needString("package")
	l.needs("crystalMHz")
	i.Crystal = l.int()
	l.needs("coding")
	i.Coding = chip.Coding(l.uint(math.MaxUint8))
	l.needs("flashId")
	i.FlashID = uint32(l.uint(math.MaxUint32))
	l.needs("flashSize")
	i.FlashSize = uint32(l.uint(math.MaxUint32))
	i.Simulated = l.optTrue("simulated")
}

func (l *line) key(k *Key) {
	l.optString("purpose", (*string)(&k.Purpose))
	k.Blocks = l.optStrings("blocks")
	l.optInt("bits", &k.Bits)
	k.ID = l.needString("id")
	l.optString("policy", &k.Policy)
	k.Wrapped = l.optBytes("wrapped")
	k.Escrow = l.optBytes("escrow")
	l.optString("escrowTo", &k.EscrowTo)
}

func (l *line) burn(b *FuseChange) {
	b.Field = l.needString("field")
	b.Old = l.needString("old")
	b.New = l.needString("new")
}

func (l *line) block(b *Block) {
	b.Name = l.needString("name")
	l.optString("state", &b.State)
	l.optString("digest", &b.Digest)
	b.Words = l.optStrings("words")
}

func (l *line) image(i *Image) {
	i.Name = l.needString("name")
	l.needs("address")
	i.Address = uint32(l.uint(math.MaxUint32))
	l.needs("size")
	i.Size = l.int()
	l.needs("encrypted")
	i.Encrypted = l.bool()
	l.optString("partition", &i.Partition)
	l.optString("slot", &i.Slot)
	l.optString("file", &i.File)
	i.Plain = l.needString("plain")
	i.Flash = l.needString("flash")
	i.MD5 = l.needString("md5")
	i.Version = l.needString("version")
	if l.field("secureVersion") {
		n := uint32(l.uint(math.MaxUint32))
		i.SecureVersion = &n
	}
}

func (l *line) boot(b *Boot) {
	b.Digest = l.needString("digest")
	b.Marker = l.needString("marker")
	l.needs("seconds")
	b.Seconds = l.float()
}
