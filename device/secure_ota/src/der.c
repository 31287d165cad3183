#include "der.h"

#include <string.h>

enum { INTEGER = 0x02, BIT_STRING = 0x03, OCTET_STRING = 0x04, SEQUENCE = 0x30 };

static const secure_ota_blob nothing = {NULL, 0};

/* take reads one element of that tag from the front of *in and gives its
 * content; in is what follows it. */
static bool take(secure_ota_blob *in, uint8_t tag, secure_ota_blob *content)
{
    size_t at = 2, size, n;
    if (in->size < 2 || in->data[0] != tag)
        return false;
    size = in->data[1];
    if (size >= 0x80) {
        n = size & 0x7f;
        if (n == 0 || n > 3 || in->size < 2 + n)
            return false;
        for (size = 0; n > 0; n--)
            size = size << 8 | in->data[at++];
    }
    if (size > in->size - at)
        return false;
    content->data = in->data + at;
    content->size = size;
    in->data += at + size;
    in->size -= at + size;
    return true;
}

/* inside is the content of a file that is one sequence. Bytes after it, as some tools leave, do not matter. */
static bool inside(secure_ota_blob file, secure_ota_blob *content)
{
    return file.data != NULL && take(&file, SEQUENCE, content);
}

secure_ota_blob so_der_private(secure_ota_blob file)
{
    secure_ota_blob in, version, second, key;
    if (!inside(file, &in) || !take(&in, INTEGER, &version))
        return nothing;
    if (in.size > 0 && in.data[0] == INTEGER)
        return file; /* PKCS #1: version, modulus … */
    if (!take(&in, SEQUENCE, &second) || !take(&in, OCTET_STRING, &key))
        return nothing;
    return key;
}

secure_ota_blob so_der_public(secure_ota_blob file)
{
    secure_ota_blob in, algorithm, key;
    if (file.data != NULL && file.size == 65 && file.data[0] == 0x04)
        return file;
    if (!inside(file, &in))
        return nothing;
    if (in.size > 0 && in.data[0] == INTEGER)
        return file;
    if (!take(&in, SEQUENCE, &algorithm) || !take(&in, BIT_STRING, &key) || key.size < 2 || key.data[0] != 0)
        return nothing;
    key.data++;
    key.size--;
    return key;
}

size_t so_der_rsa_bits(secure_ota_blob key, bool is_private)
{
    secure_ota_blob in, n;
    size_t bits;
    uint8_t top;
    if (!inside(key, &in) || (is_private && !take(&in, INTEGER, &n)) || !take(&in, INTEGER, &n))
        return 0;
    while (n.size > 0 && n.data[0] == 0) {
        n.data++;
        n.size--;
    }
    if (n.size == 0)
        return 0;
    bits = 8 * n.size;
    for (top = n.data[0]; !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

void so_der_rsa3072(uint8_t out[SO_DER_RSA3072], const uint8_t modulus[384])
{
    static const uint8_t head[] = {SEQUENCE, 0x82, 0x01, 0x8a, INTEGER, 0x82, 0x01, 0x81, 0x00};
    static const uint8_t f4[] = {INTEGER, 3, 0x01, 0x00, 0x01};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, modulus, 384);
    memcpy(out + sizeof head + 384, f4, sizeof f4);
}
