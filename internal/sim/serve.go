package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Serving a chip's port to other programs.

// takeover is how long a new client waits for the last one to be gone.
const takeover = 500 * time.Millisecond

// Serve offers the chip's raw bytes to TCP clients of l, one at a time, until ctx
// ends. The chip stays as it is from one client to the next: nothing resets it but
// PressReset. A second client is turned away while the first is there. There
// are no modem lines and no baud rate: the wire follows the chip's.
func (c *Chip) Serve(ctx context.Context, l net.Listener) error {
	return c.accept(ctx, l, c.serveConn)
}

// accept serves each client of l until ctx ends.
func (c *Chip) accept(ctx context.Context, l net.Listener, serve func(context.Context, net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case err != nil:
			return err
		}
		clients.Go(func() { serve(ctx, conn) })
	}
}

func (c *Chip) serveConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	port, err := c.openWithin(ctx, takeover)
	if err != nil {
		return
	}
	pump(ctx, conn, port)
}

// openWithin opens the port, waiting for another client's end for a while.
func (c *Chip) openWithin(ctx context.Context, d time.Duration) (*Port, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		c.mu.Lock()
		changed := c.wire.change()
		c.mu.Unlock()
		port, err := c.open(0)
		if !errors.Is(err, ErrBusy) {
			return port, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// pump carries bytes between a client and the port until either is gone.
func pump(ctx context.Context, client io.ReadWriteCloser, port *Port) {
	stop := context.AfterFunc(ctx, func() { client.Close(); port.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		carry(client, port)
		client.Close()
		port.Close()
	}()
	carry(port, client)
	client.Close()
	port.Close()
	<-done
}

// carry copies from src to dst until one of them fails.
func carry(dst io.Writer, src io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
