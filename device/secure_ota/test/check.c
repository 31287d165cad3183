#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned failures, checks;
const char *data_folder = "test/data";

void check(bool ok, const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;
    checks++;
    if (ok)
        return;
    failures++;
    printf("%s:%d: not true: %s", file, line, what);
    if (*format != 0) {
        printf(": ");
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
    }
    printf("\n");
}

blob load(const char *name)
{
    char path[512];
    blob b = {NULL, 0};
    long size;
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", data_folder, name);
    f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    b.size = (size_t)size;
    b.data = malloc(b.size + 1);
    if (b.data == NULL || fread(b.data, 1, b.size, f) != b.size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    fclose(f);
    return b;
}

void unload(blob b) { free(b.data); }
