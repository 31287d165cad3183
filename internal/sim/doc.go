// Package sim is a virtual ESP32 on a serial port: mask ROM loader, eFuse
// controller, NOR flash, boot from flash, DTR and RTS, and every fault a
// factory meets, as data. Its loader answers what the real mask ROM answered,
// byte for byte; its console says what a real chip says.
//
// It is written from the chip's facts alone and shares with the code that it
// tests only SLIP framing and the table of fuse fields, so that one misreading
// cannot agree with itself. The second-stage bootloader
// and the application are known by their images and play their consoles. Code
// that the loader is given for RAM is executed, instruction by instruction.
//
//	chip, err := sim.New(sim.Options{MAC: mac})
//	port, err := chip.Open()   // Read, Write, SetReadDeadline, SetBaud, SetLines, Close
//
// A chip is safe for concurrent use. Everything happens inside the calls of
// its port: a chip has no goroutine of its own, and at full speed it never sleeps.
package sim
