package port

import "golang.org/x/sys/unix"

// keepLines leaves DTR and RTS as they are when the port is closed (HUPCL off),
// so that closing it does nothing to the chip.
func keepLines(w wire) {
	t, ok := w.(*tty)
	if !ok {
		return
	}
	if settings, err := unix.IoctlGetTermios(t.fd, unix.TCGETS); err == nil {
		settings.Cflag &^= unix.HUPCL
		_ = unix.IoctlSetTermios(t.fd, unix.TCSETS, settings)
	}
}
