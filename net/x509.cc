#include "net/x509.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>

#include "net/owned.h"

namespace rollcall::net {

std::string serial_text(X509* certificate) {
  const Owned<BIGNUM, BN_free> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* hex = number != nullptr ? BN_bn2hex(number.get()) : nullptr;
  if (hex == nullptr) return "";
  std::string text(hex);
  OPENSSL_free(hex);
  return text;
}

}  // namespace rollcall::net
