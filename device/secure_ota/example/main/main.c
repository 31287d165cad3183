/* An application that keeps itself up to date: it confirms itself once it has
 * done what it is for, and asks for newer firmware every six hours. */
#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"
#include "sdkconfig.h"
#include "secure_ota.h"
#include "secure_ota_esp_idf.h"

#define EMBEDDED(name)                                          \
    extern const uint8_t name##_start[] asm("_binary_" #name "_start"); \
    extern const uint8_t name##_end[] asm("_binary_" #name "_end")

EMBEDDED(manifest_der);
EMBEDDED(author_der);
EMBEDDED(image_der);
EMBEDDED(v1_der);
EMBEDDED(server_ca_pem);
EMBEDDED(device_pem);
EMBEDDED(device_key);

#define BLOB(name) ((secure_ota_blob){name##_start, (size_t)(name##_end - name##_start)})

enum { STACK = 12 * 1024, HOURS = 6 }; /* 8 KiB of it are for updates, the rest is TLS's */

static const char *const tag = "example";

/* works is where a product finds out whether it does what it is for. */
static bool works(void) { return true; }

static void update(void *unused)
{
    static secure_ota ota;
    static secure_ota_config config;
    static secure_ota_server server;
    (void)unused;
    server.url = CONFIG_SECURE_OTA_URL;
    server.server_ca = (const char *)server_ca_pem_start;
    server.certificate = (const char *)device_pem_start;
    server.key = (const char *)device_key_start;
    config.keys.manifest_private = BLOB(manifest_der);
    config.keys.manifest_author = BLOB(author_der);
    config.keys.image_private = BLOB(image_der);
    config.keys.app_v1 = BLOB(v1_der);
    ESP_ERROR_CHECK(secure_ota_esp_idf(&config, &server) == SECURE_OTA_OK ? ESP_OK : ESP_FAIL);
    ESP_ERROR_CHECK(secure_ota_init(&ota, &config) == SECURE_OTA_OK ? ESP_OK : ESP_FAIL);
    if (works())
        secure_ota_confirm(&ota); /* the server is told by check_for_update */
    else if (secure_ota_reject(&ota) == SECURE_OTA_OK)
        esp_restart();
    for (;;) {
        if (check_for_update(&ota) == SECURE_OTA_OK) {
            ESP_LOGI(tag, "version %s is there", ota.app.version);
            if (perform_update(&ota) == SECURE_OTA_OK)
                esp_restart();
        }
        vTaskDelay(pdMS_TO_TICKS(HOURS * 3600 * 1000));
    }
}

void app_main(void)
{
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    /* The product's own way into the network goes here. */
    xTaskCreate(update, "update", STACK, NULL, 5, NULL);
    ESP_LOGI(tag, "station-example: ready");
}
