package release

import (
	"strings"
	"testing"
)

const bill = `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[
 {"bom-ref":"a","name":"mbedtls","version":"3.5.0","purl":"pkg:github/Mbed-TLS/mbedtls@3.5.0?download=x"},
 {"bom-ref":"b","name":"idf","version":"5.1","components":[{"bom-ref":"c","name":"lwip","version":"2.1.3"}]}],
 "vulnerabilities":[{"id":"CVE-2024-1","affects":[{"ref":"c"}]},{"id":"CVE-2024-2","analysis":{"state":"not_affected"},"affects":[{"ref":"a"}]}]}`

// A bill of materials, and a later scanner's report on its components, say whether a
// vulnerability affects it.
func TestBOM(t *testing.T) {
	b, err := ParseBOM([]byte(bill))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][2]bool{"CVE-2024-1": {true, true}, "cve-2024-1": {true, true}, "CVE-2024-2": {false, true}, "CVE-2024-3": {false, false}} {
		if affected, said := b.Finds(id); affected != want[0] || said != want[1] {
			t.Errorf("%s: got %t, %t", id, affected, said)
		}
	}
	for name, v := range map[string]struct {
		component string
		want      bool
	}{
		"package URL":               {`{"bom-ref":"x","purl":"pkg:github/Mbed-TLS/mbedtls@3.5.0#sub"}`, true},
		"its reference is the URL":  {`{"bom-ref":"y","purl":"pkg:github/Mbed-TLS/mbedtls@3.5.0"},{"bom-ref":"x","name":"z"}`, false},
		"another version":           {`{"bom-ref":"x","purl":"pkg:github/Mbed-TLS/mbedtls@3.5.1"}`, false},
		"name, within another":      {`{"bom-ref":"x","name":"lwip","version":"2.1.3","purl":"pkg:generic/lwip@2.1.3"}`, true},
		"another version of a name": {`{"bom-ref":"x","name":"lwip","version":"2.1.2"}`, false},
		"no name":                   {`{"bom-ref":"x"}`, false},
	} {
		scan, err := ParseBOM([]byte(`{"bomFormat":"CycloneDX","components":[` + v.component + `],"vulnerabilities":[{"id":"CVE-2025-9","affects":[{"ref":"x"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Has(scan.Hit("CVE-2025-9")); got != v.want {
			t.Errorf("%s: got %t", name, got)
		}
		if scan.Hit("CVE-2025-8") != nil {
			t.Errorf("%s: another vulnerability hits", name)
		}
	}
	for _, bad := range []string{"", "{}", "SPDXVersion: SPDX-2.3", `{"bomFormat":"SPDX"}`} {
		if _, err := ParseBOM([]byte(bad)); err == nil || !strings.Contains(err.Error(), "CycloneDX") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A vulnerability is found by each of its names, also by one that another name leads to, and by
// those that a scanner tells for the bill.
func TestBOMNames(t *testing.T) {
	b, err := ParseBOM([]byte(`{"bomFormat":"CycloneDX","components":[{"bom-ref":"a","name":"lwip","version":"2.1.3"}],"vulnerabilities":[
 {"id":"GHSA-aaaa-bbbb-cccc","references":[{"id":"CVE-2024-1","source":{"name":"NVD"}},{"id":"OSV-1"}],"affects":[{"ref":"a"}]},
 {"id":"osv-1","references":[{"id":"PYSEC-9"}],"affects":[]},
 {"id":"third","references":[{"id":"PYSEC-9"}],"affects":[]},
 {"id":"GHSA-only","affects":[{"ref":"a"}]},
 {"id":"","references":[{"id":""}],"affects":[{"ref":"a"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		names []string
		want  bool
	}{
		{[]string{"CVE-2024-1"}, true}, {[]string{"ghsa-AAAA-bbbb-cccc"}, true}, {[]string{"OSV-1"}, true}, {[]string{"PYSEC-9"}, true}, {[]string{"third"}, true},
		{[]string{"CVE-2024-2"}, false}, {[]string{"CVE-2024-2", "GHSA-only"}, true}, {[]string{""}, false},
	} {
		affected, said := b.Finds(v.names...)
		if affected != v.want || said != v.want || (len(b.Hit(v.names...)) == 1) != v.want {
			t.Errorf("%q: got %t, %t, %v", v.names, affected, said, b.Hit(v.names...))
		}
	}
}

// FuzzBOM: whatever is read, there is an answer, and no end to it.
func FuzzBOM(f *testing.F) {
	f.Add([]byte(bill), "CVE-2024-1")
	f.Fuzz(func(t *testing.T, data []byte, id string) {
		b, err := ParseBOM(data)
		if (b == nil) == (err == nil) {
			t.Fatal("a fault and a result")
		}
		if b != nil {
			if _, said := b.Finds(id); len(b.Hit(id)) > 0 && !said {
				t.Error("it hits without having said so")
			}
			b.Has(b.Components)
		}
	})
}
