package page

import "station/internal/record"

// What an entry of a ledger says, in a few words. The ledger's own name stands beside it.
var englishEntries = map[record.Kind]string{
	record.LedgerCreated: "the ledger begins", record.LedgerKey: "this key signs checkpoints from here on", record.Recovered: "the ledger was recovered from a damaged file",
	record.PlanApproved: "a person approved the job",
	record.DeviceSeen:   "put into a slot", record.Admitted: "looked at: what it is, and whether it may go on",
	record.SerialBound: "serial number given", record.KeyAssigned: "key given", record.IdentityMade: "identity made",
	record.IdentityRevoked: "identity revoked", record.NumberTaken: "number of the batch taken",
	record.FlashVerified: "firmware written and compared", record.BurnIntended: "fuses are about to be burned",
	record.BurnSettled: "fuses burned and read back", record.BootVerified: "started its firmware",
	record.Sealed: "sealed", record.Failed: "ended without a PASS", record.Released: "an engineer lets it go on",
	record.Moved: "came here from another bench", record.ConflictFound: "the site found it in a conflict",
	record.ConflictSettled: "a person explained whose it is", record.LabelPrinted: "label printed",
	record.KeyRecovered: "key taken out for service", record.KeyImported: "key made or imported in the token",
	record.KeyRemoved: "key removed from the token", record.BatchOpened: "batch opened", record.BatchAmended: "quota of the batch changed",
	record.BatchClosed: "batch closed", record.NumbersLeased: "numbers got from the site", record.NumbersReturned: "numbers given back to the site",
	record.LineHalted: "the line stopped", record.LineResumed: "the line goes on",
	record.ReleaseMade: "release made", record.ReleaseWithdrawn: "release withdrawn", record.RolloutChanged: "rollout started or changed",
	record.UpdateOffered: "update offered", record.UpdateResult: "the device told how the update went", record.UpdateRefused: "update refused",
}

var chineseEntries = map[record.Kind]string{
	record.LedgerCreated: "账本建立", record.LedgerKey: "从此由该密钥签署检查点", record.Recovered: "账本已从损坏的文件恢复",
	record.PlanApproved: "已有人批准该任务",
	record.DeviceSeen:   "已放入工位", record.Admitted: "已检查：是什么设备，能否继续",
	record.SerialBound: "已分配序列号", record.KeyAssigned: "已分配密钥", record.IdentityMade: "已生成身份",
	record.IdentityRevoked: "身份已吊销", record.NumberTaken: "已取得批次编号",
	record.FlashVerified: "固件已写入并核对", record.BurnIntended: "即将烧写熔丝",
	record.BurnSettled: "熔丝已烧写并回读", record.BootVerified: "固件已启动",
	record.Sealed: "已封装", record.Failed: "结束，未合格", record.Released: "工程师允许继续",
	record.Moved: "从其他工位转来", record.ConflictFound: "站点发现冲突",
	record.ConflictSettled: "已有人说明设备归属", record.LabelPrinted: "标签已打印",
	record.KeyRecovered: "为维修取出密钥", record.KeyImported: "令牌中已生成或导入密钥",
	record.KeyRemoved: "令牌中的密钥已删除", record.BatchOpened: "批次已开始", record.BatchAmended: "批次配额已更改",
	record.BatchClosed: "批次已结束", record.NumbersLeased: "已从站点取得编号", record.NumbersReturned: "编号已归还站点",
	record.LineHalted: "生产线已停止", record.LineResumed: "生产线继续",
	record.ReleaseMade: "版本已发布", record.ReleaseWithdrawn: "版本已撤回", record.RolloutChanged: "推送已开始或更改",
	record.UpdateOffered: "已提供更新", record.UpdateResult: "设备报告了更新结果", record.UpdateRefused: "更新被拒绝",
}
