#include "paths.h"

#include <string.h>

static const char query[] = "?deviceType=";

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
}

bool so_device_type_ok(const char *type)
{
    size_t n;
    if (type == NULL)
        return false;
    for (n = 0; n <= SO_DEVICE_TYPE && plain(type[n]); n++)
        ;
    return n > 0 && n <= SO_DEVICE_TYPE && type[n] == 0;
}

bool so_result_path(char out[SO_PATH], const secure_ota_config *config)
{
    const char *const parts[] = {"/files/", config->device_type, "/result"};
    size_t i, at = 0;
    if (config->result_path != NULL && strlen(config->result_path) >= SO_PATH)
        return false;
    if (config->result_path != NULL) {
        strcpy(out, config->result_path);
        return true;
    }
    for (i = 0; i < sizeof parts / sizeof parts[0]; i++) { /* a device type is short: all of it has room */
        strcpy(out + at, parts[i]);
        at += strlen(parts[i]);
    }
    return true;
}

secure_ota_result so_path(char out[SO_PATH], const secure_ota_config *config, const char *path, const char *fallback)
{
    const char *p = path != NULL ? path : fallback;
    size_t length = strlen(p), type = strlen(config->device_type);
    if (length + sizeof query + type > SO_PATH)
        return SECURE_OTA_E_CONFIG;
    memcpy(out, p, length);
    memcpy(out + length, query, sizeof query - 1);
    memcpy(out + length + sizeof query - 1, config->device_type, type + 1);
    return SECURE_OTA_OK;
}
