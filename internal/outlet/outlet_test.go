package outlet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func missed(n int) []byte { return fmt.Appendf(nil, "missed %d\n", n) }

// Who reads gets everything, in order, and at once.
func TestReader(t *testing.T) {
	var b bytes.Buffer
	o := New(&b, missed)
	want := ""
	for i := range 1000 {
		line := fmt.Sprintln("line", i)
		if _, err := io.WriteString(o, line); err != nil {
			t.Fatal(err)
		}
		want += line
		if i%100 == 0 {
			if n, err := o.Flush(nil); n != 0 || err != nil || b.String() != want {
				t.Fatalf("%d, %v, %d bytes", n, err, b.Len())
			}
		}
	}
}

// A full pipe that nobody reads costs no time, and bounded memory; what was
// dropped is said to who reads at last.
func TestNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	o := New(w, missed)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const lines = 10000
	for range lines {
		if _, err := o.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	o.mu.Lock()
	queued := o.queued
	o.mu.Unlock()
	if queued > maxQueued {
		t.Errorf("%d bytes are queued", queued)
	}
	if n, err := o.Flush(nil); n == 0 || !errors.Is(err, ErrUnread) {
		t.Errorf("got %d, %v", n, err)
	}
	got, told := 0, 0
	in := bufio.NewReader(r)
	for got+told < lines {
		text, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(text, "missed %d", &n); err == nil {
			told += n
		} else {
			got++
		}
	}
	if told == 0 || got < maxQueued/1024/2 {
		t.Errorf("%d lines, and %d told as missed", got, told)
	}
	if _, err := o.Write(line); err != nil {
		t.Error(err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Error(err)
	}
	if _, err := o.Flush(nil); err != nil {
		t.Error(err)
	}
}

// A reader that is slow but reads gets the rest.
func TestSlowReader(t *testing.T) { synctest.Test(t, checkSlowReader) }

func checkSlowReader(t *testing.T) {
	r, w := io.Pipe()
	o := New(w, missed)
	done := make(chan int)
	go func() {
		n := 0
		for in := bufio.NewReader(r); ; n++ {
			if _, err := in.ReadString('\n'); err != nil {
				done <- n
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	for range 50 {
		_, _ = io.WriteString(o, "line\n")
	}
	if n, err := o.Flush(nil); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	w.Close()
	if n := <-done; n != 50 {
		t.Errorf("read %d lines", n)
	}
	close(o.wake) // else its goroutine stays, as in a program
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The first write that fails tells so itself.
func TestReaderGone(t *testing.T) {
	o := New(broken{}, missed)
	for range 2 {
		if _, err := io.WriteString(o, "line\n"); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := o.Flush(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// Many slow readers hold up the end of a program no longer than one.
func TestOneGoodbyeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaving Goodbye
		var took time.Duration
		for range 5 {
			r, w := io.Pipe()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				for b := make([]byte, 5); ; time.Sleep(patience + patience/5) {
					if _, err := r.Read(b); err != nil {
						return
					}
				}
			}()
			o := New(w, missed)
			for range 100 {
				_, _ = io.WriteString(o, "line\n")
			}
			begin := time.Now()
			if _, err := o.Flush(&leaving); !errors.Is(err, ErrUnread) {
				t.Errorf("got %v", err)
			}
			took += time.Since(begin)
			r.Close()
			<-gone
			close(o.wake) // else its goroutine stays, as in a program
		}
		if took > goodbye+silence {
			t.Errorf("it took %v", took)
		}
	})
}
