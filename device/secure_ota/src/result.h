/* What became of an update, told to the server that offered it. */
#ifndef SECURE_OTA_RESULT_H
#define SECURE_OTA_RESULT_H

#include "secure_ota.h"

/* That check_for_update or perform_update failed. Told is only what another try
 * with the same release would not change: a lost connection or a flash that
 * cannot be written is no fault of the release. */
void so_result_failed(secure_ota *ota, secure_ota_result result);

/* That the firmware that is offered runs already. */
void so_result_runs(secure_ota *ota);

/* As secure_ota_report, once after each start. */
secure_ota_result so_result_of_last(secure_ota *ota);

#endif
