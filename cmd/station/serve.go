package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/plain"
	"station/internal/serve"
	"station/internal/station"
)

// serveFlags are those of station serve; what is not given is in the station file.
type serveFlags struct {
	*options
	station.ServeFile
	page        pageFlags
	most        int64
	poll        time.Duration
	connections int
}

func serveCommand(o *options) *cobra.Command {
	s := &serveFlags{options: o}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Give devices in the field the releases that the record allows them",
		Long: `Serve updates over HTTPS: the protocol of the secure-FOTA environment, plain
files for esp_https_ota, and hawkBit's DDI v1. docs/serve.md has the addresses.

A device shows who it is by a certificate of the line's CA (--client-ca, --crl),
or by its token as Basic password or TargetToken: the HSM of the station file is
asked for it (--hsm-tokens), or a file has its digest (--tokens). An author shows
name and password (--authors, as "htpasswd -B" makes it). Nobody else sees anything.
The ledger of the station file decides what a device gets: nothing unless it was
sealed and not set aside, and never a release that does not fit it or is older.
Each offer, each result and each refusal is an entry.

The server signs nothing of a release. With --signer it takes plain apps and slot
bundles of those signers only. It cannot look into what is encrypted to the fleet
(app.ota, manifest, all that comes by /uploadFile), and does not into image.swu or
sbom: no signer is asked for there, the device checks it.

The server's own certificate is in files (--cert, --key), or the CA in the HSM makes
one for its names (--name, --issuer), and a new one when half of its time is over.
--site runs a site ("station site init") in the same process, --page its page. Where
another process takes the site over, on a cluster, the server ends too (exit code 3).
[serve] in the station file has all of it too. Releases are kept in a folder, --store. Ctrl-C ends it when what has begun is done.`,
		Example: `  station serve --listen :8443 --cert server.pem --key server.key --authors authors --tokens tokens
  station serve --listen :8443 --cert server.pem --key server.key --authors authors --client-ca line-ca.pem --crl line.crl
  station serve --name updates.example --issuer line-ca.pem --hsm-tokens --authors authors`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := station.LoadFile(s.options.station)
			if err != nil {
				return err
			}
			s.complete(cmd, file.Serve)
			return s.run(cmd.Context(), cmd.OutOrStdout(), file)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Listen, "listen", ":8443", "`ADDRESS` to listen at")
	f.StringVar(&s.Cert, "cert", "", "PEM `FILE` of the server's certificate and those that it leads to; read again when it changes")
	f.StringVar(&s.Key, "key", "", "PEM `FILE` of the certificate's private key")
	f.StringArrayVar(&s.Names, "name", nil, "DNS `NAME` or address of the server, which the CA in the HSM certifies; more than one may")
	f.StringVar(&s.Issuer, "issuer", "", "PEM `FILE` of the certificate of that CA")
	f.StringVar(&s.Label, "issuer-label", hsm.CA.Label(), "`LABEL` of that CA's key")
	f.StringVar(&s.Authors, "authors", "", "`FILE` of authors, NAME:HASH a line")
	f.StringVar(&s.Tokens, "tokens", "", "`FILE` of devices' tokens, \"MAC sha256:…\" a line")
	f.BoolVar(&s.HSMTokens, "hsm-tokens", false, "ask the HSM of the station file for devices' tokens")
	f.StringArrayVar(&s.ClientCAs, "client-ca", nil, "PEM `FILE` of a CA that issued devices' certificates; more than one may")
	f.StringArrayVar(&s.CRLs, "crl", nil, "PEM `FILE` of certificates that such a CA revoked, read again when it changes; more than one may")
	f.StringArrayVar(&s.Signers, "signer", nil, "PEM `FILE` of a public key that signs apps or bundles; with any, none comes in that none of them signed (what is encrypted to the fleet, and image.swu, devices check); more than one may")
	f.StringVar(&s.Store, "store", "", "`DIR` of the releases (default: releases beside the ledger)")
	f.StringVar(&s.Site, "site", "", "`DIR` of a site to run beside the server")
	s.page.add(cmd)
	f.Int64Var(&s.most, "max-size", serve.DefaultMost, "bytes that an artifact may have")
	f.DurationVar(&s.poll, "poll", serve.DefaultPoll, "how often a hawkBit client shall ask")
	f.IntVar(&s.connections, "connections", serve.Connections, "connections at the same time")
	return cmd
}

