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

// farewell(four words and their CRC): overwrites all that the loader has held, its
// stack too, and only then says so, out of registers. Then it resets the chip.
	.align	4
	.global farewell
farewell:
	movi	a7, data_start
	movi	a8, stack_top
	movi	a9, 0
2:	s32i	a9, a7, 0
	addi	a7, a7, 4
	bltu	a7, a8, 2b
	memw
	movi	a7, 0x3ff4001c		// UART_STATUS: what has not been sent yet
3:	memw
	l32i	a8, a7, 0
	extui	a8, a8, 16, 8
	bnez	a8, 3b
	movi	a10, 0x60000000
	movi	a11, 0xc0
	movi	a12, 0xdb
	memw
	s32i	a11, a10, 0
	movi	a13, 5			// words
4:	movi	a14, 4			// bytes of each
5:	extui	a8, a2, 0, 8
	srli	a2, a2, 8
	beq	a8, a11, 7f
	beq	a8, a12, 8f
6:	memw
	s32i	a8, a10, 0
	addi	a14, a14, -1
	bnez	a14, 5b
	mov	a2, a3
	mov	a3, a4
	mov	a4, a5
	mov	a5, a6
	addi	a13, a13, -1
	bnez	a13, 4b
	memw
	s32i	a11, a10, 0
	j	sent
7:	memw
	s32i	a12, a10, 0
	movi	a8, 0xdc
	j	6b
8:	memw
	s32i	a12, a10, 0
	movi	a8, 0xdd
	j	6b

// Overwrites all that the loader has held and resets the chip.
	.align	4
	.global finish
finish:
	movi	a7, data_start
	movi	a8, stack_top
	movi	a9, 0
9:	s32i	a9, a7, 0
	addi	a7, a7, 4
	bltu	a7, a8, 9b
sent:	movi	a7, entry		// whose code is not to be seen here any more
	movi	a8, 0
	s32i	a8, a7, 0
	movi	a7, 0x3ff4001c
10:	memw
	l32i	a8, a7, 0
	extui	a8, a8, 16, 8
	bnez	a8, 10b
	movi	a8, 40000		// cycles, for the byte on the line
	rsr.ccount a7
11:	rsr.ccount a9
	sub	a9, a9, a7
	bltu	a9, a8, 11b
	memw
	movi	a2, 0x3ff48000		// RTC_CNTL_OPTIONS0
	l32i	a3, a2, 0
	movi	a4, 0x80000000		// SW_SYS_RST
	or	a3, a3, a4
	s32i	a3, a2, 0
12:	j	12b
