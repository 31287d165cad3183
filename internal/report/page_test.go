package report

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/record"
)

// shift is a day of a line with n devices in four slots, of which the third
// has a bad contact. It returns what it did.
func shift(t testing.TB, simulated bool, n int) (*line, []visit) {
	x := newLine(t, simulated)
	var did []visit
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		v := visit{n: i, slot: strconv.Itoa(i%4 + 8), batch: "2026-47", boot: time.Duration(1000+r.IntN(6000)) * time.Millisecond}
		switch {
		case i%4 == 2 && r.IntN(3) == 0:
			v.end = "RETRY E-BOOT-SILENT"
		case r.IntN(20) == 0:
			v.end = []string{"RETRY E-BOOT-MARKER", "RETRY E-FLASH-VERIFY", "SCRAP E-FUSE-WRONG", "QUARANTINE E-BOOT-SELFKEY", "STATION E-HSM", "pulled"}[r.IntN(6)]
		}
		x.do(v)
		did = append(did, v)
		if strings.HasPrefix(v.end, "RETRY") && r.IntN(5) > 0 {
			v.end, v.again = "", true
			x.do(v)
			did = append(did, v)
		}
		if i%40 == 39 {
			x.now = x.now.Add(25 * time.Minute) // a pause
		}
	}
	return x, did
}

func render(t testing.TB, r Report, h *Head) ([]byte, *ExportProof) {
	t.Helper()
	var b bytes.Buffer
	p, err := r.Write(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), p
}

// texts are the texts of the page's elements that a test looks for: cells of
// tables by row, and elements with an ID.
type texts struct {
	rows map[string][]string // by the text of their first cell
	ids  map[string]string
	svgs []string // their labels
}

// readPage parses the page and checks that every element is closed where it
// must be, and that nothing comes from elsewhere.
func readPage(t *testing.T, page []byte) texts {
	t.Helper()
	void := []string{"meta", "br"}
	var open []string
	z := html.NewTokenizer(bytes.NewReader(page))
	out := texts{rows: map[string][]string{}, ids: map[string]string{}}
	var row []string
	id, cell := "", false
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Fatalf("not closed: %v", open)
			}
			return out
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			id = ""
			for _, a := range tok.Attr {
				if a.Key == "src" || a.Key == "href" || a.Key == "srcset" {
					t.Errorf("<%s> takes %s=%q from elsewhere", tok.Data, a.Key, a.Val)
				}
				if a.Key == "id" {
					id = a.Val
				}
				if tok.Data == "svg" && a.Key == "aria-label" {
					out.svgs = append(out.svgs, a.Val)
				}
			}
			switch tok.Data {
			case "script", "link", "img", "iframe", "object":
				t.Errorf("the page has a <%s>", tok.Data)
			case "tr":
				row = nil
			case "td":
				row, cell = append(row, ""), true
			}
			if kind == html.StartTagToken && !slices.Contains(void, tok.Data) {
				open = append(open, tok.Data)
			}
		case html.EndTagToken:
			tok := z.Token()
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("</%s> closes %v", tok.Data, open)
			}
			open = open[:len(open)-1]
			if tok.Data == "td" {
				cell = false
			}
			if tok.Data == "tr" && len(row) > 0 {
				out.rows[row[0]] = row
			}
		case html.TextToken:
			text := strings.TrimSpace(z.Token().Data)
			if cell {
				row[len(row)-1] = strings.TrimSpace(row[len(row)-1] + " " + text)
			} else if id != "" && text != "" {
				out.ids[id], id = text, ""
			}
		}
	}
}

