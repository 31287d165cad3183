#include "https.h"

#include <mbedtls/base64.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REQUEST = 1024, TIMEOUT = 30000 }; /* milliseconds without a byte */

static int trust(https *h, const char *ca, const char *certificate, const char *key)
{
    int r = mbedtls_x509_crt_parse_file(&h->ca, ca);
    if (r == 0 && certificate != NULL)
        r = mbedtls_x509_crt_parse_file(&h->own, certificate);
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    if (r == 0 && key != NULL)
        r = mbedtls_pk_parse_keyfile(&h->own_key, key, NULL, mbedtls_ctr_drbg_random, &h->random);
#else
    if (r == 0 && key != NULL)
        r = mbedtls_pk_parse_keyfile(&h->own_key, key, NULL);
#endif
    if (r == 0 && certificate != NULL)
        r = mbedtls_ssl_conf_own_cert(&h->config, &h->own, &h->own_key);
    return r;
}

int https_init(https *h, const char *server, const char *ca, const char *certificate, const char *key)
{
    const char *colon = strrchr(server, ':');
    int r;
    memset(h, 0, sizeof *h);
    mbedtls_entropy_init(&h->entropy);
    mbedtls_ctr_drbg_init(&h->random);
    mbedtls_x509_crt_init(&h->ca);
    mbedtls_x509_crt_init(&h->own);
    mbedtls_pk_init(&h->own_key);
    mbedtls_ssl_config_init(&h->config);
    if (colon == NULL || (size_t)(colon - server) >= sizeof h->host || strlen(colon + 1) >= sizeof h->port)
        return -1;
    memcpy(h->host, server, (size_t)(colon - server));
    strcpy(h->port, colon + 1);
    r = mbedtls_ctr_drbg_seed(&h->random, mbedtls_entropy_func, &h->entropy, NULL, 0);
    if (r == 0)
        r = mbedtls_ssl_config_defaults(&h->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (r == 0)
        r = trust(h, ca, certificate, key);
    mbedtls_ssl_conf_rng(&h->config, mbedtls_ctr_drbg_random, &h->random);
    mbedtls_ssl_conf_ca_chain(&h->config, &h->ca, NULL);
    mbedtls_ssl_conf_authmode(&h->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_read_timeout(&h->config, TIMEOUT);
    return r;
}

int https_basic(https *h, const char *credentials)
{
    static const char basic[] = "Basic ";
    size_t n;
    memcpy(h->authorization, basic, sizeof basic);
    return mbedtls_base64_encode((unsigned char *)h->authorization + sizeof basic - 1, sizeof h->authorization - sizeof basic + 1, &n,
                                 (const unsigned char *)credentials, strlen(credentials));
}

static void https_close(void *context)
{
    https *h = context;
    if (!h->open)
        return;
    h->open = false;
    mbedtls_ssl_close_notify(&h->ssl);
    mbedtls_ssl_free(&h->ssl);
    mbedtls_net_free(&h->net);
}

void https_free(https *h)
{
    https_close(h);
    mbedtls_ssl_config_free(&h->config);
    mbedtls_pk_free(&h->own_key);
    mbedtls_x509_crt_free(&h->own);
    mbedtls_x509_crt_free(&h->ca);
    mbedtls_ctr_drbg_free(&h->random);
    mbedtls_entropy_free(&h->entropy);
}

static int connect_tls(https *h)
{
    int r;
    mbedtls_net_init(&h->net);
    mbedtls_ssl_init(&h->ssl);
    h->open = true;
    h->at = h->have = 0;
    r = mbedtls_net_connect(&h->net, h->host, h->port, MBEDTLS_NET_PROTO_TCP);
    if (r == 0)
        r = mbedtls_ssl_setup(&h->ssl, &h->config);
    if (r == 0)
        r = mbedtls_ssl_set_hostname(&h->ssl, h->host);
    mbedtls_ssl_set_bio(&h->ssl, &h->net, mbedtls_net_send, NULL, mbedtls_net_recv_timeout);
    return r != 0 ? r : mbedtls_ssl_handshake(&h->ssl);
}

/* head begins a request; the bytes used, or more than size. */
static size_t head(const https *h, char *text, size_t size, const char *method, const char *path)
{
    int n = snprintf(text, size, "%s %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: secure_ota\r\nConnection: close\r\n%s%s%s", method, path, h->host, h->port,
                     h->authorization[0] != 0 ? "Authorization: " : "", h->authorization, h->authorization[0] != 0 ? "\r\n" : "");
    return n < 0 ? size : (size_t)n;
}

static int send_text(https *h, const char *text, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        int n = mbedtls_ssl_write(&h->ssl, (const unsigned char *)text + sent, size - sent);
        if (n <= 0)
            return -1;
        sent += (size_t)n;
    }
    return 0;
}

static int request(https *h, const char *path, uint32_t first, uint32_t count, const char *etag)
{
    char text[REQUEST];
    size_t at = head(h, text, sizeof text, "GET", path);
    if (at < sizeof text && (first != 0 || count != 0)) {
        at += (size_t)snprintf(text + at, sizeof text - at, count != 0 ? "Range: bytes=%lu-%lu\r\n" : "Range: bytes=%lu-\r\n", (unsigned long)first,
                               (unsigned long)first + count - 1);
        if (at < sizeof text && etag[0] != 0)
            at += (size_t)snprintf(text + at, sizeof text - at, "If-Range: %s\r\n", etag);
    }
    if (at + 2 >= sizeof text)
        return -1;
    memcpy(text + at, "\r\n", 2);
    return send_text(h, text, at + 2);
}

/* byte reads one byte; negative at the end. */
static int byte(https *h)
{
    if (h->at == h->have) {
        int n = mbedtls_ssl_read(&h->ssl, h->buffer, sizeof h->buffer);
        if (n <= 0)
            return -1;
        h->at = 0;
        h->have = (size_t)n;
    }
    return h->buffer[h->at++];
}

/* line reads a line without its end; false at the end, or if it is longer than there is room. */
static bool line(https *h, char *to, size_t size)
{
    size_t n = 0;
    int c;
    while ((c = byte(h)) >= 0 && c != '\n') {
        if (n + 1 >= size)
            return false;
        to[n++] = (char)c;
    }
    if (n > 0 && to[n - 1] == '\r')
        n--;
    to[n] = 0;
    return c == '\n';
}

static bool header(const char *text, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncasecmp(text, name, n) != 0 || text[n] != ':')
        return false;
    for (*value = text + n + 1; **value == ' '; ++*value)
        ;
    return true;
}

