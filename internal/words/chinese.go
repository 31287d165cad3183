package words

import (
	"station/internal/board"
	"station/internal/flow"
	"station/internal/record"
)

// Chinese is Simplified Chinese as it is written on production lines. The verdicts
// stay in Latin block letters, with the Chinese word below.
var Chinese = Language{
	Verdicts: map[record.Verdict]string{
		record.Pass: "合格", record.Retry: "重试", record.Scrap: "报废", record.Quarantine: "隔离", record.Station: "工位故障",
	},
	Steps: map[flow.StepID]string{
		"connect": "连接", "admit": "检查", "key": "生成密钥", "flash": "写入闪存",
		"burn-key": "烧写密钥", "burn-crypt": "烧写加密熔丝", "burn-boot": "烧写安全启动", "boot": "启动固件",
		"lock": "锁定", "last-boot": "最后启动", "seal": "封装", "bind": "扫描序列号", "give-up": "隐藏残留的密钥",
	},
	Failures: chineseFailures,
	Hints: map[board.HintKind]string{
		board.CheckContacts: "工位槽 %[1]s 最近 %[3]d 次中有 %[2]d 次失败：请检查触点",
		board.CheckCable:    "工位槽 %[1]s 最近 %[3]d 次中有 %[2]d 次数据出错：请检查线缆",
		board.CheckSupply:   "工位槽 %[1]s 最近 %[3]d 次中有 %[2]d 次掉电：请检查供电",
	},
	Passed: "已封装。", Already: "以前已封装，一切正常。", Remove: "请取出设备。",
	Free: "已取出。可以放入下一个设备。", Taken: "已取出。", PutBack: "请放回。", PutBackMAC: "请把 %[1]s 放回。",
	NextByHand: "然后下一个：%[1]s",
	Shorts: map[record.Verdict]string{
		record.Pass: "请取出。", record.Retry: "请放回。", record.Scrap: "放报废箱。", record.Quarantine: "请放一边。",
		record.Station: "请叫工程师。",
	},
	Ready: "就绪", Empty: "空", PlugIn: "请放入设备。",
	Hands: map[flow.Hand]string{
		flow.HandLoader: "请按住 BOOT，按一下 EN（复位），再松开 BOOT。",
		flow.HandApp:    "请按一下 EN（复位）。",
	},
	DoNotUnplug: "请勿拔出 DO NOT UNPLUG", ScanNow: "请扫描此设备的序列号。",
	Waits: "等待：前面的设备烧写完后，才烧写这一个。", WaitsStopped: "等待：生产线已停止。", Left: "剩余 %[1]s",
	Step: "第 %[1]d 步，共 %[2]d 步", Visit: "第 %[1]d 次", PassedOf: "合格 %[1]d / %[2]d", Sec: "%[1]s 秒", Slot: "槽 %[1]s",
	Station: "工位", Job: "任务", Batch: "批次", Operator: "操作员", Simulation: "SIMULATION 模拟：不接触任何真实设备",
	Paused: "已暂停：不开始新设备", Ended: "已结束：生产线已停止", Done: "完成 %[1]d", DoneOf: "完成 %[1]d / %[2]d",
	FirstPass: "直通率 %[1]s", PerHour: "每小时 %[1]s 台", PerDevice: "每台 %[1]s 秒", SealedBefore: "以前已封装 %[1]d",
	VirtualVisits: "虚拟芯片 %[1]d 次", NoFailures: "无失败", Fault: "不开始新设备：%[1]s",
	Undeclared: "批次 %[1]s 没有人开过：没有数量限制，任何任务都可以",
	Meaning: map[record.Verdict]string{
		record.Pass:       "设备已封装，请取出。",
		record.Retry:      "没有损失，请把设备放回再试。",
		record.Scrap:      "熔丝内容错误，请放入报废箱。",
		record.Quarantine: "设备与记录不符，请放到一边交给工程师。",
		record.Station:    "不是设备的问题：工位需要处理。",
	},
}