// The numbers of the page against a count of what was done, which knows
// nothing of entries.
func TestPageNumbers(t *testing.T) {
	x, did := shift(t, false, 300)
	page, proof := render(t, Report{Title: "Batch 2026-47", Filter: Filter{Batch: "2026-47"}, Made: begin}, headOf(t, x.l))
	got := readPage(t, page)

	verdicts, codes := map[string]int{}, map[string]int{}
	first, state := map[int]string{}, map[int]string{}
	slots := map[string]*[5]int{} // visits, passed, failed, station, pulled
	var seconds []float64
	for _, v := range did {
		verdict, code, failed := strings.Cut(v.end, " ")
		if failed {
			codes[code]++
		}
		if slots[v.slot] == nil {
			slots[v.slot] = new([5]int)
		}
		s := slots[v.slot]
		s[0]++
		switch {
		case v.end == "":
			verdict = "PASS"
			s[1]++
			took := 1 + 2 + 10 + 6 + max(v.boot, time.Second).Seconds() // after it was recognised
			if v.again {
				took -= 2
			}
			seconds = append(seconds, took)
		case v.end == "pulled":
			verdict = "BEGUN"
			s[4]++
		case verdict == "STATION":
			s[3]++
		default:
			s[2]++
		}
		state[v.n] = verdict
		if _, judged := first[v.n]; !judged && verdict != "STATION" && verdict != "BEGUN" {
			first[v.n] = verdict
		}
	}
	passed := 0
	for _, v := range first {
		if v == "PASS" {
			passed++
		}
	}
	for _, v := range state {
		verdicts[v]++
	}
	if got.ids["devices"] != fmt.Sprint(len(state)) || got.ids["yield"] != fmt.Sprintf("%.1f %%", 100*float64(passed)/float64(len(first))) {
		t.Errorf("devices %s, yield %s, want %d, %d of %d", got.ids["devices"], got.ids["yield"], len(state), passed, len(first))
	}
	for verdict, n := range verdicts {
		if !regexp.MustCompile(fmt.Sprintf(`%d</b><span>%s, `, n, verdict)).Match(page) {
			t.Errorf("the page does not tell of %d %s", n, verdict)
		}
	}
	for code, n := range codes {
		if row := got.rows[code]; len(row) != 6 || row[3] != fmt.Sprint(n) {
			t.Errorf("%s: got %v, want %d", code, row, n)
		}
	}
	slices.Sort(seconds)
	if row := got.rows["whole device"]; len(row) != 7 || row[1] != fmt.Sprint(len(seconds)) ||
		row[2] != fmt.Sprintf("%.1f", seconds[0]) || row[6] != fmt.Sprintf("%.1f", seconds[len(seconds)-1]) {
		t.Errorf("times: got %v, want %d from %v to %v", row, len(seconds), seconds[0], seconds[len(seconds)-1])
	}
	if row := got.rows["flash"]; len(row) != 7 || row[3] != "10.0" || row[4] != "10.0" {
		t.Errorf("time to write the flash: got %v, want 10 s", row)
	}
	for slot, s := range slots {
		if !strings.Contains(string(page), fmt.Sprintf(`<td class="mac">bench-1</td><td class="mac">%s</td><td class="n">%d</td><td class="n">%d</td><td class="n">%d</td><td class="n">%d</td><td class="n">%d</td>`, slot, s[0], s[1], s[2], s[3], s[4])) {
			t.Errorf("slot %s is not told as %v", slot, s)
		}
	}
	last := 0
	for slot := 8; slot <= 11; slot++ { // as people count
		at := strings.Index(string(page), fmt.Sprintf(`<td class="mac">bench-1</td><td class="mac">%d</td>`, slot))
		if at < last {
			t.Errorf("slot %d stands before those below it", slot)
		}
		last = at
	}
	for n, verdict := range state {
		name := mac(n).String()
		if row := got.rows[name]; len(row) != 6 || !strings.Contains(row[1], verdict) || verdict == "PASS" && (row[2] != keyID(n) || row[3] != "F1") {
			t.Errorf("%s: got %q, want %s", name, row, verdict)
		}
	}
	for field, after := range map[string]string{"BLOCK1": "device key", "FLASH_CRYPT_CNT": "0x7f"} {
		if row := got.rows[field]; len(row) != 4 || row[2] != after || row[3] != fmt.Sprint(len(state)-verdicts["STATION"]-verdicts["BEGUN"]) {
			t.Errorf("burned: got %v", row)
		}
	}
	fuses := "BLOCK0 before " + blank.Block("BLOCK0").String() + "<br>BLOCK0 after&#160; " + locked.Block("BLOCK0").String() + " · BLOCK1 empty → hidden"
	keyed := len(state) - verdicts["STATION"] - verdicts["BEGUN"] // these have no key yet
	if n := bytes.Count(page, []byte(fuses)); n != keyed {
		t.Errorf("the fuses of %d devices are told, want %d", n, keyed)
	}
	if len(got.svgs) != 5 || proof.Rows != uint64(len(state)) {
		t.Errorf("charts %q, %d rows", got.svgs, proof.Rows)
	}
}

