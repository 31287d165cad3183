package tui

import (
	"station/internal/board"
	"station/internal/flow"
	"station/internal/record"
)

// chinese is Simplified Chinese as it is written on production lines. The
// verdicts stay in Latin block letters, with the Chinese word below.
var chinese = language{
	verdicts: map[record.Verdict]string{
		record.Pass: "合格", record.Retry: "重试", record.Scrap: "报废", record.Quarantine: "隔离", record.Station: "工位故障",
	},
	steps: map[flow.StepID]string{
		"connect": "连接", "admit": "检查", "key": "生成密钥", "flash": "写入闪存",
		"burn-key": "烧写密钥", "burn-crypt": "烧写加密熔丝", "boot": "启动固件",
		"lock": "锁定", "last-boot": "最后启动", "seal": "封装", "bind": "扫描序列号",
	},
	failures: chineseFailures,
	fuses: map[string]string{
		"WR_DIS":                "%[1]s 永远不能再写入",
		"RD_DIS":                "%[1]s 永远不能再读出，只供芯片内部使用",
		"BLOCK1":                "本设备自己的闪存加密密钥",
		"BLOCK2":                "安全启动密钥或摘要",
		"BLOCK3":                "用户数据",
		"FLASH_CRYPT_CNT":       "从此闪存加密；全部位烧写后不可更改",
		"FLASH_CRYPT_CONFIG":    "密钥随闪存地址变化",
		"UART_DOWNLOAD_DIS":     "永久关闭串口下载",
		"JTAG_DISABLE":          "永久关闭 JTAG",
		"DISABLE_DL_ENCRYPT":    "串口下载模式不能再加密",
		"DISABLE_DL_DECRYPT":    "串口下载模式不能再解密",
		"DISABLE_DL_CACHE":      "串口下载模式不能再读出解密的闪存",
		"CONSOLE_DEBUG_DISABLE": "永久关闭芯片 ROM 中的 BASIC",
		"ABS_DONE_0":            "启用安全启动 V1",
		"ABS_DONE_1":            "启用安全启动 V2",
		"DISABLE_SDIO_HOST":     "关闭 SDIO 主机",
		"DISABLE_APP_CPU":       "只用一个内核",
		"DISABLE_BT":            "关闭蓝牙",
	},
	values: [][2]string{{"partly written", "部分写入"}, {"empty", "空"}, {"device key", "设备密钥"}},
	hints: map[board.HintKind]string{
		board.CheckContacts: "工位槽 %[1]s 最近 %[3]d 次中有 %[2]d 次失败：请检查触点",
		board.CheckCable:    "工位槽 %[1]s 最近 %[3]d 次中有 %[2]d 次数据出错：请检查线缆",
		board.CheckSupply:   "工位槽 %[1]s 最近 %[3]d 次中有 %[2]d 次掉电：请检查供电",
	},

	passed: "已封装。", already: "以前已封装，一切正常。", remove: "请取出设备。",
	free: "已取出。可以放入下一个设备。", taken: "已取出。",
	putBack: "请放回。", putBackMAC: "请把 %[1]s 放回。", owed: "待放回：%[1]s", nextByHand: "然后下一个：%[1]s",
	shorts: map[record.Verdict]string{
		record.Pass: "请取出。", record.Retry: "请放回。", record.Scrap: "放报废箱。", record.Quarantine: "请放一边。",
		record.Station: "请叫工程师。",
	},
	scanShort: "请扫描", scanLater: "等待扫描", scanAfter: "稍后扫描：先扫槽 %[1]s。", ready: "就绪", empty: "空", plugIn: "请放入设备。",
	hands: map[flow.Hand]string{
		flow.HandLoader: "请按住 BOOT，按一下 EN（复位），再松开 BOOT。",
		flow.HandApp:    "请按一下 EN（复位）。",
	},
	doNotUnplug: "请勿拔出 DO NOT UNPLUG", holdShort: "请勿拔出", scanNow: "请扫描此设备的序列号。", ackNow: "看到了吗？请按 %[1]s。",
	waits: "等待：前面的设备烧写完后，才烧写这一个。",
	left:  "剩余 %[1]s", step: "第 %[1]d 步，共 %[2]d 步", visit: "第 %[1]d 次", passedOf: "合格 %[1]d / %[2]d", sec: "%[1]s 秒", slot: "槽 %[1]s",
	space: "空格", enter: "回车", esc: "Esc", arrows: "方向键",

	station: "工位", job: "任务", batch: "批次", operator: "操作员",
	simulation: "SIMULATION 模拟：不接触任何真实设备", paused: "已暂停：不开始新设备",
	stopping: "正在停止：等待%[1]s", stoppingHeld: "正在停止：%[1]s 正在烧写熔丝，请勿拔出",
	ended: "已结束：生产线已停止", done: "完成 %[1]d", doneOf: "完成 %[1]d / %[2]d",
	firstPass: "直通率 %[1]s", perHour: "每小时 %[1]s 台", perDevice: "每台 %[1]s 秒", sealedBefore: "以前已封装 %[1]d",
	virtualVisits: "虚拟芯片 %[1]d 次", cause: "%[1]s。", slots: "槽 %[1]s",
	noFailures: "无失败", failed: "失败 %[1]d", setAside: "隔离 %[1]d",
	hsm: "密钥令牌", ledger: "账本", disk: "磁盘", head: "账本头", fault: "不开始新设备：%[1]s",
	serialNext: "下一个设备的序列号：", serialFor: "槽 %[1]s 的序列号：", bound: "序列号 %[1]s 已绑定到槽 %[2]s。",
	boundNext: "%[1]s：请放入设备（%[2]s 取消此序列号）。", scanEmpty: "请扫描",
	serialShape: "%[1]s 不是本任务的序列号，请重新扫描。", serialTaken: "%[1]s 已属于 %[2]s，请扫描另一个。",
	serialGiven: "%[1]s 已为另一个设备扫描过，请扫描另一个。", serialPending: "%[1]s 正等待下一个设备：请放入设备，或按 %[2]s。",
	serialUnasked: "已不需要 %[1]s，请重新扫描。",
	undeclared:    "批次 %[1]s 没有人开过：没有数量限制，任何任务都可以",
	tooSmall:      "请放大窗口。", more: "槽 %[1]d 到 %[2]d，共 %[3]d",

	kAck: "已看到", kSelect: "选槽", kDetails: "详情", kRetry: "再试", kMute: "静音", kSound: "开声音",
	kHistory: "历史", kPause: "暂停", kGoOn: "继续", kHelp: "帮助", kQuit: "退出", kBack: "返回", kOK: "确定",
	kChoose: "选择", kTab: "下一页", kScroll: "滚动", kErase: "清除", kFaster: "加快", kSlower: "减慢",
	kNext: "下一结果", kLeave: "离开", kSure: "是，停止生产线",
	kDismiss: "不再放回", kMended: "原因已找到，继续",

	chooseJob: "选择哪个任务？", askOperator: "谁在本工位工作？", operatorHow: "请扫描工牌或输入工号，然后按回车。",
	askPIN: "密钥令牌的 PIN", pinHow: "请输入后按回车。输入内容不显示。", wait: "请稍候。",
	planTitle: "%[1]s 版本 %[2]s 的烧写计划",
	planIntro: "以下内容会写入并烧入每个设备。烧写后无法恢复。",
	planOld:   "现在", planNew: "之后", planWhat: "含义",
	planAsk:  "要批准，请输入摘要的前 %[1]d 个字符：",
	planMode: "模式 %[1]s", planImages: "写入闪存", planSettings: "设置", planFuses: "永久烧写",
	modes:     map[string]string{"release": "封闭：加密永远不能关闭。", "development": "开放：可通过串口重写闪存。"},
	planWrong: "%[1]s 不是摘要的开头。请输入上面摘要的前 %[2]d 个字符。",
	planWho:   "谁批准？必须是操作员以外的人：请扫描工牌或输入工号，然后按回车。",
	planMore:  "下面还有内容。请先滚动到末尾。", planForEver: "本工位每个任务版本只批准一次，您的工号将记入账本。", approve: "批准",
	historyTitle: "今日设备；输入完整的 MAC 或序列号可查其他日期", historyAsk: "MAC 或序列号：", historyNone: "没有找到设备。",
	columns:     [7]string{"时间", "结果", "MAC", "序列号", "槽", "代码", "秒"},
	detailTitle: "槽 %[1]s", tabLog: "日志", tabFuses: "熔丝", tabBoot: "启动日志", nothing: "没有信息。",
	fuseField: "熔丝", fuseBefore: "之前", fuseAfter: "之后",
	helpTitle: "帮助", helpKeys: "现在可用的按键", helpSigns: "各种结果的含义",
	meaning: map[record.Verdict]string{
		record.Pass:       "设备已封装，请取出。",
		record.Retry:      "没有损失，请把设备放回再试。",
		record.Scrap:      "熔丝内容错误，请放入报废箱。",
		record.Quarantine: "设备与记录不符，请放到一边交给工程师。",
		record.Station:    "不是设备的问题：工位需要处理。",
	},
	meaningHeld: "正在烧写熔丝，请等待结果。",
	goOnTitle:   "让生产线继续？",
	goOnHow:     "请由工程师操作。如果原因还在，会再损失同样多的设备。",
	quitTitle:   "停止生产线？", quitIdle: "没有设备正在处理。",
	quitBusy:    "%[1]d 个设备正在处理。它们会停下，以后可以放回继续。",
	quitHeld:    "%[1]d 个设备已烧写熔丝：会先完成。请勿拔出 DO NOT UNPLUG。",
	replaySpeed: "回放 %[1]s，速度 %[2]s 倍", replayPaused: "回放 %[1]s，已暂停", replayEnd: "回放：到此结束",
}
