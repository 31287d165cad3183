#define _POSIX_C_SOURCE 200809L
#include "door.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bytes.h"

enum { HEAD = 9, REPLY = 5, INFO = 18 };

static int send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int read_all(int fd, uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = read(fd, data, size);
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int ask(door *d, char what, uint32_t address, size_t size, const uint8_t *data, uint8_t *reply, size_t reply_size)
{
    uint8_t head[HEAD], answer[REPLY];
    head[0] = (uint8_t)what;
    so_put_le32(head + 1, address);
    so_put_le32(head + 5, (uint32_t)size);
    if (send_all(d->fd, head, sizeof head) != 0 || (data != NULL && send_all(d->fd, data, size) != 0) || read_all(d->fd, answer, sizeof answer) != 0)
        return -1;
    return answer[0] == 0 && so_le32(answer + 1) == reply_size ? read_all(d->fd, reply, reply_size) : -1;
}

static int door_read(void *context, uint32_t address, void *data, size_t size) { return ask(context, 'r', address, size, NULL, data, size); }

static int door_write(void *context, uint32_t address, const void *data, size_t size) { return ask(context, 'w', address, size, data, NULL, 0); }

static int door_write_raw(void *context, uint32_t address, const void *data, size_t size) { return ask(context, 'x', address, size, data, NULL, 0); }

static int door_erase(void *context, uint32_t address, size_t size) { return ask(context, 'e', address, size, NULL, NULL, 0); }

static bool door_encrypted(void *context, uint8_t *config)
{
    *config = ((door *)context)->crypt_config;
    return ((door *)context)->encrypted;
}

static uint32_t door_running(void *context) { return ((door *)context)->running; }

static uint32_t door_secure_version(void *context) { return ((door *)context)->secure_version; }

int door_open(door *d, const char *path)
{
    struct sockaddr_un to;
    uint8_t info[INFO];
    memset(d, 0, sizeof *d);
    memset(&to, 0, sizeof to);
    to.sun_family = AF_UNIX;
    d->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (d->fd < 0 || strlen(path) >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, path, strlen(path));
    if (connect(d->fd, (struct sockaddr *)&to, sizeof to) != 0 || ask(d, 'i', 0, 0, NULL, info, sizeof info) != 0)
        return -1;
    d->running = so_le32(info);
    d->secure_version = so_le32(info + 4);
    d->encrypted = info[8] != 0;
    d->crypt_config = info[9];
    memcpy(d->mac, info + 10, sizeof d->mac);
    d->chip_id = so_le16(info + 16);
    return 0;
}

secure_ota_flash door_port(door *d)
{
    secure_ota_flash f = {d, door_read, door_write, door_write_raw, door_erase, door_encrypted, door_running, door_secure_version};
    return f;
}

static int hmac_calculate(void *context, const uint8_t *data, size_t size, uint8_t mac[32])
{
    door *d = context;
    return ask(d, 'h', d->hmac_key, size, data, mac, 32);
}

secure_ota_hmac door_hmac(door *d)
{
    secure_ota_hmac h = {d, hmac_calculate};
    return h;
}

int door_restart(door *d)
{
    int r = ask(d, 'b', 0, 0, NULL, NULL, 0);
    door_close(d);
    return r;
}

void door_close(door *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}