// The day on the screen and the page count alike.
func TestPageAgreesWithTheDay(t *testing.T) {
	x, _ := shift(t, false, 200)
	var day board.Day
	for e, err := range x.l.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		day.Record(e)
	}
	s, _, err := (&Report{Zone: time.UTC}).scan([]Bench{{Head: headOf(t, x.l)}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Judged != day.Devices || s.FirstPass != day.FirstPass || s.Times.N != day.Timed {
		t.Errorf("got %d devices, %d at first, %d timed; the day has %d, %d, %d", s.Judged, s.FirstPass, s.Times.N, day.Devices, day.FirstPass, day.Timed)
	}
	if math.Abs(s.Times.Mean*float64(s.Times.N)-day.Seconds) > 1e-6 {
		t.Errorf("got %v s in all, the day has %v", s.Times.Mean*float64(s.Times.N), day.Seconds)
	}
	for _, c := range s.Codes {
		if day.Codes[c.Code] != c.N {
			t.Errorf("%s: got %d, the day has %d", c.Code, c.N, day.Codes[c.Code])
		}
	}
}

// The page of a batch lists and counts the devices that its account counts, also
// where they left it, where others only visited it, and once it was closed.
func TestPageOfABatchCountsAsItsAccount(t *testing.T) {
	x := newLine(t, false)
	x.add(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"})
	x.do(visit{n: 1, slot: "1", batch: "a"})
	x.do(visit{n: 2, slot: "1", batch: "a", end: "RETRY E-DEAF"})
	x.do(visit{n: 2, slot: "1", batch: "b", again: true})
	x.add(record.Entry{Kind: record.DeviceSeen, MAC: mac(1), Batch: "b", Job: "lamp", Run: "visitor", Slot: "1"},
		record.Entry{Kind: record.Failed, MAC: chip.MAC{2, 5: 1}, Batch: "b", Job: "lamp", Run: "doubtful", Slot: "1", Verdict: record.Quarantine, Code: record.Doubtful})
	of := func(batch string) map[record.Verdict]int {
		p, err := (Report{Filter: Filter{Batch: batch}}).page([]Bench{{Head: headOf(t, x.l)}})
		if err != nil {
			t.Fatal(err)
		}
		sums := map[record.Verdict]int{}
		for _, v := range p.Verdicts {
			sums[v.Verdict] += v.N
		}
		account := balanceOf(t, x, batch)
		if p.Devices != len(p.List) || p.Devices != account.Started+account.Refused || sums[record.Pass] != account.Passed && account.Closed.IsZero() {
			t.Errorf("%s: %d devices, %v; the account: %+v", batch, p.Devices, sums, account)
		}
		return sums
	}
	if got := of("b"); got[record.Pass] != 1 || got[record.Begun] != 0 || got[record.Quarantine] != 0 {
		t.Errorf("b: %v", got)
	}
	x.do(visit{n: 3, slot: "1", batch: "b", end: "RETRY E-DEAF"})
	x.add(record.Entry{Kind: record.BatchClosed, Batch: "b", Operator: "anna"})
	x.do(visit{n: 3, slot: "1", batch: "a", again: true})
	of("a")
	if got := of("b"); got[record.Pass] != 2 {
		t.Errorf("closed: %v", got)
	}
}

// A range tells of the visits that ended in it, and of the devices as they
// were at its end.
func TestPageOfADay(t *testing.T) {
	x := recorded(t, false)
	x.now = x.now.Add(24 * time.Hour)
	x.do(visit{n: 8, slot: "1", batch: "b2", again: true})
	for day, want := range map[string][]string{
		"2026-11-20": {mac(2).String() + " PASS", mac(3).String() + " SCRAP", mac(6).String() + " BEGUN"},
		"2026-11-21": {mac(7).String() + " PASS", mac(8).String() + " RETRY"},
		"2026-11-22": {mac(8).String() + " PASS"},
		"2026-11-23": nil,
	} {
		var f Filter
		if err := f.SetTimes(day, day, time.UTC); err != nil {
			t.Fatal(err)
		}
		page, proof := render(t, Report{Title: day, Filter: f, Made: begin}, headOf(t, x.l))
		got := readPage(t, page)
		for _, w := range want {
			name, verdict, _ := strings.Cut(w, " ")
			if row := got.rows[name]; len(row) == 0 || !strings.Contains(row[1], verdict) {
				t.Errorf("%s: %s is %q, want %s", day, name, row, verdict)
			}
		}
		if day == "2026-11-23" && (proof.Rows != 0 || got.ids["devices"] != "0" || got.ids["yield"] != "–" || len(got.svgs) != 0) {
			t.Errorf("a day without work: %d rows, %v, %v", proof.Rows, got.ids, got.svgs)
		}
	}
}

// A verdict has the sign that it has on the screen, and no other verdict has it.
func TestPageHasTheSignsOfTheScreen(t *testing.T) {
	x := recorded(t, false)
	page, _ := render(t, Report{Title: "All", Made: begin}, headOf(t, x.l))
	signs := map[string]bool{}
	for _, v := range []record.Verdict{record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station, record.Begun} {
		if v.Sign() == "" || signs[v.Sign()] {
			t.Errorf("the sign of %s is %q", v, v.Sign())
		}
		signs[v.Sign()] = true
		if !bytes.Contains(page, []byte(v.Sign()+" "+string(v))) {
			t.Errorf("the page has no %s %s", v.Sign(), v)
		}
		if !regexp.MustCompile(`<b>` + regexp.QuoteMeta(v.Sign()) + ` \d+</b><span>` + string(v) + `, `).Match(page) {
			t.Errorf("the page does not count %s %s", v.Sign(), v)
		}
	}
}

func TestPageOfSimulation(t *testing.T) {
	x, _ := shift(t, true, 10)
	page, _ := render(t, Report{Title: "Rehearsal", Made: begin}, headOf(t, x.l))
	readPage(t, page)
	for _, want := range []string{`<div class="simulation" aria-hidden="true">SIMULATION</div>`, "Nothing here is a real device."} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %s", want)
		}
	}
	x, _ = shift(t, false, 1)
	if page, _ = render(t, Report{Title: "Real", Made: begin}, headOf(t, x.l)); bytes.Contains(page, []byte(">SIMULATION")) {
		t.Error("a real ledger is called a simulation")
	}
}

