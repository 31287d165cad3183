/* secure_ota-host: the application of a virtual chip, as far as updates go. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "door.h"
#include "https.h"
#include "secure_ota.h"

static const char usage[] =
    "usage: secure_ota-host DO --chip SOCKET [--server HOST:PORT --ca FILE] [--cert FILE --key FILE | --login FILE]\n"
    "                       --keys DIR --type TYPE [--hmac-key N] [--rollback]\n"
    "\n"
    "Is the application on a virtual chip (station sim --app) and takes updates for it.\n"
    "\n"
    "  check     is there newer firmware?\n"
    "  update    take it, and restart the chip\n"
    "  confirm   the firmware that runs works; tells the server\n"
    "  reject    it does not: back to the one before, and restart the chip\n"
    "  state     whether what runs is to be confirmed yet\n"
    "\n"
    "DIR has manifest.der, author.der and, as far as the fleet uses them, image.der,\n"
    "bundle.der, v1.der, v2.digest. FILE of --login has USER:PASSWORD. N is the key\n"
    "block with which the chip computes HMACs, for images that were encrypted for it.\n"
    "Ends with 0: done; 1: nothing to do; 2: wrong usage; 10 and more: what\n"
    "secure_ota.h has, counted from SECURE_OTA_E_CONFIG.\n"
    "\n"
    "  secure_ota-host update --chip apps/1 --server localhost:8443 --ca ca.pem --cert 1.pem --key 1.key --keys keys --type lamp\n";

typedef struct {
    const char *what, *chip, *server, *ca, *cert, *key, *login, *keys, *type, *hmac_key;
    bool rollback;
} options;

static bool parse(int argc, char **argv, options *o)
{
    int i;
    memset(o, 0, sizeof *o);
    if (argc < 2)
        return false;
    o->what = argv[1];
    for (i = 2; i < argc; i++) {
        const struct {
            const char *name;
            const char **value;
        } all[] = {{"--chip", &o->chip},   {"--server", &o->server}, {"--ca", &o->ca},     {"--cert", &o->cert},        {"--key", &o->key},
                   {"--login", &o->login}, {"--keys", &o->keys},     {"--type", &o->type}, {"--hmac-key", &o->hmac_key}};
        size_t k;
        if (strcmp(argv[i], "--rollback") == 0) {
            o->rollback = true;
            continue;
        }
        for (k = 0; k < sizeof all / sizeof all[0] && strcmp(argv[i], all[k].name) != 0; k++)
            ;
        if (k == sizeof all / sizeof all[0] || i + 1 == argc)
            return false;
        *all[k].value = argv[++i];
    }
    return o->chip != NULL && o->keys != NULL && o->type != NULL;
}

/* file reads a whole file; data is null where there is none. */
static secure_ota_blob file(const char *folder, const char *name)
{
    secure_ota_blob b = {NULL, 0};
    char path[512];
    static uint8_t room[8192];
    uint8_t *copy;
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (f == NULL)
        return b;
    b.size = fread(room, 1, sizeof room, f);
    fclose(f);
    copy = malloc(b.size);
    if (copy == NULL || b.size == sizeof room)
        exit(2);
    memcpy(copy, room, b.size);
    b.data = copy;
    return b;
}

static void keys_of(const char *folder, secure_ota_keys *k)
{
    k->manifest_private = file(folder, "manifest.der");
    k->manifest_author = file(folder, "author.der");
    k->image_private = file(folder, "image.der");
    k->bundle_author = file(folder, "bundle.der");
    k->app_v1 = file(folder, "v1.der");
    k->app_v2_digest = file(folder, "v2.digest").data;
}

static void nap(void *context, uint32_t milliseconds)
{
    struct timespec t;
    (void)context;
    t.tv_sec = milliseconds / 1000;
    t.tv_nsec = (long)(milliseconds % 1000) * 1000000;
    nanosleep(&t, NULL);
}

static void say(void *context, bool error, const char *text, uint32_t number)
{
    (void)context;
    fprintf(stderr, "%s: %s: %lu (0x%lx)\n", error ? "E" : "I", text, (unsigned long)number, (unsigned long)number);
}

static int end(secure_ota_result r, const secure_ota *ota)
{
    printf("%s\n", r == SECURE_OTA_OK && ota->app.version[0] != 0 ? ota->app.version : secure_ota_text(r));
    return r <= SECURE_OTA_NO_UPDATE ? (int)r : 10 + (int)(r - SECURE_OTA_E_CONFIG);
}

static int act(const options *o, secure_ota *ota, door *chip)
{
    secure_ota_result r = SECURE_OTA_E_CONFIG;
    bool update = strcmp(o->what, "update") == 0, reject = strcmp(o->what, "reject") == 0;
    if (strcmp(o->what, "check") == 0)
        r = check_for_update(ota);
    else if (update)
        r = perform_update(ota);
    else if (strcmp(o->what, "confirm") == 0)
        r = secure_ota_confirm(ota) == SECURE_OTA_OK ? secure_ota_report(ota) : SECURE_OTA_E_FLASH;
    else if (reject)
        r = secure_ota_reject(ota);
    else if (strcmp(o->what, "state") == 0) {
        printf("%s\n", secure_ota_unconfirmed(ota) ? "unconfirmed" : "confirmed");
        return 0;
    } else {
        fputs(usage, stderr);
        return 2;
    }
    if (r == SECURE_OTA_OK && (update || reject) && door_restart(chip) != 0) {
        fprintf(stderr, "%s: the chip does not restart\n", o->chip);
        return 2;
    }
    return end(r, ota);
}

static int login(https *h, const char *path)
{
    char line[160] = "";
    FILE *f = fopen(path, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        return -1;
    fclose(f);
    line[strcspn(line, "\r\n")] = 0;
    return https_basic(h, line);
}

int main(int argc, char **argv)
{
    static secure_ota ota;
    static https net;
    static door chip;
    static secure_ota_config c;
    options o;
    int r;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return 2;
    }
    r = https_init(&net, o.server != NULL ? o.server : "localhost:8443", o.ca != NULL ? o.ca : "/dev/null", o.cert, o.key);
    if ((r != 0 && o.server != NULL) || (o.login != NULL && login(&net, o.login) != 0)) {
        fprintf(stderr, "server, certificates or login cannot be used: -0x%04x\n", (unsigned)-r);
        return 2;
    }
    if (door_open(&chip, o.chip) != 0) {
        fprintf(stderr, "%s: no application runs on that chip\n", o.chip);
        return 2;
    }
    keys_of(o.keys, &c.keys);
    c.ports.flash = door_port(&chip);
    c.ports.http = https_port(&net);
    c.ports.random = https_random(&net);
    if (o.hmac_key != NULL) {
        chip.hmac_key = (uint32_t)strtoul(o.hmac_key, NULL, 10);
        c.ports.hmac = door_hmac(&chip);
    }
    c.ports.clock.sleep = nap;
    c.ports.log.say = say;
    c.device_type = o.type;
    c.chip_id = chip.chip_id;
    c.rollback = o.rollback;
    if (secure_ota_init(&ota, &c) != SECURE_OTA_OK)
        return end(SECURE_OTA_E_CONFIG, &ota);
    r = act(&o, &ota, &chip);
    door_close(&chip);
    https_free(&net);
    return r;
}
