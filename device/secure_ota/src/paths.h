/* What is asked of the server. */
#ifndef SECURE_OTA_PATHS_H
#define SECURE_OTA_PATHS_H

#include "secure_ota.h"

enum { SO_PATH = 192, SO_DEVICE_TYPE = 63 };

#define SO_MANIFEST_PATH "/update/newest/manifest"
#define SO_BINARY "/update/newest/binary"

/* Whether a device type may stand in an address as it is. */
bool so_device_type_ok(const char *type);

/* config's result_path, or /files/TYPE/result; false if it is too long. */
bool so_result_path(char out[SO_PATH], const secure_ota_config *config);

/* PATH?deviceType=TYPE; SECURE_OTA_E_CONFIG if it is too long. path null: fallback. */
secure_ota_result so_path(char out[SO_PATH], const secure_ota_config *config, const char *path, const char *fallback);

#endif
