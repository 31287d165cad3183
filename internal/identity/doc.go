// Package identity makes what a device is known by later: the values that a
// job asks for, and the partitions that hold them, NVS from a CSV template or
// esp_secure_cert as a chain of TLVs. It reads no file but those that a
// template names, and knows no token: secret values come in, and images go
// out, in memory that is overwritten.
package identity
