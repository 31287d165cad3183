package main

import (
	"context"
	"crypto"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
)

// fileFlags say where a file of the ledger goes, and who vouches for it.
type fileFlags struct {
	*ledgerFlags
	signerFlags
	out  output
	sign bool
	held bool // what is written is held against the log while it is read
}

func (f *fileFlags) add(cmd *cobra.Command) {
	f.signerFlags.add(cmd)
	f.out.add(cmd, "out", "", "`FILE` to write; FILE.proof is written beside it (default: standard output, without a proof)")
	cmd.Flags().BoolVar(&f.sign, "sign", false, "let the token sign a checkpoint and the proof")
}

// mustHold rereads the ledger: all of it before it is signed, else what the
// file tells from the indexes.
func (f *fileFlags) mustHold(b *ledger.Ledger) error {
	switch {
	case f.sign:
		return mustBeWhole(b)
	case f.held:
		return nil
	}
	return mustAgree(b)
}

// write writes the file and its proof. The ledger is only read, and the token
// asked only with --sign.
func (f *fileFlags) write(ctx context.Context, out, person io.Writer, bar *progress, make func(io.Writer, *qa.Head) (*qa.ExportProof, error)) error {
	if f.sign && f.out.path == "" {
		return fmt.Errorf("--sign needs --out FILE: the signature goes into FILE.proof")
	}
	defer bar.end()
	return f.read(func(b *ledger.Ledger) error {
		var key crypto.Signer
		if f.sign {
			if b.Simulated() {
				return qa.ErrSimulated
			}
		}
		if err := f.mustHold(b); err != nil {
			return err
		}
		if f.sign {
			token, found, err := f.signerFlags.open(ctx)
			if err != nil {
				return err
			}
			defer token.Close()
			key = found
		}
		head, err := qa.HeadOf(b, key)
		if err != nil {
			return stationFault(err)
		}
		if f.out.path == "" {
			_, err := make(out, head)
			return notTrue(err)
		}
		var proof *qa.ExportProof
		err = f.out.write(func(w io.Writer) (err error) {
			proof, err = make(w, head)
			bar.end()
			return err
		})
		if err == nil && key != nil {
			err = proof.Sign(key)
		}
		if err != nil {
			return notTrue(err)
		}
		data, err := proof.Marshal()
		if err == nil {
			err = f.out.beside(".proof").bytes(data)
		}
		if err != nil {
			return stationFault(err)
		}
		plain.Fprintf(person, "wrote %s (%s, %s) and %s.proof\n", f.out.path, plain.Count(proof.Rows, "row"), proof.Filter, f.out.path)
		return nil
	})
}
