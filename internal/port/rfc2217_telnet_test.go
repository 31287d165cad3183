package port

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// events decodes pieces of a stream and writes down what is in it.
func events(pieces ...[]byte) (data []byte, commands []string) {
	var t telnet
	for _, p := range pieces {
		p = bytes.Clone(p)
		n := t.decode(p, func(c command) { commands = append(commands, fmt.Sprintf("%x %d % x", c.verb, c.option, c.params)) })
		data = append(data, p[:n]...)
	}
	return data, commands
}

func TestTelnetStream(t *testing.T) {
	for _, c := range []struct {
		name, stream, data string
		commands           []string
	}{
		{"data", "\xc0\x00\r\n\xdb\xc0", "\xc0\x00\r\n\xdb\xc0", nil},
		{"a byte 255", "a\xff\xffb", "a\xffb", nil},
		{"consent", "a\xff\xfd\x2cb", "ab", []string{"fd 44 "}},
		{"no option", "a\xff\xf1b\xff\xf6", "ab", nil},
		{"an answer", "a\xff\xfa\x2c\x65\x00\x0e\x10\x00\xff\xf0b", "ab", []string{"fa 44 65 00 0e 10 00"}},
		{"255 among parameters", "\xff\xfa\x2c\x6b\xff\xff\xff\xf0", "", []string{"fa 44 6b ff"}},
		{"SE that is a parameter", "\xff\xfa\x2c\x6b\xf0\xff\xf0", "", []string{"fa 44 6b f0"}},
		{"empty", "\xff\xfa\xff\xf0b", "b", nil},
		{"never ended", "\xff\xfa\x2c\x65\xff\xfd\x00b", "b", []string{"fd 0 "}},
		{"too long", "\xff\xfa\x2c" + string(make([]byte, 5000)) + "\xff\xf0b", "b", nil},
	} {
		data, commands := events([]byte(c.stream))
		if string(data) != c.data || !slices.Equal(commands, c.commands) {
			t.Errorf("%s: got %q, %q, want %q, %q", c.name, data, commands, c.data, c.commands)
		}
	}
}

// What is escaped comes back, and a stream means the same however a network
// cuts it.
func FuzzTelnet(f *testing.F) {
	f.Add([]byte("\xc0\xff\xff\xff"), uint8(1))
	f.Add([]byte("a\xff\xfa\x2c\x65\xff\xff\x0e\x10\x00\xff\xf0b\xff\xfd\x2c"), uint8(4))
	f.Add([]byte("\xff\xfa\x2c\xff\xfb"), uint8(2))
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		if data, commands := events(appendData(nil, p)); !bytes.Equal(data, p) || commands != nil {
			t.Errorf("data % x came back as % x, %q", p, data, commands)
		}
		if len(p) < maxParams {
			data, commands := events(appendParams(nil, optComPort, p...))
			if want := fmt.Sprintf("fa 44 % x", p); len(data) > 0 || len(commands) != 1 || commands[0] != want {
				t.Errorf("parameters % x came back as % x, %q", p, data, commands)
			}
		}
		data, commands := events(p)
		cutData, cutCommands := events(slices.Collect(slices.Chunk(p, int(cut)+1))...)
		if !bytes.Equal(data, cutData) || !slices.Equal(commands, cutCommands) {
			t.Errorf("% x: got % x, %q in one piece and % x, %q in pieces of %d", p, data, commands, cutData, cutCommands, int(cut)+1)
		}
		if len(data) > len(p) {
			t.Errorf("%d bytes out of %d", len(data), len(p))
		}
	})
}

func TestOptions(t *testing.T) {
	var o options
	o.request()
	for _, c := range []struct {
		verb, option byte
		reply        string
	}{
		{telDo, optComPort, ""}, // what was asked for
		{telDo, optComPort, ""}, // again
		{telWill, optComPort, "\xff\xfd\x2c"},
		{telWill, optBinary, ""},
		{telDo, optBinary, ""},
		{telWill, 1, "\xff\xfe\x01"}, // echo is not wanted
		{telDo, 24, "\xff\xfc\x18"},
		{telWont, 1, ""},
		{telDont, 24, ""},
		{telDont, optSGA, ""},
		{telDo, optSGA, "\xff\xfb\x03"}, // another mind
		{telDont, optSGA, "\xff\xfc\x03"},
		{telDont, optSGA, ""},
	} {
		if got := o.receive(c.verb, c.option); string(got) != c.reply {
			t.Errorf("% x %d: got % x, want % x", c.verb, c.option, got, c.reply)
		}
	}
	if !o.comPort() || !o.settled() {
		t.Error("agreed, and does not know it")
	}
}

// Two ends that answer each other come to an end, whatever they say first.
func TestOptionsComeToAnEnd(t *testing.T) {
	for verb := telWill; verb <= telDont; verb++ {
		for option := range 46 {
			var near, far options
			near.request()
			far.request()
			ends, said := [2]*options{&far, &near}, []byte{telIAC, byte(verb), byte(option)}
			turns := 0
			for ; said != nil; turns++ {
				said = ends[turns%2].receive(said[1], said[2])
			}
			if turns > 3 {
				t.Errorf("%x %d: %d turns", verb, option, turns)
			}
		}
	}
}
