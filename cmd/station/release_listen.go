package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"station/internal/plain"
	field "station/internal/release"
	"station/internal/station"
)

func releaseListenCommand(r *releaseFlags) *cobra.Command {
	l := &releaseListener{flags: &addFlags{releaseFlags: &releaseFlags{options: r.options}}}
	var address string
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Take firmware as authors of the secure-FOTA environment bring it, over HTTP on this machine",
		Long: `Answer the author's HTTP interface of the secure-FOTA environment, for scripts that
use it: POST /upload?id=&deviceType=&fwName=&firmwarePath= makes the release that
"station release add" would make of that file, and brings manifest and binary to
the server of --upload by that environment's own door, which offers them to every
device of the type at once. Without --upload the release lies in the store and is
handed out to all.

It answers 200 when all of that is done, 404 where there is no such file, 422 where
a key cannot be loaded or the firmware is none, 409 where the number is taken, 502
where the server did not take it. It listens on this machine only, takes no request
of a browser, and reads files of --dir only. The PIN is asked for once, at the start
of each release, as everywhere.`,
		Example: `  station release listen --listen 127.0.0.1:8080 --dir build --job lamp.toml --fleet-key fleet-public.pem --manifest-key manifest-public.pem --upload https://updates.example:8443 --credentials anna.txt --operator anna`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context(), address) },
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8080", "`ADDRESS` of this machine to listen at")
	cmd.Flags().StringVar(&l.dir, "dir", ".", "`DIR` that firmwarePath is in")
	l.flags.addMaking(cmd)
	for _, name := range []string{"job", "fleet-key", "manifest-key"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// releaseListener makes a release of each request.
type releaseListener struct {
	flags *addFlags
	dir   string
	root  *os.Root
	door  *field.Door
	turn  sync.Mutex // one release at a time
}

func (l *releaseListener) run(ctx context.Context, address string) error {
	ctx, stop := unbroken(ctx)
	defer stop()
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--listen %q: want an address of this machine alone, such as 127.0.0.1:8080: whoever reaches it has firmware signed", address)
	}
	if l.door, err = l.flags.upload.door(); err != nil {
		return err
	}
	if _, err := l.flags.readAround(); err != nil { // it is read again for each
		return err
	}
	if l.root, err = os.OpenRoot(l.dir); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	defer l.root.Close()
	at, err := net.Listen("tcp", address)
	if err != nil {
		return stationFault(err)
	}
	plain.Fprintf(stderr, "station: listening at http://%s, firmware in %s\n", at.Addr(), l.dir)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /upload", l.upload)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: answerTime, BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	done := make(chan error, 1)
	go func() { done <- server.Serve(at) }()
	select {
	case err := <-done:
		return stationFault(err)
	case <-ctx.Done():
		return stationFault(server.Shutdown(context.WithoutCancel(ctx)))
	}
}

// upload makes one release.
func (l *releaseListener) upload(w http.ResponseWriter, r *http.Request) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if r.Header.Get("Origin") != "" || !local(r.Host) { // a page in a browser of this machine
		http.Error(w, "not for browsers", http.StatusForbidden)
		return
	}
	q := r.URL.Query()
	id, err := releaseNumber(q.Get("id"))
	if err := errors.Join(err, field.CheckProduct(q.Get("deviceType")), field.CheckProduct(q.Get("fwName"))); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	path, err := l.firmware(q.Get("firmwarePath"))
	if err != nil {
		http.Error(w, fmt.Sprintf("there is no firmware %q below %s", q.Get("firmwarePath"), l.dir), http.StatusNotFound)
		return
	}
	a := *l.flags
	a.product, a.name, a.id = q.Get("deviceType"), q.Get("fwName"), id
	if err := a.make(r.Context(), path, l.handOut(r.Context())); err != nil {
		plain.Fprintf(stderr, "station: %v\n", err)
		http.Error(w, err.Error(), listenCode(err))
		return
	}
	plain.Fprintf(stderr, "station: release %d of %s is made and handed out\n", id, a.product)
	w.WriteHeader(http.StatusOK)
}

// handOut gives a release to all devices of its type, as the environment does.
func (l *releaseListener) handOut(ctx context.Context) func(*station.Releases, *field.Release) error {
	return func(all *station.Releases, doc *field.Release) error {
		if l.door != nil {
			return l.door.UploadEnvironment(ctx, doc, all.Store.Artifact)
		}
		roll, _, err := all.Rollout(doc)
		if err != nil || roll != nil {
			return err
		}
		everybody := 100
		_, err = all.Start(doc.ID, station.Share{Percent: &everybody}, "as the environment hands out")
		return err
	}
}

// firmware is the file of a path, which has to be below the folder.
func (l *releaseListener) firmware(path string) (string, error) {
	if filepath.IsAbs(path) {
		dir, err := filepath.Abs(l.dir)
		if err != nil {
			return "", err
		}
		if path, err = filepath.Rel(dir, path); err != nil {
			return "", err
		}
	}
	info, err := l.root.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fs.ErrNotExist
	}
	return filepath.Join(l.dir, path), nil
}

// local tells whether a request was sent to this machine by a name of it.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func listenCode(err error) int {
	a, answered := errors.AsType[*field.Answer](err)
	_, unreached := errors.AsType[*url.Error](err)
	var coded *codedError
	switch {
	case answered && a.Status == http.StatusConflict, errors.Is(err, station.ErrNumberTaken):
		return http.StatusConflict
	case answered, unreached:
		return http.StatusBadGateway
	case errors.As(err, &coded), errors.Is(err, context.Canceled):
		return http.StatusInternalServerError
	}
	return http.StatusUnprocessableEntity
}
