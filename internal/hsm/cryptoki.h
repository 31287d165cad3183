// What this package needs of the C header of PKCS#11 v2.40 (pkcs11t.h), with
// the names that are used here.
#ifndef STATION_CRYPTOKI_H
#define STATION_CRYPTOKI_H

// CK_FUNCTION_LIST: a version, then the functions
// in the order of pkcs11f.h.
typedef unsigned long rv;
typedef rv (*fn)(unsigned long, unsigned long, unsigned long, unsigned long,
                 unsigned long, unsigned long, unsigned long, unsigned long);
struct functions {
	unsigned char version[2];
	fn call[68];
};

struct attribute { unsigned long type; void *value; unsigned long n; };
struct mechanism { unsigned long id; void *param; unsigned long n; };
struct init_args { void *locks[4]; unsigned long flags; void *reserved; };
struct version { unsigned char major, minor; };
struct info {
	struct version cryptoki;
	char maker[32];
	unsigned long flags;
	char library[32];
	struct version libversion;
};
struct slot_info { char description[64], maker[32]; unsigned long flags; struct version hardware, firmware; };
struct token_info {
	char label[32], maker[32], model[16], serial[16];
	unsigned long flags, max_sessions, sessions, max_rw, rw, max_pin, min_pin, memory[4];
	struct version hardware, firmware;
	char time[16];
};
struct session_info { unsigned long slot, state, flags, error; };

#endif
