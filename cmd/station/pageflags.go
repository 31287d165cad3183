package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"station/internal/page"
	"station/internal/plain"
	field "station/internal/release"
	"station/internal/serve"
	"station/internal/site/hub"
)

// pageFlags say where the page of a site is served.
type pageFlags struct {
	listen, cert, key string
	cas, crls         []string
	certificate       func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	certified         *serve.Certificates // nil: nobody has a certificate
	done              chan error          // nil: it is not served
	stop              context.CancelFunc
}

func (p *pageFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.listen, "page", "", "`ADDRESS` at which the site's page is served over HTTPS; none without it")
	f.StringVar(&p.cert, "page-cert", "", "PEM `FILE` of the page's certificate (default: the site's own)")
	f.StringVar(&p.key, "page-key", "", "PEM `FILE` of its private key")
	f.StringArrayVar(&p.cas, "page-ca", nil, "PEM `FILE` of a CA whose certificates may read the page without a token; more than one may")
	f.StringArrayVar(&p.crls, "page-crl", nil, "PEM `FILE` of certificates that such a CA revoked, read again when it changes; more than one may")
	cmd.MarkFlagsRequiredTogether("page-cert", "page-key")
}

// readersOf are those who may read the page of a site's folder.
func readersOf(dir string) *page.Readers {
	return &page.Readers{Path: filepath.Join(dir, "readers.json")}
}

// read reads the files of the page of a site's folder.
func (p *pageFlags) read(dir string) (err error) {
	if p.listen == "" {
		return nil
	}
	if p.cert == "" {
		p.cert, p.key = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	}
	if p.certificate, err = serve.OwnCertificate(p.cert, p.key); err != nil || len(p.cas)+len(p.crls) == 0 {
		return err
	}
	p.certified, err = readCertificates("page: ", p.cas, p.crls)
	return err
}

// start serves the page, whose files are read, until ctx ends or it is closed;
// releases may be nil.
func (p *pageFlags) start(ctx context.Context, at *hub.Server, dir string, releases field.Records) error {
	if p.listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", p.listen)
	if err != nil {
		return stationFault(err)
	}
	plain.Fprintf(stderr, "station: page at %s\n", pageURL(l.Addr(), at.URL()))
	s := &page.Server{Name: at.Name(), Site: at, Readers: readersOf(dir), Certified: p.certified, Releases: releases, Tell: func(text string) { plain.Fprintf(stderr, "station: %s\n", text) }}
	ctx, p.stop = context.WithCancel(ctx)
	p.done = make(chan error, 1)
	go func() { p.done <- s.Listen(ctx, l, p.certificate) }()
	return nil
}

// pageURL is where people find the page: by the site's name, where it listens at
// every address of the machine.
func pageURL(at net.Addr, siteURL string) string {
	listens := at.String()
	host, port, _ := net.SplitHostPort(listens)
	if u, err := url.Parse(siteURL); err == nil && u.Hostname() != "" && net.ParseIP(host).IsUnspecified() {
		listens = net.JoinHostPort(u.Hostname(), port)
	}
	return "https://" + listens
}

// close ends the page.
func (p *pageFlags) close() error {
	if p.done == nil {
		return nil
	}
	p.stop()
	return stationFault(<-p.done)
}
