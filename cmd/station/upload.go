package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/plain"
	field "station/internal/release"
	"station/internal/station"
)

// uploadFlags say to which server releases go, and in whose name.
type uploadFlags struct {
	url, credentials, ca string
}

func (u *uploadFlags) add(cmd *cobra.Command, what string) {
	f := cmd.Flags()
	f.StringVar(&u.url, "upload", "", "`URL` of the update server "+what+", https://host:port")
	f.StringVar(&u.credentials, "credentials", "", "`FILE` with NAME:PASSWORD of the author at that server")
	f.StringVar(&u.ca, "ca", "", "PEM `FILE` of the CA that certified the server (default: those of this machine)")
}

// answerTime is how long a server may take before it begins to answer.
const answerTime = 2 * time.Minute

// door is the server's door for authors; nil where none was named.
func (u *uploadFlags) door() (*field.Door, error) {
	if u.url == "" {
		if u.credentials != "" || u.ca != "" {
			return nil, errors.New("--credentials and --ca are for a server: name it with --upload")
		}
		return nil, nil
	}
	at, err := url.Parse(u.url)
	if err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil || strings.Trim(at.Path, "/") != "" || at.RawQuery != "" {
		return nil, fmt.Errorf("--upload %q: want https://host:port, and name and password in the file of --credentials", u.url)
	}
	if u.credentials == "" {
		return nil, errors.New("--upload: give --credentials, the file with your NAME:PASSWORD at that server")
	}
	data, err := keyfile.Read(u.credentials, keyfile.Key)
	if err != nil {
		return nil, fmt.Errorf("--credentials: %w", err)
	}
	defer clear(data)
	name, secret, ok := strings.Cut(strings.TrimSpace(string(data)), ":")
	if !ok || name == "" || secret == "" || strings.ContainsAny(secret, "\r\n") {
		return nil, fmt.Errorf("--credentials %s: want one line NAME:PASSWORD", u.credentials)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if u.ca != "" {
		pem, err := keyfile.Read(u.ca, keyfile.Key)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca %s: it holds no certificate in PEM", u.ca)
		}
	}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, ResponseHeaderTimeout: answerTime, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // nobody else gets the password
	}
	return &field.Door{URL: u.url, Author: name, Secret: secret, Client: client}, nil
}

// upload brings a release to the server, if one was named.
func upload(ctx context.Context, door *field.Door, all *station.Releases, doc *field.Release) error {
	if door == nil {
		return nil
	}
	if err := door.Upload(ctx, doc, all.Store.Artifact); err != nil {
		return uploadFault(err, "the release is made; the same command once more brings it there")
	}
	plain.Fprintf(stderr, "station: release %d is at %s\n", doc.ID, door.URL)
	return nil
}

// uploadFault tells the author's own fault from one of the way and the server.
func uploadFault(err error, then string) error {
	if a, is := errors.AsType[*field.Answer](err); is && a.Status < 500 && a.Status != http.StatusRequestTimeout {
		return err
	}
	if _, is := errors.AsType[*tls.CertificateVerificationError](err); is {
		return fmt.Errorf("%w: %s; %s", err, certificateFix(err), then)
	}
	return stationFault(fmt.Errorf("%w; %s", err, then))
}

// certificateFix is what to do about a server's certificate that does not hold.
func certificateFix(err error) string {
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		return "give the CA that certified the server, --ca FILE"
	}
	if _, is := errors.AsType[x509.HostnameError](err); is {
		return "give --upload a name that stands in the server's certificate"
	}
	return "the server needs another certificate"
}
