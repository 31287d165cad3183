package station

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"station/internal/record"
	"station/internal/tomlfile"
)

// People are who may do what at a station, by the names that they tell. A list
// that is absent takes everybody.
type People struct {
	Operators []string `toml:"operators"`
	Approvers []string `toml:"approvers"`
	Officers  []string `toml:"officers"`
	TwoPeople []string `toml:"two_people"` // what is done by two
}

// Role is what a person is at a station.
type Role string

// The roles.
const (
	Operator Role = "operator" // works at the line
	Approver Role = "approver" // approves burn plans, releases devices that were set aside
	Officer  Role = "officer"  // makes and recovers keys, revokes identities
)

// What two people can be wanted for.
const (
	Approval = "approval"
	Release  = "release"
	Recover  = "recover"
)

func (p People) of(role Role) []string {
	switch role {
	case Operator:
		return p.Operators
	case Approver:
		return p.Approvers
	}
	return p.Officers
}

// SamePerson tells whether two names are one person's.
func SamePerson(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

func named(list []string, name string) bool {
	return slices.ContainsFunc(list, func(one string) bool { return SamePerson(one, name) })
}

// May refuses who does not have the role.
func (s *File) May(role Role, name string) error {
	list := s.People.of(role)
	if len(list) == 0 || named(list, name) {
		return nil
	}
	return fmt.Errorf("%s is no %s here; [people] %ss in %s has %s", name, role, role, s.Path, strings.Join(list, ", "))
}

func (s *File) mayApprove(name string) error { return s.May(Approver, name) }

// Knows refuses who is in no list.
func (s *File) Knows(name string) error {
	all := slices.Concat(s.People.Operators, s.People.Approvers, s.People.Officers)
	if len(all) == 0 || named(all, name) {
		return nil
	}
	return fmt.Errorf("%s is in none of the lists under [people] in %s", name, s.Path)
}

// WantsTwo tells whether two people have to do it.
func (s *File) WantsTwo(what string) bool {
	return slices.Contains(s.People.TwoPeople, what) || what == Approval && s.Approval.TwoPeople
}

// Second refuses a second person who is missing where two are wanted, or who is
// the first.
func (s *File) Second(what, first, second string) error {
	switch {
	case second == "" && s.WantsTwo(what):
		return errors.New("this station wants two people for it; the second one gives his name too: --second NAME")
	case second != "" && SamePerson(first, second):
		return fmt.Errorf("%s cannot be both of the two people; --second is somebody else", first)
	}
	return nil
}

func (p People) check(f *tomlfile.File) {
	for i, what := range p.TwoPeople {
		if !slices.Contains([]string{Approval, Release, Recover}, what) {
			f.Fault("people.two_people", "item %d, %q, is not known; write %s, %s or %s", i+1, what, Approval, Release, Recover)
		}
	}
	for _, role := range []Role{Operator, Approver, Officer} {
		key := fmt.Sprintf("people.%ss", role)
		list := p.of(role)
		if f.Has(key) && len(list) == 0 {
			f.Fault(key, "is empty: nobody could work; name somebody, or leave it out for everybody")
		}
		for i, name := range list {
			if err := record.CheckText(name); err != nil {
				f.Fault(key, "item %d, %q, %v", i+1, name, err)
			} else if named(list[:i], name) {
				f.Fault(key, "item %d, %q, stands there twice", i+1, name)
			}
		}
	}
	for _, two := range []struct {
		what string
		role Role
	}{{Approval, Approver}, {Release, Approver}, {Recover, Officer}} {
		if list := p.of(two.role); slices.Contains(p.TwoPeople, two.what) && two.what != Approval && len(list) == 1 {
			f.Fault("people.two_people", "%q wants two %ss, and there is one, %s", two.what, two.role, list[0])
		}
	}
}
