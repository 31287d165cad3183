package efuse

import (
	"sync"

	"station/internal/chip"
)

// Codes and commands of the fuse controller, the same in all families.
const (
	opProgram  = 0x5a5a
	opRead     = 0x5aa5
	cmdRead    = 1
	cmdProgram = 2

	codedWords = 11 // of a Reed-Solomon block: eight of data, three of check
)

// survey is how everything there is to know about a chip's fuses is read in one
// go: the words of all blocks, in order, then the registers that tell of faults,
// then those of the chip's identity.
type survey struct {
	addrs  []uint32
	at     []int // index of the first word of each block
	status int   // of the first register that tells of faults
	extra  int
	write  []uint32 // all registers that a program command may burn from
}

var surveys sync.Map // *chip.Family to *survey

func surveyOf(f *chip.Family) *survey {
	if s, ok := surveys.Load(f); ok {
		return s.(*survey)
	}
	s := &survey{}
	seen := map[uint32]bool{}
	for _, b := range f.Efuse.Blocks {
		s.at = append(s.at, len(s.addrs))
		for w := range b.Words {
			s.addrs = append(s.addrs, b.Read+4*uint32(w))
			if a := b.Write + 4*uint32(w); !seen[a] {
				seen[a] = true
				s.write = append(s.write, a)
			}
		}
	}
	if f.Efuse.Check != 0 {
		for w := range uint32(3) {
			s.write = append(s.write, f.Efuse.Check+4*w)
		}
	}
	s.status = len(s.addrs)
	s.addrs = append(s.addrs, f.Efuse.Status...)
	s.extra = len(s.addrs)
	s.addrs = append(s.addrs, f.Efuse.Extra...)
	all, _ := surveys.LoadOrStore(f, s)
	return all.(*survey)
}

// words are the words of a block in a survey.
func (s *survey) words(f *chip.Family, v []uint32, block int) []uint32 {
	return v[s.at[block]:][:f.Efuse.Blocks[block].Words]
}

// blockAt is the block that a place in a survey belongs to; -1 for none.
func (s *survey) blockAt(f *chip.Family, i int) int {
	for b := range f.Efuse.Blocks {
		if i >= s.at[b] && i < s.at[b]+f.Efuse.Blocks[b].Words {
			return b
		}
	}
	return -1
}
