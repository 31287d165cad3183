package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"station/internal/hsm"
	"station/internal/plain"
	"station/internal/secret"
	"station/internal/station"
)

// tokenFlags name the token for commands that can do without a station file.
type tokenFlags struct {
	*options
	uri string
}

func (t *tokenFlags) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&t.uri, "hsm", "", "the token's PKCS#11 `URI`, in place of the station file's")
}

// open logs in to the token of --hsm or of the station file.
func (t *tokenFlags) open() (*hsm.Token, error) {
	file, err := station.LoadFile(t.station)
	switch {
	case t.uri == "" && err != nil:
		return nil, err
	case t.uri == "":
		return station.OpenToken(file.TokenURI(), file, prompt())
	case err != nil: // a token without a station remembers nothing
		return station.OpenToken(t.uri, nil, prompt())
	}
	return station.OpenToken(t.uri, file, prompt())
}

// openNamed logs in to a token that an argument names, such as --key.
func (o *options) openNamed(uri string) (*hsm.Token, error) {
	return (&tokenFlags{options: o, uri: uri}).open()
}

// with logs in to the token for f, whose error is the token's.
func (t *tokenFlags) with(f func(*hsm.Token) error) error {
	token, err := t.open()
	if err != nil {
		return err
	}
	defer token.Close()
	return tokenFault(f(token))
}

// tokenFault is an error of the token: the station's fault, but for what the
// caller asked for and can have under another name, and what has an exit code of
// its own: a bad file, the ledger.
func tokenFault(err error) error {
	var coded *codedError
	if errors.Is(err, hsm.ErrExists) || errors.Is(err, hsm.ErrLabel) || errors.As(err, &coded) {
		return err
	}
	return station.TokenFailure(err)
}

// prompt asks for a PIN on the terminal without echo; nil where there is none.
func prompt() station.AskPIN {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return func(question string) (*secret.Bytes, error) {
		plain.Fprintf(stderr, "%s ", question)
		defer fmt.Fprintln(stderr)
		pin, err := readHidden(int(os.Stdin.Fd()))
		if err != nil {
			return nil, fmt.Errorf("read PIN: %w", err)
		}
		return secret.New(pin)
	}
}

// readHidden reads a line without echo. A signal ends it, and the terminal
// echoes again.
func readHidden(fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	ctx, stop := unbroken(context.Background())
	defer stop()
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-ctx.Done():
		return nil, errors.Join(errors.New("nobody typed one"), term.Restore(fd, before))
	}
}
