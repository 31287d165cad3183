package xtensa

// operation is an instruction without its operands. What differs in its
// encoding only (density, branches with constants of 4 bits) is one.
type operation byte

const (
	opNone operation = iota // not decoded yet
	opUnknown
	opNop
	opAnd
	opOr
	opXor
	opNeg
	opAbs
	opAdd  // r = s<<imm + t
	opSub  // r = s<<imm - t
	opAddi // t = s + imm
	opMovi // t = imm
	opMov  // t = s
	opMoveqz
	opMovnez
	opMovltz
	opMovgez
	opExtui // r = t>>s & imm
	opSlli
	opSrli
	opSrai
	opSll
	opSrl
	opSra
	opSrc
	opSsr
	opSsl
	opSsa8l
	opSsa8b
	opSsai
	opNsa
	opNsau
	opMul16u
	opMul16s
	opMull
	opL8ui
	opL16ui
	opL16si
	opL32i
	opL32r // imm is the address
	opS8i
	opS16i
	opS32i
	opRsr
	opWsr
	opXsr
	opRsil
	opJ // imm is where a branch goes
	opJx
	opCall0
	opCallx0
	opBeqz
	opBnez
	opBltz
	opBgez
	opBeqi // the constant is k
	opBnei
	opBlti
	opBgei
	opBltui
	opBgeui
	opBnone
	opBeq
	opBlt
	opBltu
	opBall
	opBbc
	opBbci
	opBany
	opBne
	opBge
	opBgeu
	opBnall
	opBbs
	opBbsi
)

type instruction struct {
	op      operation
	r, s, t byte
	size    byte
	imm     int32
	k       int32
}

var (
	constants         = [16]int32{-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256}
	constantsUnsigned = [16]int32{32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256}
)

// Tables by a field of the instruction.
var (
	arithmetic = [16]operation{1: opAnd, 2: opOr, 3: opXor, 8: opAdd, 9: opAdd, 10: opAdd, 11: opAdd, 12: opSub, 13: opSub, 14: opSub, 15: opSub}
	shifts     = [16]operation{0: opSlli, 1: opSlli, 2: opSrai, 3: opSrai, 4: opSrli, 6: opXsr, 8: opSrc, 9: opSrl, 10: opSll, 11: opSra, 12: opMul16u, 13: opMul16s}
	moves      = [16]operation{0: opRsr, 1: opWsr, 8: opMoveqz, 9: opMovnez, 10: opMovltz, 11: opMovgez}
	amounts    = [16]operation{0: opSsr, 1: opSsl, 2: opSsa8l, 3: opSsa8b, 4: opSsai, 14: opNsa, 15: opNsau}
	memory     = [16]operation{0: opL8ui, 1: opL16ui, 2: opL32i, 4: opS8i, 5: opS16i, 6: opS32i, 9: opL16si, 10: opMovi, 12: opAddi, 13: opAddi}
	branches   = [16]operation{opBnone, opBeq, opBlt, opBltu, opBall, opBbc, opBbci, opBbci, opBany, opBne, opBge, opBgeu, opBnall, opBbs, opBbsi, opBbsi}
	zeros      = [4]operation{opBeqz, opBnez, opBltz, opBgez}
	immediate  = [4]operation{opBeqi, opBnei, opBlti, opBgei}
	unsigned   = [4]operation{2: opBltui, 3: opBgeui}
)

// decode takes the three bytes at pc apart, of which a narrow instruction uses two.
func decode(raw, pc uint32) instruction {
	in := instruction{size: 3, t: byte(raw >> 4 & 15), s: byte(raw >> 8 & 15), r: byte(raw >> 12 & 15)}
	byteOff := int32(int8(raw >> 16))
	switch raw & 15 {
	case 0:
		in.register(raw)
	case 1:
		in.op, in.imm = opL32r, int32((pc+3)&^3+(0xfffc0000|raw>>8&0xffff<<2))
	case 2:
		in.memory(raw)
	case 5:
		if in.t&3 == 0 {
			in.op, in.imm = opCall0, int32(pc&^3)+int32(raw<<8)>>14<<2+4
		}
	case 6:
		in.jump(raw, pc)
	case 7:
		in.op, in.imm, in.k = branches[in.r], int32(pc)+4+byteOff, int32(in.t)|int32(in.r&1)<<4
	default:
		in.narrow(raw&15, pc)
	}
	if in.op == opNone {
		return instruction{op: opUnknown, size: 3, imm: int32(raw)}
	}
	return in
}

