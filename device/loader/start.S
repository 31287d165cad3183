// Entry and end of the RAM loader. The ROM's serial loader jumps to the first byte.

	.section .entry, "ax"
	.global entry
entry:	j	start

	.text
	.align	4
	.literal_position

// No interrupts, no register windows; data is zero; the stack is ours.
start:
	movi	a2, 0x2f
	wsr.ps	a2
	rsync
	movi	a1, stack_top
	movi	a2, data_start
	movi	a3, stack_top
	movi	a4, 0
1:	s32i	a4, a2, 0
	addi	a2, a2, 4
	bltu	a2, a3, 1b
	call0	run

// Overwrites all that the loader has held, its stack too, and resets the chip.
	.align	4
	.global finish
finish:
	movi	a2, data_start
	movi	a3, stack_top
	movi	a4, 0
2:	s32i	a4, a2, 0
	addi	a2, a2, 4
	bltu	a2, a3, 2b
	memw
	movi	a2, 0x3ff48000		// RTC_CNTL_OPTIONS0
	l32i	a3, a2, 0
	movi	a4, 0x80000000		// SW_SYS_RST
	or	a3, a3, a4
	s32i	a3, a2, 0
3:	j	3b
