#pragma once
// What is read from certificates and their files, for people and messages. For net/ only.
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <chrono>
#include <expected>
#include <string>
#include <vector>

#include "net/certificate.h"
#include "net/owned.h"
#include "protocol/error.h"

namespace rollcall::net {

using Bio = Owned<BIO, BIO_free_all>;
using Certificate = Owned<X509, X509_free>;
using PrivateKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using Crl = Owned<X509_CRL, X509_CRL_free>;

// In hexadecimal, as `openssl x509 -serial` says it; empty if memory was short.
std::string serial_text(const X509* certificate);
std::string serial_text(const ASN1_INTEGER* serial);

std::string openssl_reason(unsigned long code);

// Without names that hold a zero byte, which would end early for whoever prints or compares them.
std::vector<std::string> dns_names(const X509* certificate);
std::string time_text(const ASN1_TIME* time);
std::chrono::system_clock::time_point to_time_point(const ASN1_TIME* time);
std::string subject_of(const X509* certificate);
// "the certificate of w1", or with its subject if it has no name.
std::string called(const X509* certificate);
CertificateInfo info_of(const X509* certificate, const std::string& file);

// `what` is how errors call it: "the CA file".
std::expected<std::string, Error> read_pem_file(const std::string& path, const std::string& what);
std::expected<std::vector<Certificate>, Error> read_certificates(const std::string& path,
                                                                 const std::string& what);
std::expected<std::vector<Crl>, Error> read_crls(const std::string& path);
std::expected<PrivateKey, Error> read_key(const std::string& path);

// What a BIO_s_mem() or BIO_s_secmem() was given.
std::string text_of(BIO* bio);

}  // namespace rollcall::net
