package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"station/internal/flow"
)

// A shift of a soak in a process of its own, behind sockets, which is killed
// somewhere on its way, or comes to its end before.

// inAProcess puts a chip into each slot once.
func (sh *shift) inAProcess() {
	sh.goOn()
	ctx, unplug := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	args := []string{"run", "--headless", "--once", "--job", sh.goods.path, "--operator", "anna", "--approve", sh.goods.plan}
	if sh.batch != "" {
		args = append(args, "--batch", sh.batch)
	}
	if sh.resumes {
		args = append(args, "--go-on")
	}
	sh.oneEach()
	for i, v := range sh.all {
		v.hurried = true
		sh.model.hurried++
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			err = sh.put(v, fmt.Sprint(i+1))
		}
		if err != nil {
			sh.t.Fatal(err)
		}
		args = append(args, "--port", "rfc2217://"+l.Addr().String())
		serving.Go(func() { _ = v.chip.ServeRFC2217(ctx, l) })
	}
	code, begun := sh.runAndKill(args)
	unplug()
	serving.Wait()
	for _, v := range sh.all {
		v.takeOut()
		v.chip.Close()
	}
	sh.follow()
	switch {
	case code == killed:
		sh.killed++
	case begun:
		sh.exit(code, sh.verdicts())
	default:
		sh.exit(code, nil)
	}
	for _, v := range sh.all {
		delete(sh.model.burning, &v.visit)
	}
}

// oneEach leaves as many chips as there are slots, and of one MAC only one.
func (sh *shift) oneEach() {
	var all []*turn
	for _, v := range sh.all {
		if len(all) < soakSlots && !slices.ContainsFunc(all, func(o *turn) bool { return o.mac == v.mac }) {
			all = append(all, v)
		}
	}
	sh.all, sh.waiting = all, nil
}

// runAndKill runs a line until one of its events, and lets somebody do
// something beside it before. begun: it came to its first event.
func (sh *shift) runAndKill(args []string) (code int, begun bool) {
	cmd := sh.command(args...)
	events, last := 0, 1+sh.IntN(25*len(sh.all))
	_, stderr := watchRun(sh.t, cmd, func(e flow.Event) {
		if e.Slot != "" || e.Event == flow.LineHalted {
			sh.hear(e)
		}
		if events++; events == last/2 {
			sh.something()
		}
		if events == last {
			for _, v := range sh.all {
				if v.event == nil {
					v.trouble()
				}
			}
			_ = cmd.Process.Kill()
		}
	})
	code = cmd.ProcessState.ExitCode()
	sh.model.must(!strings.Contains(stderr, "panic"), "%s", bytes.TrimSpace([]byte(stderr)))
	return code, events > 0
}