/* understand takes what matters out of one header. */
static bool understand(https *h, const char *text, secure_ota_answer *a)
{
    const char *value;
    unsigned long first, last, total;
    if (header(text, "Content-Length", &value)) {
        h->left = strtoull(value, NULL, 10);
        if (a->status == 200)
            a->total = h->left <= UINT32_MAX ? (uint32_t)h->left : 0;
    } else if (header(text, "Content-Range", &value)) {
        if (sscanf(value, "bytes %lu-%lu/%lu", &first, &last, &total) != 3)
            return false;
        a->first = (uint32_t)first;
        a->total = (uint32_t)total;
    } else if (header(text, "ETag", &value)) {
        if (strlen(value) < sizeof a->etag)
            strcpy(a->etag, value);
    } else if (header(text, "Station-Release", &value)) {
        if (strlen(value) < sizeof a->release)
            strcpy(a->release, value);
    } else if (header(text, "Transfer-Encoding", &value)) {
        return strcasecmp(value, "identity") == 0; /* this port knows no chunks */
    }
    return true;
}

static int https_open(void *context, const char *path, uint32_t first, uint32_t count, const char *etag, secure_ota_answer *answer)
{
    https *h = context;
    char text[512];
    int r = connect_tls(h);
    bool ok = r == 0 && request(h, path, first, count, etag) == 0 && line(h, text, sizeof text) && sscanf(text, "HTTP/1.%*d %d", &answer->status) == 1;
    if (r != 0)
        fprintf(stderr, "%s:%s: no TLS connection: -0x%04x\n", h->host, h->port, (unsigned)-r);
    h->left = UINT64_MAX;
    while (ok && (ok = line(h, text, sizeof text)) && text[0] != 0)
        ok = understand(h, text, answer);
    if (!ok)
        https_close(h);
    return ok ? 0 : -1;
}

static int https_read(void *context, void *data, size_t size)
{
    https *h = context;
    size_t n = h->have - h->at;
    int got;
    if (h->left == 0)
        return 0;
    if (size > h->left)
        size = (size_t)h->left;
    if (n > 0) {
        n = n < size ? n : size;
        memcpy(data, h->buffer + h->at, n);
        h->at += n;
        h->left -= n;
        return (int)n;
    }
    got = mbedtls_ssl_read(&h->ssl, data, size);
    if (got == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY && h->left == UINT64_MAX)
        return 0;
    if (got <= 0)
        return -1;
    if (h->left != UINT64_MAX)
        h->left -= (uint64_t)got;
    return got;
}

static int https_post(void *context, const char *path, const char *json, int *status)
{
    https *h = context;
    char text[REQUEST];
    size_t at = head(h, text, sizeof text, "POST", path);
    int ok = connect_tls(h) == 0;
    if (at < sizeof text)
        at += (size_t)snprintf(text + at, sizeof text - at, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(json), json);
    ok = ok && at < sizeof text && send_text(h, text, at) == 0 && line(h, text, sizeof text) && sscanf(text, "HTTP/1.%*d %d", status) == 1;
    https_close(h);
    return ok ? 0 : -1;
}

secure_ota_http https_port(https *h)
{
    secure_ota_http p = {h, https_open, https_read, https_close, https_post};
    return p;
}

static int fill(void *context, unsigned char *data, size_t size) { return mbedtls_ctr_drbg_random(&((https *)context)->random, data, size); }

secure_ota_random https_random(https *h)
{
    secure_ota_random r = {h, fill};
    return r;
}