// What people and devices wrote cannot become a part of the page.
func TestPageEscapes(t *testing.T) {
	x := newLine(t, false)
	x.do(visit{n: 1, slot: "<script>alert(1)</script>"})
	page, _ := render(t, Report{Title: "</title><script>", Made: begin}, headOf(t, x.l))
	readPage(t, page)
}

func TestPageLeavesOut(t *testing.T) {
	x, _ := shift(t, false, 30)
	page, proof := render(t, Report{Title: "Some", Limit: 10, Made: begin}, headOf(t, x.l))
	if proof.Rows != 10 || !bytes.Contains(page, []byte("<b>20 more devices")) {
		t.Errorf("%d are listed", proof.Rows)
	}
	if got := readPage(t, page); got.ids["devices"] != "30" {
		t.Errorf("%s are counted", got.ids["devices"])
	}
}

func TestProofOfAPage(t *testing.T) {
	x := recorded(t, false)
	key := newKey(t)
	head, err := HeadOf(x.l, key)
	if err != nil {
		t.Fatal(err)
	}
	page, p := render(t, Report{File: "day.html", Title: "Day", Made: begin}, head)
	if err := p.Sign(key); err != nil {
		t.Fatal(err)
	}
	if again, _ := render(t, Report{File: "day.html", Title: "Day", Made: begin}, head); !bytes.Equal(again, page) {
		t.Error("the same page is another one the second time")
	}
	for _, err := range []error{p.CheckFile(bytes.NewReader(page)), p.CheckSigned(&key.PublicKey), p.CheckLedger(x.l)} {
		if err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(html.UnescapeString(string(page)), "root <code>"+head.Root.String()) {
		t.Error("the page does not tell its root")
	}
}
