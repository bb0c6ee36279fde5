#pragma once
// What is read from a certificate, for people and messages.
#include <openssl/x509.h>

#include <string>

namespace rollcall::net {

// In hexadecimal, as `openssl x509 -serial` says it; empty if memory was short.
std::string serial_text(X509* certificate);

}  // namespace rollcall::net
