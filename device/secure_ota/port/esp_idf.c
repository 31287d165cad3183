#include "secure_ota_esp_idf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "esp_efuse.h"
#include "esp_efuse_table.h"
#include "esp_flash.h"
#include "esp_flash_encrypt.h"
#include "esp_http_client.h"
#include "esp_idf_version.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "esp_random.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"
#if CONFIG_SECURE_OTA_HMAC_KEY
#include "esp_hmac.h"
#endif

static const char *const tag = "secure_ota";

/* Flash. */

static bool encryption_on(void)
{
#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(6, 0, 0)
    return esp_efuse_is_flash_encryption_enabled();
#else
    return esp_flash_encryption_enabled();
#endif
}

static int flash_read(void *context, uint32_t address, void *data, size_t size)
{
    (void)context;
    return encryption_on() ? esp_flash_read_encrypted(NULL, address, data, size) : esp_flash_read(NULL, data, address, size);
}

static int flash_write_raw(void *context, uint32_t address, const void *data, size_t size)
{
    (void)context;
    return esp_flash_write(NULL, data, address, size);
}

static int flash_write(void *context, uint32_t address, const void *data, size_t size)
{
    return encryption_on() ? esp_flash_write_encrypted(NULL, address, data, size) : flash_write_raw(context, address, data, size);
}

static int flash_erase(void *context, uint32_t address, size_t size)
{
    (void)context;
    return esp_flash_erase_region(NULL, address, size);
}

static bool flash_encrypted(void *context, uint8_t *crypt_config)
{
    (void)context;
#if CONFIG_IDF_TARGET_ESP32
    *crypt_config = 0;
    esp_efuse_read_field_blob(ESP_EFUSE_ENCRYPT_CONFIG, crypt_config, 4);
#else
    *crypt_config = 0; /* XTS has none: bundles name it 0 */
#endif
    return encryption_on();
}

static uint32_t flash_running(void *context)
{
    (void)context;
    return esp_ota_get_running_partition()->address;
}

static uint32_t flash_secure_version(void *context)
{
    (void)context;
#if CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK
    return esp_efuse_read_secure_version();
#else
    return 0;
#endif
}

/* HTTP. One connection at a time, as secure_ota wants it. */

static struct {
    const secure_ota_server *server;
    esp_http_client_handle_t client;
    secure_ota_answer *answer;
} http;

static esp_err_t on_event(esp_http_client_event_t *event)
{
    secure_ota_answer *a = http.answer;
    if (event->event_id != HTTP_EVENT_ON_HEADER || a == NULL)
        return ESP_OK;
    if (strcasecmp(event->header_key, "ETag") == 0 && strlen(event->header_value) < sizeof a->etag) {
        strcpy(a->etag, event->header_value);
    } else if (strcasecmp(event->header_key, "Station-Release") == 0 && strlen(event->header_value) < sizeof a->release) {
        strcpy(a->release, event->header_value);
    } else if (strcasecmp(event->header_key, "Content-Range") == 0) {
        uint32_t first, last, total;
        if (sscanf(event->header_value, "bytes %" SCNu32 "-%" SCNu32 "/%" SCNu32, &first, &last, &total) == 3) {
            a->first = first;
            a->total = total;
        } else {
            a->first = UINT32_MAX; /* what cannot be understood is no answer to what was asked */
        }
    }
    return ESP_OK;
}

static void http_close(void *context)
{
    (void)context;
    if (http.client != NULL)
        esp_http_client_cleanup(http.client);
    http.client = NULL;
}

static esp_http_client_handle_t client_for(const char *path)
{
    const secure_ota_server *s = http.server;
    char url[384];
    esp_http_client_config_t c;
    int n = snprintf(url, sizeof url, "%s%s", s->url, path);
    memset(&c, 0, sizeof c);
    c.url = url;
    c.cert_pem = s->server_ca;
    c.client_cert_pem = s->certificate;
    c.client_key_pem = s->key;
    c.timeout_ms = s->timeout_ms != 0 ? s->timeout_ms : 30000;
    c.event_handler = on_event;
    c.disable_auto_redirect = true;
    if (s->user != NULL) {
        c.username = s->user;
        c.password = s->password;
        c.auth_type = HTTP_AUTH_TYPE_BASIC;
    }
    return n > 0 && (size_t)n < sizeof url ? esp_http_client_init(&c) : NULL;
}

