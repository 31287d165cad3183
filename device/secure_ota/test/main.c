#include <stdio.h>
#include <string.h>

#include "bench.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } groups[] = {{"words", test_words},   {"crypto", test_crypto}, {"manifest", test_manifest}, {"slots", test_slots},
                  {"fetch", test_fetch},   {"update", test_update}, {"power", test_power},   {"result", test_result},
                  {"ecies", test_ecies}};
    size_t i;
    if (argc > 1)
        data_folder = argv[1];
    bench_keys();
    for (i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        unsigned before = failures, had = checks;
        groups[i].run();
        printf("%-9s %5u checks%s\n", groups[i].name, checks - had, failures == before ? "" : ", FAILED");
    }
    bench_keys_free();
    printf("%u passed, %u failed\n", checks - failures, failures);
    return failures != 0;
}
