package xtensa

import "math/bits"

// execute carries out an instruction and answers where to go on. It is one switch,
// which the compiler makes a table of: this is where all of the time goes.
//
//go:norace
func (c *CPU) execute(in *instruction, next uint32) uint32 {
	a := &c.A
	s, t := a[in.s&15], a[in.t&15]
	r, to := &a[in.r&15], &a[in.t&15]
	imm := uint32(in.imm)
	taken := false
	switch in.op {
	case opNop:
	case opAnd:
		*r = s & t
	case opOr:
		*r = s | t
	case opXor:
		*r = s ^ t
	case opNeg:
		*r = -t
	case opAbs:
		if *r = t; int32(t) < 0 {
			*r = -t
		}
	case opAdd:
		*r = s<<imm + t
	case opSub:
		*r = s<<imm - t
	case opAddi:
		*to = s + imm
	case opMovi:
		*to = imm
	case opMov:
		*to = s
	case opMoveqz:
		if t == 0 {
			*r = s
		}
	case opMovnez:
		if t != 0 {
			*r = s
		}
	case opMovltz:
		if int32(t) < 0 {
			*r = s
		}
	case opMovgez:
		if int32(t) >= 0 {
			*r = s
		}
	case opMul16u:
		*r = s & 0xffff * (t & 0xffff)
	case opMul16s:
		*r = uint32(int32(int16(s)) * int32(int16(t)))
	case opMull:
		*r = s * t
	case opExtui:
		*r = t >> uint32(in.k) & imm
	case opSlli:
		*r = s << imm
	case opSrli:
		*r = t >> imm
	case opSrai:
		*r = uint32(int32(t) >> imm)
	case opSll:
		*r = s << (32 - c.SAR)
	case opSrl:
		*r = t >> c.SAR
	case opSra:
		*r = uint32(int32(t) >> c.SAR)
	case opSrc:
		*r = uint32((uint64(s)<<32 | uint64(t)) >> c.SAR)
	case opSsr:
		c.SAR = s & 31
	case opSsl:
		c.SAR = 32 - s&31
	case opSsa8l:
		c.SAR = s & 3 << 3
	case opSsa8b:
		c.SAR = 32 - s&3<<3
	case opSsai:
		c.SAR = imm
	case opNsau:
		*to = uint32(bits.LeadingZeros32(s))
	case opNsa:
		*to = uint32(bits.LeadingZeros32(s^uint32(int32(s)>>31)) - 1)
	case opL8ui:
		*to = c.load(s+imm, 1)
	case opL16ui:
		*to = c.load(s+imm, 2)
	case opL16si:
		*to = uint32(int32(int16(c.load(s+imm, 2))))
	case opL32i:
		*to = c.load(s+imm, 4)
	case opL32r:
		*to = c.load(imm, 4)
	case opS8i:
		c.store(s+imm, 1, t)
	case opS16i:
		c.store(s+imm, 2, t)
	case opS32i:
		c.store(s+imm, 4, t)
	case opRsr:
		*to = c.special(in.imm)
	case opWsr:
		c.setSpecial(in.imm, t)
	case opXsr:
		old := c.special(in.imm)
		c.setSpecial(in.imm, t)
		*to = old
	case opRsil:
		*to, c.PS = c.PS, c.PS&^15|uint32(in.s)
	case opJ:
		taken = true
	case opJx:
		imm, taken = s, true
	case opCall0:
		a[0], taken = c.PC+3, true
	case opCallx0:
		a[0], imm, taken = c.PC+3, s, true
	case opBeqz:
		taken = s == 0
	case opBnez:
		taken = s != 0
	case opBltz:
		taken = int32(s) < 0
	case opBgez:
		taken = int32(s) >= 0
	case opBeqi:
		taken = s == uint32(in.k)
	case opBnei:
		taken = s != uint32(in.k)
	case opBlti:
		taken = int32(s) < in.k
	case opBgei:
		taken = int32(s) >= in.k
	case opBltui:
		taken = s < uint32(in.k)
	case opBgeui:
		taken = s >= uint32(in.k)
	case opBeq:
		taken = s == t
	case opBne:
		taken = s != t
	case opBlt:
		taken = int32(s) < int32(t)
	case opBge:
		taken = int32(s) >= int32(t)
	case opBltu:
		taken = s < t
	case opBgeu:
		taken = s >= t
	case opBnone:
		taken = s&t == 0
	case opBany:
		taken = s&t != 0
	case opBall:
		taken = ^s&t == 0
	case opBnall:
		taken = ^s&t != 0
	case opBbc:
		taken = s>>(t&31)&1 == 0
	case opBbs:
		taken = s>>(t&31)&1 != 0
	case opBbci:
		taken = s>>uint32(in.k)&1 == 0
	case opBbsi:
		taken = s>>uint32(in.k)&1 != 0
	}
	if taken {
		c.Cycles += branchCycles
		return imm
	}
	return next
}

// Numbers of special registers.
const (
	srSAR     = 3
	srPS      = 230
	srVecBase = 231
	srCCount  = 234
)

func (c *CPU) special(number int32) uint32 {
	switch number {
	case srSAR:
		return c.SAR
	case srPS:
		return c.PS
	case srVecBase:
		return c.VecBase
	case srCCount:
		return uint32(c.Cycles)
	}
	c.fail("special register %d is none of those that are known here", number)
	return 0
}

func (c *CPU) setSpecial(number int32, v uint32) {
	switch number {
	case srSAR:
		c.SAR = v & 63
	case srPS:
		c.PS = v
	case srVecBase:
		c.VecBase = v
	default:
		c.fail("special register %d is none of those that are set here", number)
	}
}
