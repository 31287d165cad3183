#include "app.h"

#include <string.h>

#include "bytes.h"

enum { MAGIC_AT = 0, SECURE_VERSION_AT = 4, VERSION_AT = 16, PROJECT_AT = 48, ELF_AT = 144, TEXT = 32 };

static const uint32_t magic = 0xabcd5432u;

/* text copies at most 32 bytes up to the first zero. */
static void text(char out[TEXT + 1], const uint8_t *in)
{
    size_t n = 0;
    while (n < TEXT && in[n] != 0)
        n++;
    memset(out, 0, TEXT + 1);
    memcpy(out, in, n);
}

bool so_descriptor_parse(const uint8_t descriptor[SECURE_OTA_DESCRIPTOR], secure_ota_app *app)
{
    if (so_le32(descriptor + MAGIC_AT) != magic)
        return false;
    app->secure_version = so_le32(descriptor + SECURE_VERSION_AT);
    text(app->version, descriptor + VERSION_AT);
    text(app->project, descriptor + PROJECT_AT);
    memcpy(app->elf_sha256, descriptor + ELF_AT, sizeof app->elf_sha256);
    return true;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* number reads digits; more than fit stay at the largest. */
static uint32_t number(const char **p)
{
    uint32_t n = 0;
    for (; digit(**p); ++*p)
        n = n > 99999999u ? 999999999u : 10 * n + (uint32_t)(**p - '0');
    return n;
}

static so_order order(uint32_t a, uint32_t b) { return a < b ? SO_OLDER : a > b ? SO_NEWER : SO_SAME; }

static bool hex(char c) { return digit(c) || (c >= 'a' && c <= 'f'); }

/* release says whether a rest is that of a release: nothing, a build (+…), or what git describe
 * adds, -3-gabc and perhaps -dirty, of which commits is the 3. */
static bool release(const char *rest, uint32_t *commits)
{
    *commits = 0;
    if (*rest == 0 || *rest == '+')
        return true;
    if (rest[0] != '-' || !digit(rest[1]))
        return false;
    rest++;
    *commits = number(&rest);
    if (rest[0] != '-' || rest[1] != 'g' || !hex(rest[2]))
        return false;
    for (rest += 2; hex(*rest); rest++)
        ;
    return *rest == 0 || *rest == '+' || *rest == '-';
}

/* by_parts compares pre-releases: numbers as numbers, all else as text. */
static so_order by_parts(const char *a, const char *b)
{
    while (*a != 0 && *a != '+' && *b != 0 && *b != '+') {
        if (digit(*a) && digit(*b)) {
            so_order o = order(number(&a), number(&b));
            if (o != SO_SAME)
                return o;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? SO_OLDER : SO_NEWER;
        } else {
            a++;
            b++;
        }
    }
    return order(*a != 0 && *a != '+', *b != 0 && *b != '+');
}

so_order so_version_compare(const char *a, const char *b)
{
    so_order o;
    uint32_t after_a, after_b;
    bool is_a, is_b;
    a += *a == 'v' || *a == 'V';
    b += *b == 'v' || *b == 'V';
    if (!digit(*a) || !digit(*b))
        return SO_UNCLEAR;
    do {
        uint32_t x = digit(*a) ? number(&a) : 0, y = digit(*b) ? number(&b) : 0;
        o = order(x, y);
        if (o != SO_SAME)
            return o;
        a += *a == '.' && digit(a[1]);
        b += *b == '.' && digit(b[1]);
    } while (digit(*a) || digit(*b));
    is_a = release(a, &after_a);
    is_b = release(b, &after_b);
    if (is_a && is_b)
        return order(after_a, after_b);
    if (is_a || is_b)
        return is_a ? SO_NEWER : SO_OLDER;
    return by_parts(a, b);
}

secure_ota_result so_app_may_follow(const secure_ota_app *next, const secure_ota_app *now, uint32_t floor)
{
    so_order o = so_version_compare(next->version, now->version);
    if (strcmp(next->project, now->project) != 0)
        return SECURE_OTA_E_PRODUCT;
    if (next->secure_version < now->secure_version || next->secure_version < floor)
        return SECURE_OTA_E_OLDER;
    if (memcmp(next->elf_sha256, now->elf_sha256, sizeof now->elf_sha256) == 0 && strcmp(next->version, now->version) == 0)
        return SECURE_OTA_NO_UPDATE;
    if (o == SO_NEWER || (o == SO_UNCLEAR && next->secure_version > now->secure_version))
        return SECURE_OTA_OK;
    return o == SO_SAME ? SECURE_OTA_NO_UPDATE : SECURE_OTA_E_OLDER;
}
