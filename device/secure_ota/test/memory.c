/* How much memory an update takes: the stack by what was painted over, the heap
 * by counting in front of the allocator. TLS is apart: the server of this test is
 * in memory. Built as a device would be, without sanitizers. */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

enum { STACK = 256 * 1024, PAINT = 0xa5, STACK_LIMIT = 8 * 1024, HEAP_LIMIT = 24 * 1024 };

static size_t heap, peak;
static bool counting;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);

/* Each block has its size in front. */
static void *note(size_t *p, size_t size)
{
    if (p == NULL)
        return NULL;
    *p = size;
    heap += size;
    if (counting && heap > peak)
        peak = heap;
    return p + 2;
}

void *__wrap_malloc(size_t size) { return note(__real_malloc(size + 2 * sizeof(size_t)), size); }

void *__wrap_calloc(size_t n, size_t size) { return note(__real_calloc(1, n * size + 2 * sizeof(size_t)), n * size); }

void __wrap_free(void *p)
{
    size_t *block = p;
    if (p == NULL)
        return;
    heap -= block[-2];
    __real_free(block - 2);
}

static bench b;

static void *nothing(void *unused) { return unused; }

static void *check_only(void *unused)
{
    CHECK(check_for_update(&b.ota) == SECURE_OTA_OK);
    return unused;
}

static void *whole_update(void *unused)
{
    CHECK(perform_update(&b.ota) == SECURE_OTA_OK);
    return unused;
}

static void *confirmation(void *unused)
{
    CHECK(secure_ota_confirm(&b.ota) == SECURE_OTA_OK);
    return unused;
}

static void *report(void *unused)
{
    CHECK(secure_ota_report(&b.ota) == SECURE_OTA_OK);
    return unused;
}

/* depth runs something on a stack of its own and tells how deep it went. */
static size_t depth(void *(*run)(void *))
{
    pthread_t thread;
    pthread_attr_t attributes;
    size_t n = 0;
    uint8_t *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(stack, PAINT, STACK);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK);
    if (pthread_create(&thread, &attributes, run, NULL) != 0)
        exit(2);
    pthread_join(thread, NULL);
    while (n < STACK && stack[n] == PAINT)
        n++;
    munmap(stack, STACK);
    return STACK - n;
}

static void measure(const char *name, void *(*run)(void *))
{
    size_t before = heap, empty = depth(nothing), used;
    counting = true;
    peak = heap;
    used = depth(run) - empty;
    counting = false;
    printf("%-24s %6zu bytes of stack, %6zu of heap\n", name, used, peak - before);
    CHECK(used <= STACK_LIMIT, "%s: %zu bytes of stack", name, used);
    CHECK(peak - before <= HEAP_LIMIT, "%s: %zu bytes of heap", name, peak - before);
    CHECK(heap == before, "%s leaves %zd bytes behind", name, (ssize_t)(heap - before));
}

int main(int argc, char **argv)
{
    static const char *const binaries[] = {"next.img", "v2.img", "next.bundle", "ecies.img"};
    blob ecies;
    size_t i;
    if (argc > 1)
        data_folder = argv[1];
    bench_keys();
    ecies = load("ecies.digest");
    printf("%-24s %6zu bytes, on a machine with pointers of %zu\n", "secure_ota", sizeof(secure_ota), sizeof(void *));
    for (i = 0; i < sizeof binaries / sizeof binaries[0]; i++) {
        bench_init(&b, true);
        b.config.rollback = true;
        bench_offer(&b, "next", binaries[i]);
        b.site.release = "9223372036854775807";
        if (i == 1 || i == 3) {
            b.config.keys.app_v1.data = NULL;
            b.config.keys.app_v2_digest = i == 1 ? key_v2.data : ecies.data;
            b.config.chip_id = i == 1 ? 0 : 5;
        }
        if (i == 0)
            measure("check_for_update", check_only);
        measure(binaries[i], whole_update);
        if (i == 0) {
            nor_boot(&b.flash, true);
            measure("secure_ota_confirm", confirmation);
            CHECK(secure_ota_init(&b.ota, &b.config) == SECURE_OTA_OK);
            measure("secure_ota_report", report);
            CHECK(b.site.posts == 1);
        }
        bench_free(&b);
    }
    unload(ecies);
    bench_keys_free();
    printf("%u passed, %u failed\n", checks - failures, failures);
    return failures != 0;
}
