// Package keyfile is how the program reads and writes files.
//
// There is one way in: Open takes regular files of at most a stated size and
// refuses everything else before it reads a byte, so that no pipe, device or
// absurd file can stall the program or eat the machine.
//
// And one way out: Write makes a file whole or not at all. It replaces nothing
// unless it is told to, and never a file that matters: one that the program has
// read, one that was named with Protect, or a ledger. Append, for logs, keeps
// the last of these rules.
package keyfile
