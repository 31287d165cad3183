package words

import "station/internal/flow"

const (
	zhPutBack  = "请取出设备，再放回去。"
	zhAgain    = "请放回再试；如果再次出现，请放到一边交给工程师。"
	zhRepair   = "请放回再试；如果再次出现，请放到一边送修。"
	zhSetAside = "请把设备放到一边，交给工程师。"
	zhForeign  = "请把设备放到一边：它不属于这个任务。"
	zhScrap    = "请把设备放入报废箱。"
	zhCall     = "请叫工程师；生产线等待。"
)

// chineseFailures are the sentence and the action of every code.
var chineseFailures = map[flow.Code][2]string{
	"E-NO-ANSWER":        {"设备没有应答。", "请检查设备是否放好，再放回去。"},
	"E-PORT-GONE":        {"设备或线缆被拔出了。", zhPutBack},
	"E-BOOT-MODE":        {"设备启动了程序，没有进入下载模式。", "请检查治具的 BOOT 和 EN 触点，再放回去。"},
	"E-DEAF":             {"设备有输出，但收不到工位的数据。", "请检查治具的 RX 触点，再放回去。"},
	"E-ROM":              {"设备拒绝了一个命令。", zhPutBack},
	"E-BAUD":             {"通信在最低速度下也不正常。", "请检查治具触点和线缆，再放回去。"},
	"E-FLASH-ID":         {"闪存芯片无法识别。", zhRepair},
	"E-FLASH-VERIFY":     {"闪存没有保住写入的内容。", zhRepair},
	"E-FUSE-WIRE":        {"通信受到干扰，这次没有改动任何熔丝。", zhPutBack},
	"E-FUSE-PART":        {"烧写熔丝的过程中通信受到干扰。", zhPutBack},
	"E-KEY-TORN":         {"密钥没有完整烧写；将改用另一个位置。", zhPutBack},
	"E-BROWNOUT":         {"设备的供电电压跌落。", "请检查治具的电源触点，再放回去。"},
	"E-BOOT-SILENT":      {"复位后设备没有任何输出。", zhAgain},
	"E-BOOT-MARKER":      {"设备启动了，但没有报告就绪。", zhAgain},
	"E-BOOT-FAILED":      {"设备没有启动。", zhAgain},
	"E-BOOT-PSRAM":       {"设备的扩展内存（PSRAM）没有应答。", "请放回去再试一次；如果再次出现，请放到一边：模组可能装错了。"},
	"E-BOOT-CORES":       {"设备的芯片是单核，程序需要双核。", "请放回去再试一次；如果再次出现，请放到一边：模组装错了。"},
	"E-BOOT-ASSERT":      {"设备的程序在自检时停止了。", zhAgain},
	"E-BOOT-STACK":       {"设备的程序堆栈溢出。", zhAgain},
	"E-BOOT-HEAP":        {"设备的程序破坏了自己的内存。", zhAgain},
	"E-BOOT-IDENTITY":    {"设备启动了，但不知道自己是谁。", zhAgain},
	"E-IDENTITY":         {"无法生成任务要求的设备身份。", zhCall},
	"E-BOOT-VERSION":     {"设备启动的程序不是这个任务的。", zhAgain},
	"E-SIGNATURE-BOOT":   {"设备拒绝它的引导程序：签名不是设备要求的。", zhAgain},
	"E-SIGNATURE-APP":    {"设备拒绝它的程序：签名不是设备要求的。", zhAgain},
	"E-SIGNATURE-UNSEEN": {"设备启动了，但没有报告它会检查签名。", zhAgain},
	"E-STOPPED":          {"设备完成之前工位被停止。", "生产线恢复后请放回去。"},

	"E-NOT-ESP32":         {"这不是 ESP32。", zhForeign},
	"E-CHIP":              {"设备的芯片不是任务所要的那种。", zhForeign},
	"E-CHIP-REVISION":     {"芯片版本不符合任务。", zhForeign},
	"E-FLASH-SIZE":        {"设备的闪存小于任务的要求。", zhForeign},
	"E-CODING":            {"芯片的熔丝编码不适合任务的密钥。", zhSetAside},
	"E-MAC":               {"设备的出厂地址已损坏。", zhSetAside},
	"E-FOREIGN-KEY":       {"设备里有不是本工位生成的密钥。", zhSetAside},
	"E-FOREIGN-FUSES":     {"设备的熔丝被别人改动过。", zhSetAside},
	"E-LEDGER-DISAGREES":  {"设备与工位的记录不一致。", zhSetAside},
	"E-KEY-CONFLICT":      {"设备里有另一个密钥的一部分。", zhSetAside},
	"E-KEY-CHANGED":       {"令牌给出的密钥与此设备记录的不同。", zhSetAside},
	"E-VIRTUAL":           {"无法确定此设备是真实芯片还是虚拟芯片。", zhSetAside},
	"E-SEALED-OTHER":      {"此设备以前用其他固件封装过。", zhSetAside},
	"E-DOWNLOAD-DISABLED": {"设备已永久关闭，无法检查。", "请在已封装的设备中查找它的标签；找不到就放到一边交给工程师。"},
	"E-CLOSED":            {"设备正在被永久关闭，之后没有看到它启动。", "请放回一次；如果不合格，请放到一边交给工程师。"},
	"E-ELSEWHERE":         {"此设备是在另一个工位开始的。", "请把它送到那个工位；如果不知道是哪个，请等站点恢复后再放回。"},
	"E-SITE-CONFLICT":     {"站点发现此设备或其编号也属于另一个工位。", "请将设备放到一边，由工程师在站点处理。"},
	"E-FUSE-CONFLICT":     {"设备的熔丝不允许执行这个任务。", zhSetAside},
	"E-FUSE-UNSTABLE":     {"设备的熔丝两次读出的结果不同。", zhSetAside},
	"E-OTHER-JOB":         {"此设备是用另一个任务开始的。", zhSetAside},
	"E-STRANGER":          {"此设备的地址属于这里做过的另一个设备。", zhSetAside},
	"E-SAME-MAC":          {"此设备的地址与另一个槽里的设备相同。", zhSetAside},
	"E-SET-ASIDE":         {"此设备以前被隔离，还没有人解除。", zhSetAside},
	"E-RETESTS":           {"此设备失败次数太多。", zhSetAside},
	"E-BOOT-SELFKEY":      {"设备自己生成了密钥。", zhSetAside},

	"E-KEY-BLOCKS": {"芯片里已没有放密钥的位置。", zhScrap},
	"E-FUSE-BURN":  {"有一个熔丝无法烧写。", zhScrap},
	"E-FUSE-WRONG": {"有一个熔丝的内容是错误的。", zhScrap},

	"E-HSM":            {"密钥令牌不工作。", zhCall},
	"E-HSM-AWAY":       {"密钥令牌不在。", "请插上令牌；生产线会自动继续。"},
	"E-HSM-PIN":        {"密钥令牌的 PIN 错误。", zhCall},
	"E-HSM-NO-PIN":     {"工位没有密钥令牌的 PIN。", zhCall},
	"E-HSM-TOKENS":     {"有多个密钥令牌符合,不清楚用哪一个。", zhCall},
	"E-HSM-SOFTWARE":   {"密钥令牌是软件，而此设备是真实设备。", zhCall},
	"E-HSM-KEY":        {"密钥令牌里没有任务的密钥。", zhCall},
	"E-LEDGER":         {"工位的记录无法写入。", zhCall},
	"E-LEDGER-LOCKED":  {"另一个程序打开了工位的记录。", "请关闭那个程序，再重新启动。"},
	"E-CLAIMED":        {"站点的另一个工位已有此设备，或有同一编号的设备。", zhSetAside},
	"E-SITE":           {"无法连接站点；没有站点，本工位不能继续生产。", "如果长时间不恢复，请叫工程师；生产线会自动继续。"},
	"E-LEDGER-SITE":    {"站点保存的本工位记录与工位自己的记录不一致。", "请叫工程师；查明之前不能生产。"},
	"E-LEDGER-DAMAGED": {"工位的记录已损坏。", "请叫工程师；恢复之前不能生产。"},
	"E-PORT":           {"端口无法使用。", zhCall},
	"E-PORT-BUSY":      {"端口被另一个程序占用。", "请关闭那个程序；生产线会自动继续。"},
	"E-QUOTA":          {"此任务已做满允许的设备数量。", zhCall},
	"E-SERIAL":         {"没有人能扫描任务要求的序列号。", zhCall},
	"E-BATCH":          {"批次没有打开。", zhCall},
	"E-UNKNOWN":        {"发生了本程序不认识的问题。", "请把设备放到一边，叫工程师。"},
	"E-ALIKE":          {"多个设备烧写后以同样方式失败。", "请叫工程师，由其让生产线继续。"},
	"E-PANIC":          {"工位程序自身出错。", zhCall},
	"E-LABEL":          {"已封装，但标签没有打印。", "请取出设备；需要补打标签 (station label --reprint)。"},
}
