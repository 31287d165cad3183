/* What is told to the log of the firmware. */
#ifndef SECURE_OTA_SAY_H
#define SECURE_OTA_SAY_H

#include "secure_ota.h"

static inline void so_say(const secure_ota_config *c, const char *text, uint32_t number)
{
    if (c->ports.log.say != NULL)
        c->ports.log.say(c->ports.log.context, false, text, number);
}

static inline void so_complain(const secure_ota_config *c, const char *text, uint32_t number)
{
    if (c->ports.log.say != NULL)
        c->ports.log.say(c->ports.log.context, true, text, number);
}

#endif