// complete takes from the station file what no flag says.
func (s *serveFlags) complete(cmd *cobra.Command, file station.ServeFile) {
	for name, v := range map[string][2]*string{"listen": {&s.Listen, &file.Listen}, "cert": {&s.Cert, &file.Cert}, "key": {&s.Key, &file.Key}, "issuer": {&s.Issuer, &file.Issuer},
		"issuer-label": {&s.Label, &file.Label}, "authors": {&s.Authors, &file.Authors}, "tokens": {&s.Tokens, &file.Tokens}, "store": {&s.Store, &file.Store}, "site": {&s.Site, &file.Site}, "page": {&s.page.listen, &file.Page},
		"page-cert": {&s.page.cert, &file.PageCert}, "page-key": {&s.page.key, &file.PageKey}} {
		if !cmd.Flags().Changed(name) && *v[1] != "" {
			*v[0] = *v[1]
		}
	}
	for name, v := range map[string][2]*[]string{"name": {&s.Names, &file.Names}, "client-ca": {&s.ClientCAs, &file.ClientCAs}, "crl": {&s.CRLs, &file.CRLs}, "signer": {&s.Signers, &file.Signers},
		"page-ca": {&s.page.cas, &file.PageCAs}, "page-crl": {&s.page.crls, &file.PageCRLs}} {
		if !cmd.Flags().Changed(name) {
			*v[0] = *v[1]
		}
	}
	if !cmd.Flags().Changed("hsm-tokens") {
		s.HSMTokens = file.HSMTokens
	}
	if !cmd.Flags().Changed("poll") && file.Poll != 0 {
		s.poll = time.Duration(file.Poll)
	}
}

// identities are all ways in which a device shows who it is; what is nil is none.
type identities struct {
	file  serve.TokenFile
	hsm   *station.DeviceTokens
	certs *serve.Certificates
}

// Token implements serve.Identities.
func (i identities) Token(ctx context.Context, mac chip.MAC, secret string) (bool, error) {
	if right, err := i.file.Token(ctx, mac, secret); right || err != nil || i.hsm == nil {
		return right, err
	}
	return i.hsm.Is(ctx, mac, secret)
}

// Certificate implements serve.Identities.
func (i identities) Certificate(chains [][]*x509.Certificate) (chip.MAC, error) {
	if i.certs == nil {
		return chip.MAC{}, errors.New("no CA's certificate is trusted")
	}
	return i.certs.Certificate(chains)
}

func (s *serveFlags) run(ctx context.Context, out io.Writer, file *station.File) error {
	ctx, stop := unbroken(ctx)
	defer stop()
	if err := s.check(); err != nil {
		return err
	}
	server, who, err := s.read()
	own, token, ownErr := s.own(file)
	if token != nil {
		defer token.Close()
	}
	if err := errors.Join(err, ownErr, s.page.read(s.Site)); err != nil {
		return err
	}
	book, releases, err := openField(file, s.Store)
	if err != nil {
		return err
	}
	defer book.Close()
	if s.HSMTokens {
		who.hsm = &station.DeviceTokens{Token: token, Ledger: book}
	}
	server.Ledger, server.Store, server.Identities = book, releases, who
	if s.Site != "" {
		at, err := startSite(ctx, s.Site)
		if err != nil {
			return err
		}
		defer at.Close()
		var end context.CancelFunc
		ctx, end = whileSite(ctx, at)
		defer end()
		if err := s.page.start(ctx, at, s.Site, releases); err != nil {
			return err
		}
		defer s.page.close()
	}
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return stationFault(err)
	}
	plain.Fprintf(stderr, "station: serving at https://%s, releases in %s\n", l.Addr(), releases.Dir())
	server.Access = slog.New(slog.NewJSONHandler(out, nil))
	err = server.Listen(ctx, l, own, who.certs.Pool(), s.connections)
	return errors.Join(replaced(ctx), stationFault(err))
}

