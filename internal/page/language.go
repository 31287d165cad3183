package page

import (
	"net/http"
	"strings"

	"station/internal/record"
	"station/internal/release"
	"station/internal/words"
)

// language is one language of the page: the words of the line, and the page's own.
type language struct {
	words.Language
	Tag string // of HTML

	LogIn, LogOut, Token, TokenHow, Wrong, TooMany string
	Benches, Batches, Releases, Device, Search     string
	SearchHow, NotFound, NoBench, Switch, Lost     string
	Today, SealedToday, FailedToday, AsideToday    string
	Yield, TodaysFailures, None, Here, Away, Never string
	LineEnded, Revoked, Refused, PutOff, Stuck     string
	Quota, Devices, Opened, Closed, Open           string
	Product, Version, Rollout, Withdrawn, Share    string
	Bench, Life, Proof, ProofHow, NoProof          string
	Serial, ID, Key, Verdict, Time, What, Code     string
	Entry, SetAside, SealedBy, More                string
	Offered, Updated, FailedDevices, NoStore       string
	Download                                       string

	Rollouts map[release.State]string
	Entries  map[record.Kind]string
}

var english = language{
	Language: words.English, Tag: "en",
	LogIn: "Log in", LogOut: "Log out", Token: "Token", TokenHow: "Who runs the site gives you one.", Wrong: "Nobody has this token.", TooMany: "Too many wrong tokens. Wait a minute.",
	Benches: "Benches", Batches: "Batches", Releases: "Releases", Device: "Device", Search: "Find",
	SearchHow: "MAC, serial number or ID", NotFound: "No bench of this site knows a device of that name.", NoBench: "No bench belongs to this site yet.", Switch: "中文", Lost: "Not live: the site cannot be reached. What you see may be old.",
	Today: "Today", SealedToday: "sealed", FailedToday: "to be put back", AsideToday: "set aside or scrap",
	Yield: "first pass", TodaysFailures: "Failures of today", None: "none", Here: "working", Away: "AWAY since", Never: "no word since the site started; last entry",
	LineEnded: "line ended", Revoked: "revoked", Refused: "LEDGER REFUSED", PutOff: "Its device has to come back.",
	Stuck: "NOT STORED: the site's disk is full, or refuses to write",
	Quota: "quota", Devices: "devices", Opened: "opened", Closed: "closed", Open: "open",
	Product: "product", Version: "version", Rollout: "rollout", Withdrawn: "withdrawn", Share: "of the devices",
	Bench: "bench", Life: "Whole life", Proof: "Proof", Download: "Download the proof", ProofHow: "of all entries up to the last checkpoint. It is checked with:", NoProof: "No checkpoint has been signed yet: there is nothing to prove it with.",
	Serial: "serial number", ID: "ID", Key: "key", Verdict: "result", Time: "time", What: "what", Code: "code",
	Entry: "entry", SetAside: "set aside", SealedBy: "sealed by", More: "Only the newest are shown.",
	Offered: "offered", Updated: "updated", FailedDevices: "failed", NoStore: "Releases are shown where the update server (station serve) runs the site.",
	Rollouts: map[release.State]string{release.Running: "running", release.Paused: "paused", release.Stopped: "stopped: too many devices failed"},
	Entries:  englishEntries,
}

var chinese = language{
	Language: words.Chinese, Tag: "zh-Hans",
	LogIn: "登录", LogOut: "退出", Token: "令牌", TokenHow: "由站点管理员提供。", Wrong: "没有人使用此令牌。", TooMany: "错误的令牌太多，请等一分钟。",
	Benches: "工位", Batches: "批次", Releases: "版本发布", Device: "设备", Search: "查找",
	SearchHow: "MAC、序列号或 ID", NotFound: "本站点没有工位认识这个设备。", NoBench: "本站点还没有工位。", Switch: "English", Lost: "未连接：无法访问站点，显示的内容可能已过时。",
	Today: "今天", SealedToday: "已封装", FailedToday: "需放回", AsideToday: "隔离或报废",
	Yield: "一次合格率", TodaysFailures: "今天的失败", None: "无", Here: "工作中", Away: "离线，自", Never: "站点启动后没有消息；最后一条记录",
	LineEnded: "生产线已结束", Revoked: "已吊销", Refused: "账本被拒绝", PutOff: "它的设备需要放回。",
	Stuck: "未保存：站点的磁盘已满或拒绝写入",
	Quota: "配额", Devices: "设备", Opened: "开始", Closed: "结束", Open: "进行中",
	Product: "产品", Version: "版本", Rollout: "推送", Withdrawn: "已撤回", Share: "的设备",
	Bench: "工位", Life: "全部记录", Proof: "证明", Download: "下载证明", ProofHow: "（到最后一个检查点为止的全部记录）。用此命令检查：", NoProof: "还没有签名的检查点，无法证明。",
	Serial: "序列号", ID: "ID", Key: "密钥", Verdict: "结果", Time: "时间", What: "内容", Code: "代码",
	Entry: "记录", SetAside: "已隔离", SealedBy: "封装任务", More: "只显示最新的。",
	Offered: "已提供", Updated: "已更新", FailedDevices: "失败", NoStore: "由更新服务器（station serve）运行站点时，此处显示版本发布。",
	Rollouts: map[release.State]string{release.Running: "进行中", release.Paused: "已暂停", release.Stopped: "已停止：失败的设备太多"},
	Entries:  chineseEntries,
}

const languageCookie = "station-language"

// languageOf is what the reader has chosen, or what his browser asks for first.
func languageOf(r *http.Request) *language {
	tag := r.Header.Get("Accept-Language")
	if c, err := r.Cookie(languageCookie); err == nil {
		tag = c.Value
	}
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(tag)), "zh") {
		return &chinese
	}
	return &english
}

// spoken takes the reader's choice out of the address.
func spoken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		tag := query.Get("lang")
		if tag != "en" && tag != "zh" || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: tag, Path: "/", MaxAge: 365 * 24 * 3600, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		query.Del("lang")
		at := *r.URL
		at.Scheme, at.Host, at.RawQuery = "", "", query.Encode()
		if strings.HasPrefix(at.Path, "//") { // else it would name another host
			at.Path = "/"
		}
		http.Redirect(w, r, at.String(), http.StatusSeeOther)
	})
}