// register are the instructions between registers, by their last byte.
func (in *instruction) register(raw uint32) {
	op1, op2 := raw>>16&15, raw>>20
	switch op1 {
	case 0:
		in.arithmetic(op2)
	case 1:
		in.shift(op2)
	case 2:
		if op2 == 8 {
			in.op = opMull
		}
	case 3:
		in.op, in.imm = moves[op2], int32(raw>>8&0xff)
	case 4, 5:
		in.op, in.k, in.imm = opExtui, int32(in.s)|int32(op1&1)<<4, 1<<(op2+1)-1
	}
}

func (in *instruction) arithmetic(op2 uint32) {
	switch in.op, in.imm = arithmetic[op2], int32(op2&3); op2 {
	case 0:
		in.control()
	case 4:
		in.op, in.imm = amounts[in.r], int32(in.s)|int32(in.t&1)<<4
	case 6:
		if in.s < 2 {
			in.op = []operation{opNeg, opAbs}[in.s]
		}
	}
}

// control is what jumps by a register, and what waits for memory.
func (in *instruction) control() {
	switch {
	case in.r == 0 && in.t == 8 && in.s == 0: // RET
		in.op = opJx
	case in.r == 0 && in.t == 10:
		in.op = opJx
	case in.r == 0 && in.t == 12:
		in.op = opCallx0
	case in.r == 2 && in.s == 0: // ISYNC to NOP
		switch in.t {
		case 0, 1, 2, 3, 8, 12, 13, 15:
			in.op = opNop
		}
	case in.r == 6:
		in.op = opRsil
	}
}

func (in *instruction) shift(op2 uint32) {
	switch in.op = shifts[op2]; in.op {
	case opSlli:
		in.imm = 32 - int32(uint32(in.t)|op2&1<<4)
	case opSrai:
		in.imm = int32(uint32(in.s) | op2&1<<4)
	case opSrli:
		in.imm = int32(in.s)
	case opXsr:
		in.imm = int32(in.r)<<4 | int32(in.s)
	}
}

func (in *instruction) memory(raw uint32) {
	in.op, in.imm = memory[in.r], int32(raw>>16)
	switch in.r {
	case 1, 5, 9:
		in.imm <<= 1
	case 2, 6:
		in.imm <<= 2
	case 10:
		in.imm = int32(uint32(in.s)<<28|raw>>16<<20) >> 20
	case 12:
		in.imm = int32(int8(in.imm))
	case 13:
		in.imm = int32(int8(in.imm)) << 8
	}
}

// jump are J and the branches on one register.
func (in *instruction) jump(raw, pc uint32) {
	m := in.t >> 2
	here := int32(pc) + 4
	switch in.t & 3 {
	case 0:
		in.op, in.imm = opJ, here+int32(raw<<8)>>14
	case 1:
		in.op, in.imm = zeros[m], here+int32(raw<<8)>>20
	case 2:
		in.op, in.imm, in.k = immediate[m], here+int32(int8(raw>>16)), constants[in.r]
	case 3:
		in.op, in.imm, in.k = unsigned[m], here+int32(int8(raw>>16)), constantsUnsigned[in.r]
	}
}

// narrow are the instructions of two bytes, as the ones of three that they stand for.
func (in *instruction) narrow(op0, pc uint32) {
	in.size = 2
	switch op0 {
	case 8, 9:
		in.op, in.imm = []operation{opL32i, opS32i}[op0-8], int32(in.r)*4
	case 10:
		in.op, in.imm = opAdd, 0
	case 11:
		constant := int32(in.t)
		if constant == 0 {
			constant = -1
		}
		in.op, in.imm, in.t = opAddi, constant, in.r
	case 12:
		in.narrowConstant(pc)
	case 13:
		in.narrowMove()
	}
}

func (in *instruction) narrowConstant(pc uint32) {
	if in.t&8 == 0 {
		v := int32(in.t&7)<<4 | int32(in.r)
		if v >= 96 {
			v -= 128
		}
		in.op, in.imm, in.t = opMovi, v, in.s
		return
	}
	in.op, in.imm = zeros[in.t>>2&1], int32(pc)+4+(int32(in.t&3)<<4|int32(in.r))
}

func (in *instruction) narrowMove() {
	switch {
	case in.r == 0:
		in.op = opMov
	case in.r == 15 && in.t == 0: // RET.N
		in.op, in.s = opJx, 0
	case in.r == 15 && in.t == 3:
		in.op = opNop
	}
}