static void ask_for(uint32_t first, uint32_t count, const char *etag)
{
    char range[48];
    if (first == 0 && count == SECURE_OTA_TO_END)
        return;
    if (count == SECURE_OTA_TO_END)
        snprintf(range, sizeof range, "bytes=%" PRIu32 "-", first);
    else
        snprintf(range, sizeof range, "bytes=%" PRIu32 "-%" PRIu32, first, first + count - 1);
    esp_http_client_set_header(http.client, "Range", range);
    if (etag[0] != 0)
        esp_http_client_set_header(http.client, "If-Range", etag);
}

static int http_open(void *context, const char *path, uint32_t first, uint32_t count, const char *etag, secure_ota_answer *answer)
{
    int64_t length;
    (void)context;
    http.client = client_for(path);
    if (http.client == NULL)
        return -1;
    ask_for(first, count, etag);
    http.answer = answer;
    if (esp_http_client_open(http.client, 0) != ESP_OK || (length = esp_http_client_fetch_headers(http.client)) < 0) {
        http.answer = NULL;
        http_close(NULL);
        return -1;
    }
    http.answer = NULL;
    answer->status = esp_http_client_get_status_code(http.client);
    if (answer->status == 200 && !esp_http_client_is_chunked_response(http.client) && length <= UINT32_MAX)
        answer->total = (uint32_t)length;
    return 0;
}

static int http_read(void *context, void *data, size_t size)
{
    int n = esp_http_client_read(http.client, data, (int)size);
    (void)context;
    if (n == 0 && !esp_http_client_is_complete_data_received(http.client))
        return -1;
    return n;
}

static int http_post(void *context, const char *path, const char *json, int *status)
{
    esp_err_t err;
    (void)context;
    http.client = client_for(path);
    if (http.client == NULL)
        return -1;
    esp_http_client_set_method(http.client, HTTP_METHOD_POST);
    esp_http_client_set_header(http.client, "Content-Type", "application/json");
    esp_http_client_set_post_field(http.client, json, (int)strlen(json));
    err = esp_http_client_perform(http.client);
    *status = esp_http_client_get_status_code(http.client);
    http_close(NULL);
    return err == ESP_OK ? 0 : -1;
}

/* Clock, log, random numbers. */

static void nap(void *context, uint32_t milliseconds)
{
    (void)context;
    vTaskDelay(pdMS_TO_TICKS(milliseconds));
}

static void say(void *context, bool error, const char *text, uint32_t number)
{
    (void)context;
    if (error)
        ESP_LOGE(tag, "%s: %" PRIu32, text, number);
    else
        ESP_LOGI(tag, "%s: %" PRIu32, text, number);
}

static int fill(void *context, unsigned char *data, size_t size)
{
    (void)context;
    esp_fill_random(data, size);
    return 0;
}

#if CONFIG_SECURE_OTA_HMAC_KEY
static int hmac_calculate(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    (void)context;
    return esp_hmac_calculate((hmac_key_id_t)CONFIG_SECURE_OTA_HMAC_KEY_ID, data, size, mac) == ESP_OK ? 0 : -1;
}
#endif

secure_ota_result secure_ota_esp_idf(secure_ota_config *config, const secure_ota_server *server)
{
    const secure_ota_flash flash = {NULL, flash_read, flash_write, flash_write_raw, flash_erase, flash_encrypted, flash_running, flash_secure_version};
    const secure_ota_http port = {NULL, http_open, http_read, http_close, http_post};
    if (server->url == NULL || strncmp(server->url, "https://", 8) != 0 || server->server_ca == NULL)
        return SECURE_OTA_E_CONFIG;
    http.server = server;
    config->ports.flash = flash;
    config->ports.http = port;
    config->ports.clock.sleep = nap;
    config->ports.log.say = say;
    config->ports.random.fill = fill;
#if CONFIG_SECURE_OTA_HMAC_KEY
    config->ports.hmac.calculate = hmac_calculate;
#endif
    config->chip_id = CONFIG_IDF_FIRMWARE_CHIP_ID;
    config->table_address = CONFIG_PARTITION_TABLE_OFFSET;
    config->device_type = CONFIG_SECURE_OTA_DEVICE_TYPE;
#if CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE
    config->rollback = true;
#endif
    return SECURE_OTA_OK;
}
