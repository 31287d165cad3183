// Package hub is the site itself: one folder with its certificate, its keys, the
// benches that belong to it and, in JetStream, a copy of each bench's ledger. It
// holds what a bench shows against that copy, and signs its checkpoints too.
//
//	site.json            name, address, format
//	ca.pem, ca.key       the CA of the server's certificate, where the site made one
//	server.pem, .key     that certificate
//	witness.pem, .key    signs checkpoints
//	admin.pass           by which commands on this machine speak to the running site
//	benches/NAME.json    which nkey a bench has, and since when not any more
//	jetstream/           the streams
//	replicas/            a ledger of each bench to be read, made from its stream
//	address              where the running site listens
//	lock                 held by it
package hub
