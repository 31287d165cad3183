// Package faults is tests alone: a site on a cluster of three real NATS servers, with
// real benches, to which all happens that can happen to machines and wires.
package faults
