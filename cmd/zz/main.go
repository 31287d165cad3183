package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"station/internal/esploader"
	"station/internal/port"
)

func main() {
	b := time.Now()
	p, err := port.Open(os.Args[1])
	fmt.Println("open", err, time.Since(b))
	if err != nil {
		return
	}
	for _, l := range [][2]bool{{false, true}, {true, true}, {true, false}, {false, false}} {
		b = time.Now()
		err = p.SetLines(l[0], l[1])
		fmt.Println("lines", err, time.Since(b))
	}
	for _, baud := range []int{921600, 1500000, 2000000, 460800, 115200, 74880} {
		b = time.Now()
		err = p.SetBaud(baud)
		fmt.Println(baud, err, time.Since(b))
	}
	l := esploader.New(p, esploader.Options{})
	ctx, c := context.WithTimeout(context.Background(), 5*time.Second)
	defer c()
	fmt.Println(l.Connect(ctx))
	id, err := l.Identify(ctx)
	fmt.Println(id, err)
	fmt.Println(l.SetBaud(ctx, 921600))
	l.Close()
}
