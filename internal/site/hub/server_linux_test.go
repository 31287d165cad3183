package hub

import (
	"io"
	"os"
	"strings"
	"testing"
)

// What NATS tells of a disk that is full says what to do: by itself it takes nothing more,
// also when there is room again. Other warnings stay as they are.
func TestFullDiskSaysWhatToDo(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	_, refused := full.Write([]byte("x"))
	for err, want := range map[error]bool{refused: true, io.ErrUnexpectedEOF: false} {
		var said string
		teller(func(text string) { said += text }).Errorf("JetStream stream '%s' critical write error: %v", "ENTRIES-bench-1", err)
		if !strings.Contains(said, err.Error()) || strings.Contains(said, "start the site again") != want {
			t.Errorf("%v: %s", err, said)
		}
	}
}
