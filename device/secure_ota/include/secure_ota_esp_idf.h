/* The ports of secure_ota on ESP-IDF: esp_flash, esp_http_client, FreeRTOS, esp_log. */
#ifndef SECURE_OTA_ESP_IDF_H
#define SECURE_OTA_ESP_IDF_H

#include "secure_ota.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How to reach the server. Texts are kept, not copied. A device proves who it
 * is by certificate and key, or by user and password; certificates are PEM. */
typedef struct {
    const char *url;      /* https://HOST:PORT, without a path */
    const char *server_ca;
    const char *certificate, *key; /* of this device; or null */
    const char *user, *password;   /* HTTP Basic; or null */
    int timeout_ms;                /* without a byte; 0: 30000 */
} secure_ota_server;

/* Fills config's ports, chip_id, table_address and rollback from the chip and
 * from sdkconfig, and device_type from CONFIG_SECURE_OTA_DEVICE_TYPE. Keys are
 * the caller's. server is kept. Only https:// is taken: SECURE_OTA_E_CONFIG. */
secure_ota_result secure_ota_esp_idf(secure_ota_config *config, const secure_ota_server *server);

#ifdef __cplusplus
}
#endif

#endif
