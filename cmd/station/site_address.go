package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteAddressCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:   "address [URL]",
		Short: "Give the site another address, which its benches hear of",
		Long: `Give the site another address, tls://HOST:PORT. Where HOST is not in the certificate
of its server, the site's own CA issues it anew, with all names that it had. The site
may run or not: the running one tells each bench at its next contact, signed by the
site's key, and the bench keeps it beside its ledger. Until the site was reached there,
a bench also looks for it where it was: so give the address first, wait until all
benches know it, and then move the site.

Without URL it says the address, and which benches do not know it yet.`,
		Example: `  station site address tls://new.example:4222
  station site address`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := hub.Open(s.dir)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				return moveSite(cmd.Context(), cmd.OutOrStdout(), f, args[0])
			}
			return addressOf(cmd.Context(), cmd.OutOrStdout(), f)
		},
	}
	s.add(cmd)
	return cmd
}

func moveSite(ctx context.Context, w io.Writer, f *hub.Folder, to string) error {
	moved, err := f.Move(ctx, to)
	stopped := errors.Is(err, hub.ErrNotRunning)
	if err != nil && !stopped {
		return err
	}
	plain.Fprintf(w, "site %s is at %s\n", f.Name, f.URL)
	if moved.Certified {
		plain.Fprintf(w, "its certificate was issued anew, with this name too\n")
	}
	if moved.Listens {
		plain.Fprintf(w, "it listens at %s from its next start\n", f.Listen)
	}
	if stopped {
		plain.Fprintf(w, "it does not run on this machine: its benches hear it from its next start, where they find it\n")
	} else {
		plain.Fprintf(w, "its benches hear it at their next contact; \"station site address\" lists those that have not\n")
	}
	return nil
}

// addressOf says where the site is, and who does not know it.
func addressOf(ctx context.Context, w io.Writer, f *hub.Folder) error {
	list, err := f.Members(ctx)
	if err != nil {
		return stationFault(err)
	}
	plain.Fprintf(w, "site %s is at %s\n", f.Name, f.URL)
	for _, b := range list {
		if b.Revoked.IsZero() && f.Since.After(b.Knows) && f.Since.After(b.PassSince) {
			plain.Fprintf(w, "%s does not know it yet\n", b.Name)
		}
	}
	return nil
}
