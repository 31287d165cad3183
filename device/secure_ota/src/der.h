/* The little of DER that keys need: out of the wrappings that tools write
 * (PKCS #8, SubjectPublicKeyInfo) the key itself. */
#ifndef SECURE_OTA_DER_H
#define SECURE_OTA_DER_H

#include "secure_ota.h"

/* The RSAPrivateKey (PKCS #1) in a PKCS #8 or PKCS #1 file; data is null if it is neither. */
secure_ota_blob so_der_private(secure_ota_blob file);

/* The key in a SubjectPublicKeyInfo: an RSAPublicKey, or a point of 65 bytes. An
 * RSAPublicKey or a point comes back as it is; data is null for anything else. */
secure_ota_blob so_der_public(secure_ota_blob file);

/* Bits of the modulus of an RSAPrivateKey or RSAPublicKey; 0 if it cannot be read. */
size_t so_der_rsa_bits(secure_ota_blob key, bool is_private);

/* Writes the RSAPublicKey of a modulus of 384 bytes, big endian, and exponent 65537. */
enum { SO_DER_RSA3072 = 398 };
void so_der_rsa3072(uint8_t out[SO_DER_RSA3072], const uint8_t modulus[384]);

#endif
