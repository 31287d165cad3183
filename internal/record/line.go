package record

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"station/internal/chip"
)

// line reads JSON in the one form in which encoding/json writes it: no white
// space, each field once and in its place, none that would be left out. What it
// has read is decoded and known to be canonical at once, in a tenth of the time
// that decoding it and writing it again takes.
//
// It may give up on what it could have read, such as numbers with exponents: odd
// says only that the long way has to tell.
//
// Methods named opt read a field that is left out where it has its zero value;
// the others read a value.
type line struct {
	text string
	at   int
	sep  byte // in front of the next field of this object: { or ,
	odd  bool
	skip Without
	said *said // by the entry before; nil is nobody

	*lists // memory for what the entry has several of
}

// take reads exactly this, if it is what comes next.
func (l *line) take(s string) bool {
	if l.odd || !strings.HasPrefix(l.text[l.at:], s) {
		return false
	}
	l.at += len(s)
	return true
}

func (l *line) must(s string) {
	if !l.take(s) {
		l.odd = true
	}
}

// field reads the name of a field, if that is what comes next.
func (l *line) field(name string) bool {
	rest, n := l.text[l.at:], len(name)
	if l.odd || len(rest) < n+4 || rest[n+2] != '"' || rest[n+3] != ':' || rest[0] != l.sep || rest[1] != '"' || rest[2:n+2] != name {
		return false
	}
	l.at, l.sep = l.at+n+4, ','
	return true
}

// needs reads the name of a field that is always written.
func (l *line) needs(name string) {
	if !l.field(name) {
		l.odd = true
	}
}

// needString reads a field that has to be there.
func (l *line) needString(name string) string {
	l.needs(name)
	return l.string()
}

func (l *line) object(fields func()) {
	l.sep = '{'
	fields()
	l.must("}")
	l.sep = ','
}

func optList[T any](l *line, name string, in *piece[T], one func(*T)) (all []T) {
	if !l.field(name) {
		return nil
	}
	l.must("[")
	rest := l.text[l.at:]
	all = in.room(1+strings.Count(rest[:1+strings.Index(rest, "}]")], "},{"), l.ahead)
	for more := true; more && !l.odd; more = l.take(",") {
		all = append(all, *new(T))
		one(&all[len(all)-1])
	}
	l.must("]")
	return all
}

// passOver goes behind a value that ends so. A text in it may have the same in it: what
// stands behind that is no field, so that only the long way can tell.
func (l *line) passOver(name, end string) bool {
	if !l.field(name) {
		return false
	}
	n := strings.Index(l.text[l.at:], end)
	if l.odd = n < 0; !l.odd {
		l.at += n + len(end)
	}
	return true
}

// passText goes behind a text.
func (l *line) passText(name string) bool {
	if !l.field(name) {
		return false
	}
	l.must(`"`)
	for l.at < len(l.text) && l.text[l.at] != '"' {
		if l.text[l.at] == '\\' {
			l.at++
		}
		l.at++
	}
	l.must(`"`)
	return true
}

func (l *line) optStrings(name string) []string {
	if !l.field(name) {
		return nil
	}
	l.must("[")
	rest := l.text[l.at:]
	all := l.texts.room(1+strings.Count(rest[:1+strings.IndexByte(rest, ']')], `","`), l.ahead)
	for more := true; more && !l.odd; more = l.take(",") {
		all = append(all, l.string())
	}
	l.must("]")
	return all
}

func (l *line) optString(name string, into *string) {
	if l.field(name) {
		*into = l.string()
		l.odd = l.odd || *into == ""
	}
}

// string reads a text. One without escapes is a part of the line, not a copy.
func (l *line) string() string {
	l.must(`"`)
	if l.odd {
		return ""
	}
	end := ordinary(l.text, l.at)
	if end == len(l.text) {
		l.odd = true
		return ""
	}
	if l.text[end] != '"' {
		return l.special()
	}
	s := l.text[l.at:end]
	l.at = end + 1
	return s
}

// special reads a text that has more in it than ordinary characters.
func (l *line) special() string {
	for i := l.at; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '"':
			s := l.text[l.at:i]
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\u2028\u2029") {
				return l.escaped()
			}
			l.at = i + 1
			return s
		case c < utf8.RuneSelf && !plainByte[c]:
			return l.escaped()
		}
	}
	l.odd = true
	return ""
}

