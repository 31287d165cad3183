//go:build browser

package main

import (
	"strings"

	"github.com/chromedp/chromedp"
	"golang.org/x/crypto/bcrypt"
)

// showsReleases: beside the update server, whose store has releases, the page shows them with
// their rollouts.
func (p *pagePlant) showsReleases(b *browser) {
	p.t.Helper()
	_ = p.site.Wait() // it was killed
	app := p.read("example/build/station-example.bin")
	add := func(file string) {
		p.run(0, "release", "add", file, "--product", "station-example", "--job", "example/job.toml", "--operator", "anna")
	}
	add("example/build/station-example.bin")
	p.secureVersion(app, "second.bin", 1)
	add("second.bin")
	p.secureVersion(app, "third.bin", 2)
	add("third.bin")
	const reason = "it restarts by itself where the network is away for more than a day: see the report of the field"
	p.run(0, "release", "withdraw", "1", "--operator", "anna", "--reason", reason)
	p.run(0, "rollout", "start", "2", "--percent", "25", "--operator", "anna")
	p.run(0, "rollout", "start", "3", "--percent", "5", "--operator", "anna")
	p.run(0, "rollout", "pause", "3", "--operator", "anna", "--reason", reason)

	hash, err := bcrypt.GenerateFromPassword([]byte(authorPassword), bcrypt.MinCost)
	p.check(err)
	issue(p.t, p.dir, "localhost", p.ca, p.caKey)
	p.write("authors", "anna:"+string(hash))
	p.write("tokens", "")
	p.write("station.toml", string(p.read("station.toml"))+"[serve]\nlisten = \"127.0.0.1:0\"\ncert = \"localhost.pem\"\nkey = \"localhost.key\"\nauthors = \"authors\"\ntokens = \"tokens\"\n")
	cmd, at, _ := p.pageAt("serve", "--site", "site", "--page", "127.0.0.1:0")
	w := b.window(at)
	w.logsIn(p.token)
	p.fits(w, "/releases")
	for lang, wants := range map[string][]string{
		"en": {"station-example", "running, 25 % of the devices", "paused, 5 % of the devices: " + reason, "▲ withdrawn: " + reason},
		"zh": {"station-example", "进行中, 25 % 的设备", "已暂停, 5 % 的设备: " + reason, "▲ 已撤回: " + reason},
	} {
		w.goes("/releases?lang=" + lang)
		text := is[string](w, `document.querySelector("main").innerText`)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				p.t.Errorf("the releases in %s lack %q:\n%s", lang, want, text)
			}
		}
	}
	w.does(chromedp.Navigate("about:blank")) // else it may ask for the page's icon when that has ended
	p.ended(cmd)
}
