package release

import (
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// BOM is the part of a CycloneDX document in JSON that this program uses: a software
// bill of materials, or the report of a vulnerability scanner.
type BOM struct {
	Format          string         `json:"bomFormat"`
	Components      []BOMComponent `json:"components"`
	Vulnerabilities []BOMFinding   `json:"vulnerabilities"`
}

// BOMComponent is a library or other part of a firmware.
type BOMComponent struct {
	Ref        string         `json:"bom-ref"`
	Name       string         `json:"name"`
	Version    string         `json:"version"`
	PURL       string         `json:"purl"`
	Components []BOMComponent `json:"components"` // its own parts
}

// BOMFinding is a vulnerability and the components that it affects.
type BOMFinding struct {
	ID string `json:"id"`
	// References are other names of the same vulnerability, such as the CVE of a GHSA.
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

// MaxBOM is the largest size of a bill of materials in bytes.
const MaxBOM = 64 << 20

// ParseBOM reads a CycloneDX document in JSON.
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

// harmless are the CycloneDX states of an analysis that say that nothing is affected.
var harmless = []string{"not_affected", "false_positive", "resolved", "resolved_with_pedigree"}

// isCalled tells whether one of the names is a name of the vulnerability.
func (v BOMFinding) isCalled(names []string) bool {
	return slices.ContainsFunc(v.names(), func(id string) bool { return hasName(names, id) })
}

// names are the vulnerability's ID and its other names.
func (v BOMFinding) names() []string {
	all := []string{v.ID}
	for _, r := range v.References {
		all = append(all, r.ID)
	}
	return slices.DeleteFunc(all, func(id string) bool { return id == "" })
}

// hasName tells whether id is in the list, without regard to case.
func hasName(names []string, id string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, id) })
}

// Names adds to names of a vulnerability all other names that the document has for it,
// also those that only another of its names leads to.
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

// Finds tells whether the document says that a vulnerability, given by one or more
// names, affects something; said tells whether the document has it at all, also as
// harmless.
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

// Hit are the components that the document says a vulnerability affects, which is given
// by one or more names.
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

// Has tells whether the document has one of the components: one with the same package
// URL, or, where either has no package URL, with the same name and version.
func (b *BOM) Has(list []BOMComponent) bool {
	for c := range b.all {
		if slices.ContainsFunc(list, c.is) {
			return true
		}
	}
	return false
}

// is tells whether c and o are the same component, as Has compares them.
func (c BOMComponent) is(o BOMComponent) bool {
	if c.PURL != "" && o.PURL != "" {
		return bare(c.PURL) == bare(o.PURL)
	}
	return c.Name != "" && c.Name == o.Name && c.Version == o.Version
}

// bare is a package URL without its qualifiers and subpath.
func bare(purl string) string {
	purl, _, _ = strings.Cut(purl, "#")
	purl, _, _ = strings.Cut(purl, "?")
	return purl
}

// all yields all components, also those within others.
func (b *BOM) all(yield func(BOMComponent) bool) {
	for todo := slices.Clone(b.Components); len(todo) > 0; {
		c := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], c.Components...)
		if !yield(c) {
			return
		}
	}
}
