// Every instruction that the interpreter knows, in every form that the assembler
// has for it. Each result goes to the next word of the results; the test has the
// values, worked out from the manual. "ret.n" of the last line ends it.
	.macro put reg
	s32i	\reg, a15, 0
	addi	a15, a15, 4
	.endm
	# taken: 1 where the branch was taken, 0 where it was not
	.macro taken insn:vararg
	movi	a14, 1
	\insn, 1f
	movi	a14, 0
1:	put	a14
	.endm

	.section .entry, "ax"
	.global entry
entry:	j	start
	.text
	.align 4
	.literal_position
start:
	mov	a13, a0
	movi	a15, 0x3ffb0000
	movi	a2, 0x12345678
	movi	a3, -7
	movi	a4, 5
	put	a2
	put	a3
	and	a5, a2, a4
	put	a5
	or	a5, a2, a4
	put	a5
	xor	a5, a2, a3
	put	a5
	neg	a5, a3
	put	a5
	abs	a5, a3
	put	a5
	abs	a5, a4
	put	a5
	add	a5, a2, a3
	put	a5
	addx2	a5, a2, a4
	put	a5
	addx4	a5, a2, a4
	put	a5
	addx8	a5, a2, a4
	put	a5
	sub	a5, a2, a4
	put	a5
	subx2	a5, a2, a4
	put	a5
	subx4	a5, a2, a4
	put	a5
	subx8	a5, a2, a4
	put	a5
	addi	a5, a2, -128
	put	a5
	addmi	a5, a2, 0x7f00
	put	a5
	addmi	a5, a2, -0x8000
	put	a5
	movi	a5, -2048
	put	a5
	movi.n	a5, 95
	put	a5
	movi.n	a5, -32
	put	a5
	add.n	a5, a2, a3
	put	a5
	addi.n	a5, a2, -1
	put	a5
	addi.n	a5, a2, 15
	put	a5
	mov.n	a5, a3
	put	a5
	# conditional moves
	movi	a6, 0
	movi	a5, 1
	moveqz	a5, a2, a6
	put	a5
	movi	a5, 1
	moveqz	a5, a2, a4
	put	a5
	movi	a5, 1
	movnez	a5, a2, a4
	put	a5
	movi	a5, 1
	movltz	a5, a2, a3
	put	a5
	movi	a5, 1
	movltz	a5, a2, a6
	put	a5
	movi	a5, 1
	movgez	a5, a2, a6
	put	a5
	# shifts
	extui	a5, a2, 4, 16
	put	a5
	extui	a5, a2, 20, 3
	put	a5
	slli	a5, a2, 1
	put	a5
	slli	a5, a2, 31
	put	a5
	slli	a5, a2, 17
	put	a5
	srli	a5, a2, 15
	put	a5
	srai	a5, a3, 1
	put	a5
	srai	a5, a3, 20
	put	a5
	ssl	a4
	sll	a5, a2
	put	a5
	ssl	a6
	sll	a5, a2
	put	a5
	ssr	a4
	srl	a5, a2
	put	a5
	sra	a5, a3
	put	a5
	src	a5, a2, a3
	put	a5
	ssai	19
	srl	a5, a2
	put	a5
	movi	a7, 3
	ssa8l	a7
	src	a5, a2, a3
	put	a5
	ssa8b	a7
	src	a5, a2, a3
	put	a5
	nsa	a5, a3
	put	a5
	nsa	a5, a2
	put	a5
	nsau	a5, a4
	put	a5
	nsau	a5, a6
	put	a5
	mul16u	a5, a2, a3
	put	a5
	mul16s	a5, a2, a3
	put	a5
	mull	a5, a2, a3
	put	a5
	# memory
	movi	a8, 0x3ffb0800
	s32i	a2, a8, 1020
	l32i	a5, a8, 1020
	put	a5
	s32i.n	a3, a8, 60
	l32i.n	a5, a8, 60
	put	a5
	s16i	a3, a8, 510
	l16ui	a5, a8, 510
	put	a5
	l16si	a5, a8, 510
	put	a5
	s8i	a3, a8, 255
	l8ui	a5, a8, 255
	put	a5
	l8ui	a5, a8, 511
	put	a5
	l32r	a5, constant
	put	a5
	# special registers
	movi	a5, 21
	wsr.sar	a5
	rsr.sar	a9
	put	a9
	movi	a5, 9
	xsr.sar	a5
	put	a5
	movi	a5, 0x2f
	wsr.ps	a5
	rsync
	rsil	a9, 3
	put	a9
	rsr.ps	a9
	put	a9
	movi	a5, 0x40000000
	wsr.vecbase a5
	rsr.vecbase a9
	put	a9
	memw
	extw
	isync
	esync
	dsync
	nop
	nop.n
	# branches
	taken	beqz	a6
	taken	beqz	a4
	taken	bnez	a4
	taken	bnez	a6
	taken	beqz.n	a6
	taken	bnez.n	a6
	taken	bltz	a3
	taken	bltz	a6
	taken	bgez	a6
	taken	bgez	a3
	taken	beqi	a4, 5
	taken	beqi	a3, -1
	taken	bnei	a4, 256
	taken	blti	a3, -1
	taken	blti	a4, 4
	taken	bgei	a4, 5
	taken	bgei	a3, 1
	taken	bltui	a4, 32768
	taken	bltui	a3, 65536
	taken	bgeui	a3, 65536
	taken	beq	a4, a4
	taken	beq	a4, a3
	taken	bne	a4, a3
	taken	blt	a3, a4
	taken	blt	a4, a3
	taken	bge	a4, a3
	taken	bltu	a4, a3
	taken	bltu	a3, a4
	taken	bgeu	a3, a4
	taken	bnone	a4, a6
	taken	bnone	a4, a3
	taken	bany	a4, a3
	taken	bany	a4, a6
	taken	ball	a3, a6
	taken	ball	a4, a3
	taken	bnall	a4, a3
	taken	bbs	a4, a6
	taken	bbc	a4, a6
	movi	a7, 33
	taken	bbs	a4, a7
	taken	bbci	a3, 31
	taken	bbsi	a3, 31
	taken	bbci	a4, 1
	taken	bbsi	a4, 1
	# calls
	call0	callee
	put	a5
	movi	a9, callee
	callx0	a9
	put	a5
	movi	a9, 1f
	jx	a9
	put	a6
1:	j	2f
	put	a6
2:	put	a4
	mov	a0, a13
	ret.n
	.align 4
callee:
	addi	a5, a5, 1
	ret
	.align 4
	.literal_position
	.literal constant, 0xcafef00d