// plainByte are the bytes that stand for themselves in the text of a line.
var plainByte = func() (is [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		is[c] = strings.IndexByte(`"\\<>&`, c) < 0
	}
	return is
}()

// ordinary returns where in s the first byte from i on lies that is not plain. It
// looks at eight bytes at a time. Two pairs of those that are not differ in one bit
// only: < from >, and " from &.
func ordinary(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		control := (x - eachByte*' ') &^ x
		marked := (x | control | marks(x|eachByte*('<'^'>'), '>') | marks(x|eachByte*('"'^'&'), '&') | marks(x, '\\')) & (eachByte * 0x80)
		if marked != 0 {
			return i + bits.TrailingZeros64(marked)/8
		}
	}
	for i < len(s) && plainByte[s[i]] {
		i++
	}
	return i
}

const eachByte = 0x0101010101010101

// marks sets the highest bit of each byte of x that is c, and perhaps of bytes above
// the lowest such one, from which the subtraction borrows.
func marks(x uint64, c byte) uint64 {
	x ^= eachByte * uint64(c)
	return (x - eachByte) &^ x
}

// escaped reads a text of which the opening quote has been read.
func (l *line) escaped() (s string) {
	end := l.at
	for ; end < len(l.text) && l.text[end] != '"'; end++ {
		if l.text[end] == '\\' {
			end++
		}
	}
	quoted := []byte(l.text[l.at-1 : min(end+1, len(l.text))])
	err := json.Unmarshal(quoted, &s)
	again, _ := json.Marshal(s)
	l.odd = l.odd || err != nil || !bytes.Equal(again, quoted)
	l.at += len(quoted) - 1
	return s
}

func (l *line) optBytes(name string) (b []byte) {
	if l.field(name) {
		text := l.string()
		var err error
		b, err = base64.StdEncoding.Strict().DecodeString(text)
		l.odd = l.odd || err != nil || len(b) == 0 || base64.StdEncoding.EncodedLen(len(b)) != len(text)
	}
	return b
}

func (l *line) optTrue(name string) bool {
	if !l.field(name) {
		return false
	}
	l.must("true")
	return !l.odd
}

func (l *line) bool() bool {
	if l.take("true") {
		return true
	}
	l.must("false")
	return false
}

// uint reads a number up to a largest one.
func (l *line) uint(most uint64) (n uint64) {
	from := l.at
	for ; l.at < len(l.text) && l.text[l.at]-'0' < 10; l.at++ {
		digit := uint64(l.text[l.at] - '0')
		if n > (most-digit)/10 {
			l.odd = true
			return 0
		}
		n = n*10 + digit
	}
	if l.at == from || l.text[from] == '0' && l.at > from+1 {
		l.odd = true
	}
	return n
}

func (l *line) int() int {
	if !l.take("-") {
		return int(l.uint(math.MaxInt))
	}
	n := int(l.uint(math.MaxInt))
	l.odd = l.odd || n == 0
	return -n
}

func (l *line) optUint(name string, into *uint64) {
	if l.field(name) {
		*into = l.uint(math.MaxUint64)
		l.odd = l.odd || *into == 0
	}
}

func (l *line) optInt(name string, into *int) {
	if l.field(name) {
		*into = l.int()
		l.odd = l.odd || *into == 0
	}
}

// float reads a number in the shortest form that is no other number.
func (l *line) float() float64 {
	if f, ok := l.decimal(); ok {
		return f
	}
	rest := l.text[l.at:]
	end := strings.IndexAny(rest, ",}]")
	if end < 0 {
		l.odd = true
		return 0
	}
	f, err := strconv.ParseFloat(rest[:end], 64)
	size := math.Abs(f)
	var again [32]byte
	if err != nil || size != 0 && size < 1e-6 || size >= 1e21 || string(strconv.AppendFloat(again[:0], f, 'f', -1, 64)) != rest[:end] {
		l.odd = true
	}
	l.at += end
	return f
}

