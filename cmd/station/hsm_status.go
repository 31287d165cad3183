package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/job"
	"station/internal/plain"
	"station/internal/station"
)

type statusAnswer struct {
	hsm.Status
	Problems []string `json:"problems"` // all of them, in words
}

func hsmStatusCommand(t *tokenFlags) *cobra.Command {
	var jobs []string
	var signer string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Audit the token: every object, what is too open, what is missing, what is not ours",
		Long: `Audit the token: what it is, which key policies it can serve (each is tried, with
the key that is there or with one that lives for the moment), every key of ours with its attributes,
what is too open or unfit, what is missing (the signing key, and the keys of the
jobs given), and what in it is not ours. If the station has a ledger, the keys
are compared with what it says of this token: a key that it knows nothing of, or
that it speaks of and the token lacks, is a problem too ("station key note").
What the token cannot do is no problem where neither a job given nor a key that
is there needs it; in one that cannot sign, the signing key is missed only if
--signer names it. Exit code 3 if anything is wrong.`,
		Example: `  station hsm status
  station hsm status --job lamp.toml --job bell.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := t.wantedKeys(jobs, signer, !cmd.Flags().Changed("signer"))
			if err != nil {
				return err
			}
			token, err := t.open()
			if err != nil {
				return err
			}
			defer token.Close()
			s, err := token.Status(cmd.Context(), want...)
			if err != nil {
				return station.TokenFailure(err)
			}
			book := t.compare(&s)
			if *asJSON {
				err = answer(cmd.OutOrStdout(), statusAnswer{s, s.Problems()})
			} else {
				printStatus(cmd.OutOrStdout(), s, t.natureOf(s.Info), book)
			}
			if n := len(s.Problems()); err == nil && n > 0 {
				return stationFault(fmt.Errorf("hsm status: %d problems", n))
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&jobs, "job", nil, "job `FILE` whose key must be there; may be given again")
	cmd.Flags().StringVar(&signer, "signer", hsm.Signer.Label(), "label of the signing key that must be there, by default where the token can sign; empty for none")
	asJSON = jsonFlag(cmd)
	return cmd
}

// wantedKeys are the keys that jobs and ledger count on. A signing key that
// nobody asked for by name is not missed in a token that cannot sign.
func (t *tokenFlags) wantedKeys(jobs []string, signer string, ifAble bool) (want []hsm.Want, err error) {
	for _, path := range jobs {
		job, err := job.Load(path, t.tokenKey)
		if err != nil {
			return nil, err
		}
		for _, key := range job.Keys() {
			prf := hsm.PRF(key.PRF)
			if prf == "" && key.Policy == string(hsm.Derived) {
				prf = hsm.HMAC
			}
			want = append(want, hsm.Want{Role: hsm.Policy(key.Policy).Role(), Label: key.Label, PRF: prf})
		}
	}
	if signer != "" {
		want = append(want, hsm.Want{Role: hsm.Signer, Label: signer, IfAble: ifAble})
	}
	return want, nil
}

// natureOf says what keeps the keys, and what follows from it.
func (t *tokenFlags) natureOf(token hsm.Info) string {
	file, err := t.stationFile()
	if file == nil || err != nil {
		file = &station.File{Path: t.station}
	}
	switch barred := file.VirtualOnly(token); {
	case barred != nil:
		return "SOFTWARE, for virtual devices: real ones are refused; allow_software_token = true under [hsm] in " + file.Path + " takes them"
	case token.Nature == hsm.Software:
		return "SOFTWARE: whoever reads this machine's disk has every key. " + file.Path + " allows it for real devices"
	case token.Nature == hsm.Hardware:
		return "hardware, by its own word"
	}
	return "unknown: it does not say that it is hardware (CKF_HW_SLOT)"
}

// printStatus shows an audit; nature is what keeps the keys, book what is said of
// the ledger that it was compared with.
func printStatus(w io.Writer, s hsm.Status, nature, book string) {
	plain.Fprintf(w, "token         %s\nserial        %s\nmodel         %s, %s\nfirmware      %s\nmodule        %s\nlibrary       %s\n",
		s.Label, s.Serial, s.Model, s.Manufacturer, s.Firmware, s.Module, s.Library)
	plain.Fprintf(w, "nature        %s\n", nature)
	if s.Throwaway {
		fmt.Fprintln(w, "SIMULATION    a throw-away token; nothing made with it is real")
	}
	if book != "" {
		plain.Fprintf(w, "ledger        %s\n", book)
	}
	for _, a := range s.Abilities {
		switch {
		case a.Can:
			plain.Fprintf(w, "%-18s can           %s\n", a.For, a.How)
		case a.Untried:
			plain.Fprintf(w, "%-18s cannot tell   %s\n", a.For, a.Why)
		case a.Role == hsm.Signer:
			plain.Fprintf(w, "%-18s cannot        %s; the ledger's checkpoints stay unsigned\n", a.For, a.Why)
		default:
			plain.Fprintf(w, "%-18s cannot        %s\n", a.For, a.Why)
		}
	}
	for _, m := range s.Mechanisms {
		state := "yes"
		if !m.Present {
			state = "no"
		}
		plain.Fprintf(w, "mechanism     %-28s %-8s %s\n", m.Name, state, m.For)
	}
	for _, k := range s.Keys {
		fmt.Fprintln(w)
		printKey(w, k)
	}
	if len(s.Keys) == 0 {
		fmt.Fprintln(w, "\nno keys of ours; make them with \"station hsm init\"")
	}
	for _, k := range s.Others {
		plain.Fprintf(w, "\nnot ours      %s %q, %s\n", k.Type, k.Label, strings.Join(k.Attributes, " "))
	}
	problems := s.Problems()
	if len(problems) == 0 {
		fmt.Fprintln(w, "\nno problems")
	}
	for i, p := range problems {
		if i == 0 {
			fmt.Fprintln(w)
		}
		plain.Fprintf(w, "PROBLEM       %s\n", p)
	}
}
