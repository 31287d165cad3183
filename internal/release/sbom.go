package release

import (
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// BOM is what is wanted of a bill of materials, or of what a scanner found, in
// CycloneDX's JSON.
type BOM struct {
	Format          string         `json:"bomFormat"`
	Components      []BOMComponent `json:"components"`
	Vulnerabilities []BOMFinding   `json:"vulnerabilities"`
}

// BOMComponent is something that a firmware is made of.
type BOMComponent struct {
	Ref        string         `json:"bom-ref"`
	Name       string         `json:"name"`
	Version    string         `json:"version"`
	PURL       string         `json:"purl"`
	Components []BOMComponent `json:"components"` // that it is made of in turn
}

// BOMFinding is a vulnerability and what it affects.
type BOMFinding struct {
	ID string `json:"id"`
	// References are what others call the same vulnerability: the CVE of a GHSA, for one.
	References []struct {
		ID string `json:"id"`
	} `json:"references"`
	Analysis struct {
		State string `json:"state"`
	} `json:"analysis"`
	Affects []struct {
		Ref string `json:"ref"`
	} `json:"affects"`
}

// MaxBOM is how many bytes a bill of materials has at most.
const MaxBOM = 64 << 20

// ParseBOM reads a bill of materials.
func ParseBOM(data []byte) (*BOM, error) {
	b := &BOM{}
	if err := jsonv2.Unmarshal(data, b); err != nil {
		return nil, fmt.Errorf("bill of materials: it is no CycloneDX in JSON: %w", err)
	}
	if b.Format != "CycloneDX" {
		return nil, fmt.Errorf("bill of materials: bomFormat %.40q, want CycloneDX in JSON", b.Format)
	}
	return b, nil
}

// harmless are the states of an analysis by which nothing is affected.
var harmless = []string{"not_affected", "false_positive", "resolved", "resolved_with_pedigree"}

// isCalled tells whether the vulnerability has one of the names.
func (v BOMFinding) isCalled(names []string) bool {
	return slices.ContainsFunc(v.names(), func(id string) bool { return hasName(names, id) })
}

// names are its ID and what others call it.
func (v BOMFinding) names() []string {
	all := []string{v.ID}
	for _, r := range v.References {
		all = append(all, r.ID)
	}
	return slices.DeleteFunc(all, func(id string) bool { return id == "" })
}

func hasName(names []string, id string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, id) })
}

// Names are the names of a vulnerability and all that the document says are the same, also by
// way of another name.
func (b *BOM) Names(names ...string) []string {
	names = slices.Clone(names)
	for before := 0; before < len(names); {
		before = len(names)
		for _, v := range b.Vulnerabilities {
			if !v.isCalled(names) {
				continue
			}
			for _, id := range v.names() {
				if !hasName(names, id) {
					names = append(names, id)
				}
			}
		}
	}
	return names
}

// Finds tells whether the document says that the vulnerability is in it, and
// whether it says something of it at all: also that nothing is affected. Of several names
// each is one of the same vulnerability.
func (b *BOM) Finds(names ...string) (affected, said bool) {
	names = b.Names(names...)
	for _, v := range b.Vulnerabilities {
		if v.isCalled(names) {
			said = true
			affected = affected || !slices.Contains(harmless, v.Analysis.State)
		}
	}
	return affected, said
}

// Hit are the components of the document that the vulnerability affects.
func (b *BOM) Hit(names ...string) (list []BOMComponent) {
	names = b.Names(names...)
	refs := map[string]bool{}
	for _, v := range b.Vulnerabilities {
		if v.isCalled(names) && !slices.Contains(harmless, v.Analysis.State) {
			for _, a := range v.Affects {
				refs[a.Ref] = true
			}
		}
	}
	for c := range b.all {
		if refs[c.Ref] && c.Ref != "" || refs[c.PURL] && c.PURL != "" {
			list = append(list, c)
		}
	}
	return list
}

// Has tells whether one of the components is in the document: by package URL, or
// by name and version where one of both has none.
func (b *BOM) Has(list []BOMComponent) bool {
	for c := range b.all {
		if slices.ContainsFunc(list, c.is) {
			return true
		}
	}
	return false
}

func (c BOMComponent) is(o BOMComponent) bool {
	if c.PURL != "" && o.PURL != "" {
		return bare(c.PURL) == bare(o.PURL)
	}
	return c.Name != "" && c.Name == o.Name && c.Version == o.Version
}

// bare is a package URL without qualifiers and subpath, which say where it came from.
func bare(purl string) string {
	purl, _, _ = strings.Cut(purl, "#")
	purl, _, _ = strings.Cut(purl, "?")
	return purl
}

// all are the components, also those within others.
func (b *BOM) all(yield func(BOMComponent) bool) {
	for todo := slices.Clone(b.Components); len(todo) > 0; {
		c := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], c.Components...)
		if !yield(c) {
			return
		}
	}
}
