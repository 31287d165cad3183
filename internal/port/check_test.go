package port

import (
	"strings"
	"testing"
)

// A name that can be no port's is found without looking for the port.
func TestCheck(t *testing.T) {
	for _, name := range []string{"/dev/ttyUSB0", "COM3", "usb:1-2.3", "usb:1-2.3:1.0", "socket://host:5555", "rfc2217://[::1]:4000?ign_set_control"} {
		if err := Check(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                         "want a device path",
		"carrier://pigeon":         "unknown kind carrier://; want a device path, usb:PATH, rfc2217://, socket://",
		"://x":                     "unknown kind",
		"usb:3":                    "want usb:SOCKET:INTERFACE",
		"socket://host":            "want socket://HOST:PORT",
		"rfc2217://host:":          "want rfc2217://HOST:PORT",
		"rfc2217://host:99999":     `want rfc2217://HOST:PORT: there is no TCP port "99999"; a port is a number up to 65535`,
		"socket://host:-1":         `there is no TCP port "-1"`,
		"socket://host:0":          "nothing listens at port 0",
		"rfc2217://host:1?logging": "unknown option ?logging",
	} {
		if err := Check(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}
