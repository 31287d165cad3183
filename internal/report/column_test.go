package report

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/export.md")

// Columns keep their place for ever; docs/export.md tells their meaning.
func TestColumnsDocument(t *testing.T) {
	const path, mark = "../../docs/export.md", " -update -->\n"
	var b strings.Builder
	fmt.Fprintf(&b, "\n# Columns, version %d\n\nNames and meanings are kept for ever; new columns are added at the end. An absent cell is empty.\n", ColumnsVersion)
	for _, tb := range Tables {
		fmt.Fprintf(&b, "\n## Table `%s`\n\n%s\n\n| # | column | type | meaning |\n|---|---|---|---|\n", tb.Name, tb.About)
		for i, c := range tb.Columns {
			fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", i+1, c.Name, c.Type, c.About)
		}
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(doc), mark)
	if !ok {
		t.Fatalf("%s has no generated part", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+mark+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != b.String() {
		t.Errorf("%s is not what the code says; go test ./internal/report -run Columns -update", path)
	}
}

// What a reader may rely on: these columns, in this order.
func TestColumnsStay(t *testing.T) {
	for name, want := range map[string]string{
		"devices": "simulation mac serial verdict code keyId policy job jobDigest batch number firstSeen lastEntry visits sealedAt station slot operator software images block0 block1 block2 first last id certificate certificateDigest issuer revokedAt revision chip",
		"entries": "simulation index time kind mac serial station slot operator software job revision jobDigest batch quota number run step stage decision keyId policy token planDigest burns block0 block1 block2 images bootDigest bootMarker bootSeconds verdict code message seconds clockBack described lineOperator undeclared second chip",
	} {
		var got []string
		for _, c := range table(t, name).Columns {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