// decimal reads "12.5", of at most 15 digits: so many a float64 holds, so that they are
// what it is written with. What else there is, is read the long way.
func (l *line) decimal() (float64, bool) {
	whole, n := digits(l.text[l.at:])
	rest := l.text[l.at+n:]
	if n == 0 || n > 9 || rest == "" || rest[0] != '.' || n > 1 && l.text[l.at] == '0' {
		return 0, false
	}
	part, k := digits(rest[1:])
	rest = rest[1+k:]
	if k == 0 || k > 6 || part%10 == 0 || rest == "" || strings.IndexByte(",}]", rest[0]) < 0 {
		return 0, false
	}
	l.at += n + 1 + k
	return float64(whole*power[k]+part) / float64(power[k]), true
}

var power = [...]int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}

// digits reads up to ten of them.
func digits(s string) (value, n int) {
	for n < min(len(s), 10) && s[n]-'0' < 10 {
		value = value*10 + int(s[n]-'0')
		n++
	}
	return value, n
}

func (l *line) optFloat(name string, into *float64) {
	if l.field(name) {
		*into = l.float()
		l.odd = l.odd || *into == 0
	}
}

// time reads a time in UTC, which is how times are written: without zeros at the
// end of a fraction.
func (l *line) time() time.Time {
	text := l.string()
	n := len(text)
	const whole, most = len("2006-01-02T15:04:05"), len("2006-01-02T15:04:05.999999999Z")
	if l.odd = l.odd || n <= whole || n > most || text[n-1] != 'Z' || n > whole+1 && (text[whole] != '.' || text[n-2] == '0'); l.odd {
		return time.Time{}
	}
	if l.odd = n == whole+2; l.odd { // a fraction of nothing
		return time.Time{}
	}
	return l.clock(text[:whole], l.fraction(text[whole:n-1]))
}

// clock reads the time "2006-01-02T15:04:05" and adds nanoseconds.
func (l *line) clock(text string, nanoseconds int) time.Time {
	hour, minute, second := l.two(text[11:]), l.two(text[14:]), l.two(text[17:])
	l.odd = l.odd || text[10] != 'T' || text[13] != ':' || text[16] != ':' || hour > 23 || minute > 59 || second > 59
	midnight := l.midnight(text[:len(day{})])
	return time.Unix(midnight+int64(hour*3600+minute*60+second), int64(nanoseconds)).UTC()
}

// day is a date, "2006-01-02".
type day [10]byte

// midnight is when a day begins, in seconds since 1970. Most entries are of the same day
// as the one before.
func (l *line) midnight(date string) int64 {
	if l.said != nil && string(l.said.day[:]) == date {
		return l.said.midnight
	}
	l.odd = l.odd || date[4] != '-' || date[7] != '-'
	year, month, of := l.two(date)*100+l.two(date[2:]), l.two(date[5:]), l.two(date[8:])
	t := time.Date(year, time.Month(month), of, 0, 0, 0, 0, time.UTC)
	// package time takes the 31st of April for the 1st of May
	l.odd = l.odd || t.Day() != of || int(t.Month()) != month
	if l.said != nil && !l.odd {
		copy(l.said.day[:], date)
		l.said.midnight = t.Unix()
	}
	return t.Unix()
}

// two is a number of two digits.
func (l *line) two(s string) int {
	tens, ones := s[0]-'0', s[1]-'0'
	l.odd = l.odd || tens > 9 || ones > 9
	return int(tens)*10 + int(ones)
}

// fraction is ".5" in nanoseconds.
func (l *line) fraction(s string) (n int) {
	for i := 1; i < len(s); i++ {
		digit := s[i] - '0'
		l.odd = l.odd || digit > 9
		n = n*10 + int(digit)
	}
	for range len("999999999") + 1 - max(len(s), 1) {
		n *= 10
	}
	return n
}

// mac reads a MAC; "" is none.
func (l *line) mac() (m chip.MAC) {
	text := l.string()
	if text == "" {
		return m
	}
	if len(text) != len("24:0a:c4:01:02:03") {
		l.odd = true
		return m
	}
	for i := range m {
		high, low := hexDigit[text[3*i]], hexDigit[text[3*i+1]]
		l.odd = l.odd || high|low > 15 || i > 0 && text[3*i-1] != ':'
		m[i] = high<<4 | low
	}
	l.odd = l.odd || m.IsZero()
	return m
}

// hexDigit is the value of a digit as MACs are written; more than 15 is none.
var hexDigit = func() (value [256]byte) {
	for c := range value {
		value[c] = byte(strings.IndexByte("0123456789abcdef", byte(c)))
	}
	return value
}()
