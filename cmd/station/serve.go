package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/serve"
	"station/internal/station"
)

// serveFlags are those of station serve.
type serveFlags struct {
	*options
	listen, cert, key, authors, tokens, store string
	cas, crls, signers                        []string
	most                                      int64
	poll                                      time.Duration
	connections                               int
}

func serveCommand(o *options) *cobra.Command {
	s := &serveFlags{options: o}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Give devices in the field the releases that the record allows them",
		Long: `Serve updates over HTTPS: the protocol of the secure-FOTA environment, plain
files for esp_https_ota, and hawkBit's DDI v1. docs/serve.md has the addresses.

A device shows who it is by a certificate of the line's CA (--client-ca, --crl),
or by its token (--tokens) as Basic password or TargetToken; an author by name
and password (--authors, as "htpasswd -B" makes it). Nobody else sees anything.
The ledger of the station file decides what a device gets: nothing unless it was
sealed and not set aside, and never a release that does not fit it or is older.
Each offer, each result and each refusal is an entry.

Releases are kept in a folder, --store. Ctrl-C ends it when what has begun is done.`,
		Example: `  station serve --listen :8443 --cert server.pem --key server.key --authors authors --tokens tokens
  station serve --listen :8443 --cert server.pem --key server.key --authors authors --client-ca line-ca.pem --crl line.crl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", ":8443", "`ADDRESS` to listen at")
	f.StringVar(&s.cert, "cert", "", "PEM `FILE` of the server's certificate and those that it leads to; read again when it changes")
	f.StringVar(&s.key, "key", "", "PEM `FILE` of the certificate's private key")
	f.StringVar(&s.authors, "authors", "", "`FILE` of authors, NAME:HASH a line")
	f.StringVar(&s.tokens, "tokens", "", "`FILE` of devices' tokens, \"MAC sha256:…\" a line")
	f.StringArrayVar(&s.cas, "client-ca", nil, "PEM `FILE` of a CA that issued devices' certificates; more than one may")
	f.StringArrayVar(&s.crls, "crl", nil, "PEM `FILE` of certificates that such a CA revoked; more than one may")
	f.StringArrayVar(&s.signers, "signer", nil, "PEM `FILE` of a public key that signs apps or bundles; with any, no release comes in that none of them signed")
	f.StringVar(&s.store, "store", "", "`DIR` of the releases (default: releases beside the ledger)")
	f.Int64Var(&s.most, "max-size", serve.DefaultMost, "bytes that an artifact may have")
	f.DurationVar(&s.poll, "poll", serve.DefaultPoll, "how often a hawkBit client shall ask")
	f.IntVar(&s.connections, "connections", serve.Connections, "connections at the same time")
	for _, name := range []string{"cert", "key", "authors"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// identities are both ways in which a device shows who it is.
type identities struct {
	serve.TokenFile
	*serve.Certificates
}

// Certificate implements serve.Identities where no CA is trusted.
func (i identities) Certificate(cert *x509.Certificate) (chip.MAC, error) {
	if i.Certificates == nil {
		return chip.MAC{}, errors.New("no CA's certificate is trusted")
	}
	return i.Certificates.Certificate(cert)
}

func (s *serveFlags) run(ctx context.Context, out io.Writer) error {
	ctx, stop := unbroken(ctx)
	defer stop()
	file, err := station.LoadFile(s.options.station)
	if err != nil {
		return err
	}
	server, own, cas, err := s.read()
	if err != nil {
		return err
	}
	book, releases, err := openField(file, s.store)
	if err != nil {
		return err
	}
	defer book.Close()
	server.Ledger, server.Store = book, releases
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return stationFault(err)
	}
	fmt.Fprintf(stderr, "station: serving at https://%s, releases in %s\n", l.Addr(), releases.Dir())
	server.Access = slog.New(slog.NewJSONHandler(out, nil))
	return stationFault(server.Listen(ctx, l, own, cas, s.connections))
}

// read reads the files that say who may.
func (s *serveFlags) read() (server *serve.Server, own func(*tls.ClientHelloInfo) (*tls.Certificate, error), cas *x509.CertPool, err error) {
	if s.tokens == "" && len(s.cas) == 0 {
		return nil, nil, nil, errors.New("serve: no device could show who it is; give --tokens or --client-ca")
	}
	var who identities
	var faults [5]error // all that is wrong is told at once
	if s.tokens != "" {
		who.TokenFile, faults[0] = serve.ReadTokens(s.tokens)
	}
	if len(s.cas) > 0 || len(s.crls) > 0 {
		if who.Certificates, faults[1] = serve.ReadCertificates(s.cas, s.crls); faults[1] == nil {
			cas = who.Certificates.Pool
		}
	}
	authors, err := serve.ReadAuthors(s.authors)
	faults[2] = err
	own, faults[3] = serve.OwnCertificate(s.cert, s.key)
	var signers []crypto.PublicKey
	for _, path := range s.signers {
		key, err := keyfile.ReadPublic(path)
		signers, faults[4] = append(signers, key), errors.Join(faults[4], err)
	}
	if err := errors.Join(faults[:]...); err != nil {
		return nil, nil, nil, err
	}
	return &serve.Server{Identities: who, Authors: authors, Signers: signers, Most: s.most, Poll: s.poll}, own, cas, nil
}
