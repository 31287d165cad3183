#include "result.h"

#include <string.h>

#include "paths.h"
#include "say.h"
#include "slots.h"

/* A body has no text of others in it: nothing needs to be escaped. */
enum { BODY = 256, DIGITS = 20 };

static void add(char body[BODY], const char *text)
{
    size_t at = strlen(body), n = strlen(text);
    if (n >= BODY - at)
        n = BODY - 1 - at;
    memcpy(body + at, text, n);
    body[at + n] = 0;
}

static void add_number(char body[BODY], uint64_t n)
{
    char digits[DIGITS + 1];
    char *p = digits + DIGITS;
    *p = 0;
    do
        *--p = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    add(body, p);
}

/* post tells the server; SECURE_OTA_OK if it took what it was told. */
static secure_ota_result post(secure_ota *ota, uint64_t release, bool success, const char *message)
{
    const secure_ota_http *http = &ota->config->ports.http;
    char path[SO_PATH], body[BODY] = "{\"release\":";
    int status = 0;
    if (http->post == NULL || release == 0)
        return SECURE_OTA_OK;
    if (!so_result_path(path, ota->config))
        return SECURE_OTA_E_CONFIG;
    add_number(body, release);
    add(body, success ? ",\"result\":\"success\",\"message\":\"" : ",\"result\":\"failure\",\"message\":\"");
    add(body, message);
    add(body, "\"}");
    if (http->post(http->context, path, body, &status) != 0)
        return SECURE_OTA_E_CONNECTION;
    if (status >= 200 && status < 300)
        return SECURE_OTA_OK;
    so_complain(ota->config, "the server does not want to know how the update ended: status", (uint32_t)status);
    return SECURE_OTA_E_SERVER;
}

/* final says whether the same release would end the same way again. */
static bool final(secure_ota_result result)
{
    switch (result) {
    case SECURE_OTA_E_MANIFEST:
    case SECURE_OTA_E_PRODUCT:
    case SECURE_OTA_E_OLDER:
    case SECURE_OTA_E_FAILED_BEFORE:
    case SECURE_OTA_E_FORMAT:
    case SECURE_OTA_E_DAMAGED:
    case SECURE_OTA_E_SIGNATURE:
    case SECURE_OTA_E_BINDING:
    case SECURE_OTA_E_SIZE:
    case SECURE_OTA_E_NO_SLOT:
        return true;
    default:
        return false;
    }
}

void so_result_failed(secure_ota *ota, secure_ota_result result)
{
    if (final(result))
        (void)post(ota, ota->release, false, secure_ota_text(result));
}

void so_result_runs(secure_ota *ota)
{
    if (!secure_ota_unconfirmed(ota))
        (void)post(ota, ota->release, true, "it runs already");
}

/* A state of NEW is one that the bootloader has not seen, PENDING one that is not
 * confirmed yet: of both there is nothing to tell. */
static secure_ota_result last(secure_ota *ota)
{
    so_layout layout;
    so_entry entry[2];
    int newest;
    if (so_layout_read(ota, &layout, entry) != SECURE_OTA_OK || (newest = so_newest(entry)) < 0 || so_waits(entry[newest]))
        return SECURE_OTA_OK;
    if (newest == so_entry_of_running(&layout, entry))
        return post(ota, entry[newest].release, true, "it runs");
    return post(ota, entry[newest].release, false, "it did not start, or did not confirm itself");
}

secure_ota_result so_result_of_last(secure_ota *ota)
{
    secure_ota_result r = ota->told ? SECURE_OTA_OK : last(ota);
    ota->told = ota->told || r == SECURE_OTA_OK;
    return r;
}
