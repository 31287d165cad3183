package identity

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/secret"
)

const vectors = "../../fixtures/nvs/"

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(vectors + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func template(t testing.TB, name string) *Template {
	t.Helper()
	x, err := ParseTemplate(vectors+name, vector(t, name), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// What ESP-IDF's own generator made of these files, byte for byte.
func TestNVSOfGenerator(t *testing.T) {
	for _, v := range []struct{ csv, bin string }{{"a.csv", "a.bin"}, {"small.csv", "small.bin"}} {
		want := vector(t, v.bin)
		got, err := template(t, v.csv).NVS(len(want), &Values{})
		if err != nil {
			t.Fatal(err)
		}
		defer got.Destroy()
		same(t, v.bin, got.Reveal(), want)
	}
}

func TestNVSEncrypted(t *testing.T) {
	want, page := vector(t, "enc.bin"), vector(t, "enc.keys.bin")
	got, err := template(t, "a.csv").NVS(len(want), &Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Destroy()
	keys, err := secret.New(bytes.Clone(page[:NVSKeySize]))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	if err := EncryptNVS(got, keys); err != nil {
		t.Fatal(err)
	}
	same(t, "enc.bin", got.Reveal(), want)
	made, err := NVSKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Destroy()
	same(t, "enc.keys.bin", made.Reveal(), page)
}

// The keys that a chip makes of its key for HMACs are those that Espressif's tool makes.
func TestNVSEncryptedByHMAC(t *testing.T) {
	want := vector(t, "hmac.bin")
	got, err := template(t, "small.csv").NVS(len(want), &Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Destroy()
	key, err := secret.New(vector(t, "hmac.key"))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	keys, err := KeysOfHMAC(key)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	if err := EncryptNVS(got, keys); err != nil {
		t.Fatal(err)
	}
	same(t, "hmac.bin", got.Reveal(), want)
	if _, err := KeysOfHMAC(nil); err == nil {
		t.Error("keys of no key")
	}
}

func same(t *testing.T, name string, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d bytes, want %d", name, len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: differs at %#x:\ngot  %x\nwant %x", name, i, got[i&^31:i|31+1], want[i&^31:i|31+1])
		}
	}
}

const head = "key,type,encoding,value\n"

func TestTemplateFaults(t *testing.T) {
	long := strings.Repeat("x", 4000)
	for _, v := range []struct {
		csv  string
		want []string
	}{
		{"", []string{"t.csv:1: the template has no rows"}},
		{"key;type\n", []string{"t.csv:1: the first row is"}},
		{head + "a,namespace,\n", []string{"t.csv:2: the row has 3 columns, want 4"}},
		{head + "a,data,u8,1\n", []string{"t.csv:2: type: the first row is no namespace"}},
		{head + "n,namespace,,\nabcdefghijklmnop,data,u8,1\n", []string{`t.csv:3: key: "abcdefghijklmnop" has 16 characters; NVS takes at most 15`}},
		{head + "n,namespace,,\na,data,u8,256\nb,data,i8,-129\nc,data,u64,18446744073709551616\nd,data,u16,x\n",
			[]string{`t.csv:3: value: "256" is no number from 0 to 255`, `t.csv:4: value: "-129" is no number from -128 to 127`, `t.csv:5: value: "18446744073709551616" is no number from 0 to 18446744073709551615`, `t.csv:6: value: "x" is no number from 0 to 65535`}},
		{head + "n,namespace,,\ns,data,string," + long + "\n", []string{"t.csv:3: value: the string has 4000 bytes; NVS takes at most 4000 with its final zero"}},
		{head + "n,namespace,,\nh,data,hex2bin,0g\nb,data,base64,!\n", []string{"t.csv:3: value: no hexadecimal digits", "t.csv:4: value: no base64"}},
		{head + "n,namespace,,\na,data,u8,1\na,data,u8,2\nm,namespace,,\na,data,u8,3\n", []string{`t.csv:4: key: "a" stands in line 3 already`}},
		{head + "n,namespace,,\na,data,f32,1\nb,text,u8,1\nc,file,u8,x\n", []string{`t.csv:3: encoding: "f32" is not known`, `t.csv:4: type: "text" is not known`, `t.csv:5: encoding: "u8" is not known for type file`, "t.csv:5: value: open x"}},
		{head + "n,namespace,,\nf,file,string,nowhere.pem\n", []string{"t.csv:3: value: open nowhere.pem"}},
		{head + "n,namespace,,\na,data,string,\"x\n", []string{"t.csv:3: "}},
	} {
		_, err := ParseTemplate("t.csv", []byte(v.csv), os.ReadFile)
		wantFaults(t, v.csv, err, v.want)
	}
	for _, v := range []struct {
		csv  string
		want []string
	}{
		{head + "n,namespace,,\na,data,string,{nobody}\nb,data,string,{mac\nc,data,binary,x{id}\n",
			[]string{"t.csv:3: value: no placeholder is called {nobody}; write one of {mac} {id}", "t.csv:4: value: a { without its }", "t.csv:5: value: with bytes, {id} stands alone"}},
		{head + "n,namespace,,\na,data,string,{serial}\nb,data,binary,{private-key}\n",
			[]string{"t.csv:3: value: the device has no {serial}", "t.csv:4: value: the job makes no {private-key}"}},
		{head + "n,namespace,,\na,data,u8,{batch}\n", []string{`t.csv:3: value: "b-7" is no number from 0 to 255`}},
		{head + "n,namespace,,\n" + strings.Repeat("x", 8) + ",data,string," + long[:3990] + "\ny,data,string," + long[:3990] + "\nz,data,string," + long[:3990] + "\n", []string{"t.csv:4: the partition is too small: 0x3000 bytes are full; make the partition larger"}},
	} {
		x, err := ParseTemplate("t.csv", []byte(v.csv), nil)
		if err == nil {
			_, err = x.NVS(0x3000, &Values{ID: strings.Repeat("0", 32), Batch: "b-7"})
		}
		wantFaults(t, v.csv, err, v.want)
	}
	if _, err := template(t, "small.csv").NVS(0x2000, &Values{}); err == nil || !strings.Contains(err.Error(), "at least 3") {
		t.Errorf("two pages: got %v", err)
	}
}

func wantFaults(t *testing.T, csv string, err error, want []string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if len(got) != len(want) {
		t.Errorf("%.60q:\ngot  %q\nwant %q", csv, got, want)
		return
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%.60q:\ngot  %q\nwant %q", csv, got[i], want[i])
		}
	}
}

// deviceValues are those of one device.
func deviceValues(t testing.TB) *Values {
	t.Helper()
	token, err := secret.New(bytes.Repeat([]byte{0xa5}, 32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(token.Destroy)
	return &Values{MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, ID: ID(bytes.Repeat([]byte{0x12, 0x34}, 16)), Serial: "SN7", Batch: "b1", Job: "lamp", Revision: "2", Token: token}
}

// entriesOf reads a partition as NVS does: keys and what is stored under them.
func entriesOf(b []byte) map[string]string {
	out := map[string]string{}
	for page := 0; page < len(b); page += pageSize {
		for n := 0; n < pageEntries; {
			e := b[page+entriesAt+n*entrySize:]
			if b[page+bitmapAt+n/4]>>(2*(n%4))&3 != 2 {
				n++
				continue
			}
			key := strings.TrimRight(string(e[8:24]), "\x00")
			switch e[1] {
			case kindString, kindBlobData:
				size := binary.LittleEndian.Uint16(e[24:])
				out[key] += string(e[entrySize : entrySize+int(size)])
			case kindBlobIdx:
			default:
				out[key] = string(e[24 : 24+e[1]&0xf])
			}
			n += int(e[2])
		}
	}
	return out
}

// A file of a row lies beside the template, or where its whole path says.
func TestFilesOfTemplates(t *testing.T) {
	for name, want := range map[string]string{"cert.pem": "dir/cert.pem", "/etc/cert.pem": "/etc/cert.pem"} {
		rows := "key,type,encoding,value\nns,namespace,,\nc,file,string," + name + "\n"
		got := ""
		_, err := ParseTemplate("dir/nvs.csv", []byte(rows), func(path string) ([]byte, error) { got = path; return nil, nil })
		if err != nil || got != want {
			t.Errorf("%s: read %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	csv := head + `n,namespace,,
mac,data,string,{mac}
raw,data,binary,{mac}
hexmac,data,hex2bin,{mac}
id,data,string,id-{id}-{serial}
idraw,data,binary,{id}
tok,data,hex2bin,{token}
tokraw,data,binary,{token}
toktext,data,string,{token}
rev,data,u8,{revision}
what,data,string,{job} {batch}
`
	x, err := ParseTemplate("t.csv", []byte(csv), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.NVS(0x3000, deviceValues(t))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Destroy()
	e := entriesOf(got.Reveal())
	token := strings.Repeat("\xa5", 32)
	for key, want := range map[string]string{
		"mac": "24:0a:c4:01:02:03\x00", "raw": "\x24\x0a\xc4\x01\x02\x03", "hexmac": "\x24\x0a\xc4\x01\x02\x03",
		"id": "id-" + strings.Repeat("1234", 8) + "-SN7\x00", "idraw": strings.Repeat("\x12\x34", 8),
		"tok": token, "tokraw": token, "toktext": strings.Repeat("a5", 32) + "\x00", "rev": "\x02", "what": "lamp b1\x00",
	} {
		if e[key] != want {
			t.Errorf("%s: got %q, want %q", key, e[key], want)
		}
	}
}

func TestPlaceholderNames(t *testing.T) {
	if got := strings.Join(Placeholders(), " "); got != "mac id serial batch job revision certificate ca token private-key" {
		t.Errorf("got %s", got)
	}
}

// FuzzTemplate: no template makes it panic, and what it takes can be read back.
func FuzzTemplate(f *testing.F) {
	for _, name := range []string{"a.csv", "small.csv"} {
		b, err := os.ReadFile(vectors + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(head + "n,namespace,,\na,data,string,{token}\n"))
	f.Fuzz(func(t *testing.T, csv []byte) {
		x, err := ParseTemplate("t.csv", csv, func(string) ([]byte, error) { return []byte("00"), nil })
		if err != nil {
			return
		}
		got, err := x.NVS(0x4000, deviceValues(t))
		if err != nil {
			return
		}
		defer got.Destroy()
		entriesOf(got.Reveal())
	})
}
