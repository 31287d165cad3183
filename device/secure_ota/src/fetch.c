#include "fetch.h"

#include <string.h>

#include "say.h"

enum { ATTEMPTS = 5, FIRST_PAUSE = 500, LONGEST_PAUSE = 30000 }; /* milliseconds */

void so_fetch_init(so_fetch *f, const secure_ota_config *config, const char *path, uint32_t count)
{
    memset(f, 0, sizeof *f);
    f->config = config;
    f->path = path;
    f->end = count;
}

void so_fetch_close(so_fetch *f)
{
    const secure_ota_http *http = &f->config->ports.http;
    if (f->open)
        http->close(http->context);
    f->open = false;
}

void so_fetch_seek(so_fetch *f, uint32_t at, uint32_t count)
{
    so_fetch_close(f);
    f->at = at;
    f->end = count == SECURE_OTA_TO_END ? 0 : at + count;
}

/* again says whether there is another attempt, after a pause that doubles. */
static bool again(so_fetch *f)
{
    const secure_ota_clock *clock = &f->config->ports.clock;
    unsigned most = f->config->attempts ? f->config->attempts : ATTEMPTS;
    uint32_t pause = FIRST_PAUSE;
    unsigned i;
    so_fetch_close(f);
    if (++f->failed >= most)
        return false;
    for (i = 1; i < f->failed && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    so_say(f->config, "the connection is lost; it goes on at byte", f->at);
    if (clock->sleep != NULL)
        clock->sleep(clock->context, pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE);
    return true;
}

/* passing are answers that may be another one soon. */
static bool passing(int status) { return status == 408 || status == 429 || status >= 500; }

static secure_ota_result refusal(so_fetch *f, int status)
{
    so_complain(f->config, "the server answers with status", (uint32_t)status);
    switch (status) {
    case 404:
        return SECURE_OTA_NO_UPDATE;
    case 401:
    case 403:
        return SECURE_OTA_E_DENIED;
    case 412:
    case 416:
        return SECURE_OTA_E_CHANGED;
    }
    return SECURE_OTA_E_SERVER;
}

/* number is what the server calls a release; 0 for none. */
static uint64_t number(const char *text, size_t size)
{
    uint64_t n = 0;
    size_t i;
    for (i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    return i < size && text[i] == 0 ? n : 0;
}

/* same says whether the answer is about the file of which there is a part already,
 * and of the release that was asked about before. */
static bool same(so_fetch *f, const secure_ota_answer *a)
{
    uint64_t release = number(a->release, sizeof a->release);
    if (f->release == 0)
        f->release = release;
    return (release == 0 || release == f->release) && (f->etag[0] == 0 || a->etag[0] == 0 || strcmp(f->etag, a->etag) == 0) && (f->total == 0 || a->total == 0 || f->total == a->total);
}

/* skip reads away what a server that knows no ranges sends once more. */
static bool skip(so_fetch *f, uint32_t size)
{
    const secure_ota_http *http = &f->config->ports.http;
    uint8_t bin[64];
    while (size > 0) {
        int n = http->read(http->context, bin, size < sizeof bin ? size : sizeof bin);
        if (n <= 0 || (uint32_t)n > size)
            return false;
        size -= (uint32_t)n;
    }
    return true;
}

/* connect asks for what is wanted from here on. *lost: it broke, and may be tried again. */
static secure_ota_result connect(so_fetch *f, bool *lost)
{
    const secure_ota_http *http = &f->config->ports.http;
    uint32_t count = f->end > f->at ? f->end - f->at : SECURE_OTA_TO_END;
    secure_ota_answer answer;
    memset(&answer, 0, sizeof answer);
    *lost = true;
    if (http->open(http->context, f->path, f->at, count, f->etag, &answer) != 0)
        return SECURE_OTA_E_CONNECTION;
    f->open = true;
    answer.etag[sizeof answer.etag - 1] = 0;
    if (passing(answer.status))
        return SECURE_OTA_E_CONNECTION;
    *lost = false;
    if (answer.status != 200 && answer.status != 206)
        return refusal(f, answer.status);
    if (!same(f, &answer))
        return SECURE_OTA_E_CHANGED;
    memcpy(f->etag, answer.etag, sizeof f->etag);
    if (answer.total != 0)
        f->total = answer.total;
    if (answer.status == 206)
        return answer.first == f->at ? SECURE_OTA_OK : SECURE_OTA_E_SERVER;
    *lost = !skip(f, f->at);
    return *lost ? SECURE_OTA_E_CONNECTION : SECURE_OTA_OK;
}

/* some reads at least one byte. */
static secure_ota_result some(so_fetch *f, uint8_t *data, size_t size, size_t *got)
{
    const secure_ota_http *http = &f->config->ports.http;
    for (;;) {
        bool lost = false;
        secure_ota_result r = f->open ? SECURE_OTA_OK : connect(f, &lost);
        if (r == SECURE_OTA_OK) {
            int n = http->read(http->context, data, size);
            if (n > 0 && (size_t)n <= size) {
                f->failed = 0;
                *got = (size_t)n;
                return SECURE_OTA_OK;
            }
            if (n == 0 && f->end != 0 && f->at == f->end) { /* the piece is read; on to the rest */
                so_fetch_seek(f, f->at, SECURE_OTA_TO_END);
                continue;
            }
        } else if (!lost) {
            return r;
        }
        if (!again(f))
            return SECURE_OTA_E_CONNECTION;
    }
}

/* beyond says whether there are fewer than size bytes more, as far as is known. */
static bool beyond(const so_fetch *f, size_t size) { return f->total != 0 && (f->at > f->total || size > f->total - f->at); }

secure_ota_result so_fetch_read(so_fetch *f, void *data, size_t size)
{
    uint8_t *to = data;
    while (size > 0) {
        size_t n = 0;
        secure_ota_result r = beyond(f, size) ? SECURE_OTA_E_DAMAGED : some(f, to, size, &n);
        if (r != SECURE_OTA_OK)
            return r;
        to += n;
        size -= n;
        f->at += (uint32_t)n;
    }
    return SECURE_OTA_OK;
}

bool so_fetch_ended(so_fetch *f)
{
    const secure_ota_http *http = &f->config->ports.http;
    uint8_t one;
    if (f->total != 0)
        return f->at == f->total;
    return f->open && http->read(http->context, &one, 1) == 0;
}
