package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteInitCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var c hub.Config
	var names []string
	var cert, key, ca string
	var cluster, credentials, clusterCA string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the certificate and the keys of a site",
		Long: `Make the folder of a site: its name and address, the key by which it signs
checkpoints, and the certificate of its server. Without --cert, --key and --ca it makes
a CA of its own, which every bench gets with its pass. Who has the folder has the
site: it is backed up as a whole, and nobody else may read it.

With --cluster the copies of the benches' ledgers are on three servers of a NATS cluster
of yours; docs/site.md says what that needs. Benches come to the site all the same.`,
		Example: `  station site init --dir site --name plant-1 --url tls://site.example:4222`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var certificate *hub.Own
			if cert != "" || key != "" || ca != "" {
				if cert == "" || key == "" || ca == "" {
					return errors.New("site init: --cert, --key and --ca go together")
				}
				var err error
				if certificate, err = hub.ReadOwn(cert, key, ca); err != nil {
					return err
				}
			}
			if cluster != "" || credentials != "" || clusterCA != "" {
				if cluster == "" || credentials == "" {
					return errors.New("site init: --cluster and --cluster-creds go together")
				}
				var err error
				if c.Cluster, err = hub.ReadCluster(cluster, credentials, clusterCA); err != nil {
					return fmt.Errorf("site init: %w", err)
				}
				defer c.Cluster.Credentials.Destroy()
			}
			if err := hub.Init(s.dir, c, names, certificate); err != nil {
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "site %s at %s; \"station site run\" runs it, \"station site add\" lets benches in\n", c.Name, c.URL)
			return nil
		},
	}
	f := cmd.Flags()
	s.add(cmd)
	f.StringVar(&c.Name, "name", "", "`NAME` of the site")
	f.StringVar(&c.URL, "url", "", "`URL` at which benches find it, tls://HOST:PORT")
	f.StringVar(&c.Listen, "listen", "", "`ADDRESS` to listen at (default: every one of this machine, at the URL's port)")
	f.StringArrayVar(&names, "dns", nil, "another `NAME` or address of the server in its certificate; more than one may")
	f.StringVar(&cert, "cert", "", "PEM `FILE` of a certificate of the server that another CA made")
	f.StringVar(&key, "key", "", "PEM `FILE` of its private key")
	f.StringVar(&ca, "ca", "", "PEM `FILE` of that CA's certificate")
	f.StringVar(&cluster, "cluster", "", "`URL` of a NATS cluster that keeps the copies, tls://HOST:PORT; its other servers with commas")
	f.StringVar(&credentials, "cluster-creds", "", "`FILE` by which it knows the site: .creds, or the seed of an nkey")
	f.StringVar(&clusterCA, "cluster-ca", "", "PEM `FILE` of the CA of its certificates (default: those of this machine)")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("url")
	return cmd
}
