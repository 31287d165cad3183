//go:build browser

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// byCertificate: a browser with a certificate of the people's CA needs no token, until
// the certificate is revoked.
func (p *pagePlant) byCertificate() {
	p.t.Helper()
	p.openssl(true, "pkcs12", "-export", "-in", "eve.pem", "-inkey", "eve.key", "-name", "eve", "-out", "eve.p12", "-passout", "pass:none")
	profile := p.t.TempDir()
	p.check(os.Mkdir(filepath.Join(profile, "Default"), 0o700))
	// Chromium asks a person which certificate he wants to show; here it takes the one that there is.
	choice := fmt.Sprintf(`{"profile":{"content_settings":{"exceptions":{"auto_select_certificate":{"%s,*":{"setting":{"filters":[{}]}}}}}}}`, p.at)
	p.check(os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(choice), 0o600))
	b := newBrowser(p.t, filepath.Join(p.dir, "site", "ca.pem"), profile)
	b.nss("pk12util", "-i", filepath.Join(p.dir, "eve.p12"), "-W", "none", "-K", "")
	w := b.first(p.at)
	w.goes("/")
	w.waits(`document.querySelectorAll(".slot").length > 0`)
	w.expects("status of 401")
	p.revoke(p.cert.SerialNumber)
	w.waits(`document.getElementById("token") !== null`) // the page was open
}
