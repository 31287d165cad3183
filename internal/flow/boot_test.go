package flow

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/bootlog"
)

// Each console of a real chip has its verdict and a failure of its own.
func TestJudgeConsoles(t *testing.T) {
	const boot = "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\nentry 0x40080640\r\nI (31) boot: ESP-IDF v5.3 2nd stage bootloader\r\n"
	const app = boot + "I (254) cpu_start: Multicore app\r\n"
	logs := map[string]string{
		"assert":   app + "assert failed: app_main main.c:12 (x == 1)\r\nabort() was called at PC 0x1\r\n",
		"old":      app + "assertion \"x\" failed: file \"main.c\", line 3, function: app_main\r\nabort() was called at PC 0x1\r\n",
		"stack":    app + "***ERROR*** A stack overflow in task main has been detected.\r\n",
		"canary":   app + "Guru Meditation Error: Core  0 panic'ed (Unhandled debug exception).\r\nDebug exception reason: Stack canary watchpoint triggered (main)\r\n",
		"heap":     app + "CORRUPT HEAP: Bad tail at 0x3ffe270a. Expected 0xbaad5678 got 0xbaac5678\r\nassert failed: multi_heap_free multi_heap_poisoning.c:259 (head != NULL)\r\n",
		"crash":    app + "Guru Meditation Error: Core  1 panic'ed (LoadProhibited).\r\n",
		"watchdog": app + "E (5380) task_wdt: Task watchdog got triggered.\r\n",
		"quiet":    app,
		"mistyped": boot + "E (90) boot: Failed to verify partition table\r\n" + app + "lamp: redy\r\n",
		"selfkey":  boot + "I (90) flash_encrypt: Generating new flash encryption key...\r\n",
		"nothing":  "",
	}
	files, err := filepath.Glob("../../fixtures/cases/consoles/*.log")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		logs[strings.TrimSuffix(filepath.Base(file), ".log")] = string(b)
	}
	want := map[string]Code{
		"assert": "E-BOOT-ASSERT", "old": "E-BOOT-ASSERT", "stack": "E-BOOT-STACK", "canary": "E-BOOT-STACK", "heap": "E-BOOT-HEAP",
		"crash": "E-BOOT-FAILED", "watchdog": "E-BOOT-FAILED", "quiet": "E-BOOT-MARKER", "mistyped": "E-BOOT-MARKER",
		"selfkey": "E-BOOT-SELFKEY", "nothing": "E-BOOT-SILENT",
		"psram": "E-BOOT-PSRAM", "solo": "E-BOOT-CORES", "rev-app-5.1": "E-BOOT-FAILED", "rev-boot-4.4": "E-BOOT-FAILED",
		"app-invalid-magic": "", "app-version-other": "", "app-waiting-download": "", "app-wrong-chip-id": "",
		"power-on-flash-read-err": "", "wdt-format-ready": "",
	}
	for name, log := range logs {
		w := bootlog.NewWatch("lamp: ready")
		w.Add([]byte(log))
		_, found := w.Marker()
		var got Code
		if err := judge(w.Report(), len(log), found, "lamp: ready", time.Second); err != nil {
			got = FailureFrom(err).Code
		}
		if code, listed := want[name]; !listed || got != code {
			t.Errorf("%s: got %s, want %s", name, got, code)
		}
		if early := decided(w.Report()); early != (name == "selfkey") {
			t.Errorf("%s: decided %t", name, early)
		}
	}
}
