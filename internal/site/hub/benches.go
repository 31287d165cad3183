package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"station/internal/keyfile"
	"station/internal/site"
)

// Bench is a bench that belongs to the site, or did.
type Bench struct {
	Name    string    `json:"name"`
	Nkey    string    `json:"nkey"`
	Added   time.Time `json:"added"`
	Revoked time.Time `json:"revoked,omitzero"`
	// PassSince is since when the site is at the address of the pass that it was given.
	PassSince time.Time `json:"pass_since,omitzero"`
}

// ErrNoBench: the site has no such bench.
var ErrNoBench = errors.New("the site has no such bench")

// Add lets a bench in, and writes its pass. One that was revoked gets another nkey.
func (f *Folder) Add(name, pass string, overwrite bool) error {
	if err := keyfile.Alone(f.Dir, func() error { return f.add(name, pass, overwrite) }); err != nil {
		return fmt.Errorf("site: add: %w", err)
	}
	return nil
}

func (f *Folder) add(name, pass string, overwrite bool) error {
	if err := site.CheckName("bench", name); err != nil {
		return err
	}
	was, err := f.Bench(name)
	switch {
	case name == adminName:
		return fmt.Errorf("bench %q: the site itself has that name", name)
	case err == nil && was.Revoked.IsZero():
		return fmt.Errorf("%s belongs to the site already; revoke it first if its pass was lost", name)
	case err != nil && !errors.Is(err, ErrNoBench):
		return err
	}
	p, err := f.newPass(name)
	if err != nil {
		return err
	}
	defer p.Destroy()
	if err := p.Write(pass, overwrite); err != nil {
		return err
	}
	return f.enter(p)
}

// enter writes down whose nkey it is.
func (f *Folder) enter(p *site.Pass) error {
	public, err := site.PublicNkey(p.Seed)
	if err != nil {
		return err
	}
	return f.writeJSON("benches/"+p.Bench+".json", Bench{Name: p.Bench, Nkey: public, Added: now(), PassSince: p.Since})
}

// Revoke lets a bench in no more. What the site has of it stays. Where it was revoked, the
// error is ErrRevoked.
func (f *Folder) Revoke(name string) error {
	if err := keyfile.Alone(f.Dir, func() error { return f.revoke(name) }); err != nil {
		return fmt.Errorf("site: revoke: %w", err)
	}
	return nil
}

// ErrRevoked: the bench is let in no more already.
var ErrRevoked = errors.New("it was revoked")

func (f *Folder) revoke(name string) error {
	b, err := f.Bench(name)
	switch {
	case err != nil:
	case name == adminName:
		err = errors.New("that is the site itself")
	case !b.Revoked.IsZero():
		err = fmt.Errorf("%s: %w %s", name, ErrRevoked, b.Revoked.Format(time.RFC3339))
	default:
		b.Revoked = now()
		err = f.writeJSON("benches/"+name+".json", b)
	}
	return err
}

// Bench finds a bench by its name.
func (f *Folder) Bench(name string) (b Bench, err error) {
	if err := site.CheckName("bench", name); err != nil {
		return b, err
	}
	data, err := keyfile.Read(f.path("benches", name+".json"), keyfile.SideFile)
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("%w: %s", ErrNoBench, name)
	}
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err == nil && b.Name != name {
		err = fmt.Errorf("benches/%s.json is about %q", name, b.Name)
	}
	return b, err
}

// gone tells whether a bench is let in no more.
func (f *Folder) gone(bench string) (bool, error) {
	b, err := f.Bench(bench)
	if errors.Is(err, ErrNoBench) {
		return true, nil
	}
	return !b.Revoked.IsZero(), err
}

// Benches are all benches, in the order of their names, and the admin among them.
func (f *Folder) Benches() (list []Bench, err error) {
	files, err := os.ReadDir(f.path("benches"))
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	for _, file := range files {
		name, is := strings.CutSuffix(file.Name(), ".json")
		if !is || strings.HasPrefix(name, ".") {
			continue
		}
		b, err := f.Bench(name)
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b Bench) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