// check tells what is missing, all at once.
func (s *serveFlags) check() error {
	var faults []error
	fault := func(text string) { faults = append(faults, errors.New("serve: "+text)) }
	if s.Tokens == "" && len(s.ClientCAs) == 0 && !s.HSMTokens {
		fault("no device could show who it is; give --tokens, --hsm-tokens or --client-ca")
	}
	if s.Authors == "" {
		fault("nobody could bring a release; give --authors")
	}
	switch files := s.Cert != "" && s.Key != ""; {
	case len(s.Names) == 0 && !files:
		fault("it has no certificate; give --cert and --key, or --name and --issuer for one of the CA in the HSM")
	case len(s.Names) > 0 && (s.Cert != "" || s.Key != ""):
		fault("two certificates of its own; give --cert and --key, or --name, not both")
	case len(s.Names) > 0 && s.Issuer == "":
		fault("--name wants the certificate of the CA that certifies it; give --issuer, as \"station identity ca\" writes it")
	}
	if s.Site == "" && s.page.listen != "" {
		fault("--page is the page of a site; give --site")
	}
	if (s.page.cert == "") != (s.page.key == "") {
		fault("the page's certificate is two files; give --page-cert and --page-key")
	}
	if s.most < 1 || s.poll < time.Second || s.connections < 1 {
		fault("--max-size and --connections want 1 or more, --poll a second or more")
	}
	return errors.Join(faults...)
}

// read reads the files that say who may.
func (s *serveFlags) read() (*serve.Server, identities, error) {
	var who identities
	var faults [4]error // all that is wrong is told at once
	if s.Tokens != "" {
		who.file, faults[0] = serve.ReadTokens(s.Tokens)
	}
	if len(s.ClientCAs) > 0 || len(s.CRLs) > 0 {
		who.certs, faults[1] = readCertificates("", s.ClientCAs, s.CRLs)
	}
	authors, err := serve.ReadAuthors(s.Authors)
	faults[2] = err
	var signers []crypto.PublicKey
	for _, path := range s.Signers {
		key, err := keyfile.ReadPublic(path)
		signers, faults[3] = append(signers, key), errors.Join(faults[3], err)
	}
	return &serve.Server{Authors: authors, Signers: signers, Most: s.most, Poll: s.poll}, who, errors.Join(faults[:]...)
}

// readCertificates reads CAs and the lists of what they revoked; what is wrong with
// these later is told on standard error.
func readCertificates(of string, cas, lists []string) (*serve.Certificates, error) {
	c, err := serve.ReadCertificates(cas, lists)
	if err == nil {
		c.Tell = func(fault error) { plain.Fprintf(stderr, "station: %s%s\n", of, fault) }
	}
	return c, err
}

// own is the server's certificate, and the token, if anything is asked of it.
func (s *serveFlags) own(file *station.File) (get func(*tls.ClientHelloInfo) (*tls.Certificate, error), token *hsm.Token, err error) {
	if s.HSMTokens || len(s.Names) > 0 {
		if token, err = station.OpenToken(file.TokenURI(), file, prompt()); err != nil {
			return nil, nil, err
		}
	}
	if len(s.Names) == 0 {
		get, err = serve.OwnCertificate(s.Cert, s.Key)
		return get, token, err
	}
	ca, err := serve.ReadCertificates([]string{s.Issuer}, nil)
	if err != nil {
		return nil, token, err
	}
	c := &station.ServerCertificate{Token: token, Label: s.Label, CA: ca.First(), Names: s.Names}
	_, err = c.Get(nil) // what is wrong with it is told now
	return c.Get, token, err
}
