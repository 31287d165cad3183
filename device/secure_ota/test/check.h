/* The least that a test needs. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CHECK says what it wanted and goes on, so that one run tells all faults. */
#define CHECK(ok, ...)                                            \
    do {                                                          \
        bool is = (ok); /* before what is told is looked at */    \
        check(is, __FILE__, __LINE__, #ok, "" __VA_ARGS__);       \
    } while (0)

void check(bool ok, const char *file, int line, const char *what, const char *format, ...);

/* How many checks went wrong, of how many. */
extern unsigned failures, checks;

/* A file of the test data. Never null: the program ends without it. */
typedef struct {
    uint8_t *data;
    size_t size;
} blob;
blob load(const char *name);
void unload(blob b);
extern const char *data_folder;

/* The groups of tests. */
void test_words(void);
void test_crypto(void);
void test_manifest(void);
void test_slots(void);
void test_fetch(void);
void test_update(void);
void test_power(void);
void test_ecies(void);
void test_result(void);

#endif
