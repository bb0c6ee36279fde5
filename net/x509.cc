#include "net/x509.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>

namespace rollcall::net {
namespace {

constexpr std::size_t kMaxPemFileBytes = std::size_t{1} << 20;

// All things of one kind in a PEM file, read one by one until there is none.
template <typename Thing, typename Read>
std::expected<std::vector<Thing>, Error> read_all(const std::string& path, const std::string& what,
                                                  const std::string& kind, Read read) {
  const auto content = read_pem_file(path, what);
  if (!content) return std::unexpected(content.error());
  const Bio bio(BIO_new_mem_buf(content->data(), static_cast<int>(content->size())));
  std::vector<Thing> things;
  ERR_clear_error();
  while (Thing thing{read(bio.get())}) things.push_back(std::move(thing));
  const unsigned long code = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) {
    return fail(what + " " + path + " is damaged (" + openssl_reason(code) +
                "): copy or issue it again");
  }
  if (things.empty()) {
    return fail(what + " " + path + " holds no " + kind + ": a PEM file with BEGIN " +
                (kind == "certificate" ? "CERTIFICATE" : "X509 CRL") + " is needed");
  }
  return things;
}

}  // namespace

std::string serial_text(const ASN1_INTEGER* serial) {
  const Owned<BIGNUM, BN_free> number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* hex = number != nullptr ? BN_bn2hex(number.get()) : nullptr;
  if (hex == nullptr) return "";
  std::string text(hex);
  OPENSSL_free(hex);
  return text;
}

std::string serial_text(const X509* certificate) {
  return serial_text(X509_get0_serialNumber(certificate));
}

std::string openssl_reason(unsigned long code) {
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown reason";
}

std::vector<std::string> dns_names(const X509* certificate) {
  std::vector<std::string> names;
  const Owned<GENERAL_NAMES, GENERAL_NAMES_free> alternatives(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    std::string dns(text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    if (dns.find('\0') == std::string::npos) names.push_back(std::move(dns));
  }
  return names;
}

std::string time_text(const ASN1_TIME* time) {
  std::tm parts{};
  std::array<char, 32> text{};
  if (ASN1_TIME_to_tm(time, &parts) != 1 ||
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return "unreadable";
  }
  return text.data();
}

std::chrono::system_clock::time_point to_time_point(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string subject_of(const X509* certificate) {
  const Bio text(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
  return text_of(text.get());
}

std::string called(const X509* certificate) {
  const auto names = dns_names(certificate);
  if (!names.empty()) return "the certificate of " + joined(names);
  return "the certificate \"" + subject_of(certificate) + "\"";
}

CertificateInfo info_of(const X509* certificate, const std::string& file) {
  return {dns_names(certificate),
          serial_text(certificate),
          to_time_point(X509_get0_notAfter(certificate)),
          to_time_point(X509_get0_notBefore(certificate)),
          subject_of(certificate),
          file};
}

std::expected<std::string, Error> read_pem_file(const std::string& path, const std::string& what) {
  const Owned<std::FILE, [](std::FILE* file) { std::fclose(file); }> file(
      std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    const int error = errno;
    std::string advice;
    if (error == EACCES) advice = ": let this program's user read it";
    if (error == ENOENT) advice = ": check the path, or make it with `rollcall pki`";
    return fail(what + " " + path + " cannot be opened (" + std::strerror(error) + ")" + advice);
  }
  std::string content;
  std::array<char, 4096> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    content.append(buffer.data(), count);
    if (content.size() > kMaxPemFileBytes) {
      return fail(what + " " + path + " is larger than 1 MiB: this is not a PEM file");
    }
  }
  if (std::ferror(file.get()) != 0) {
    return fail(what + " " + path + " cannot be read: is it a file?");
  }
  return content;
}

std::expected<std::vector<Certificate>, Error> read_certificates(const std::string& path,
                                                                 const std::string& what) {
  return read_all<Certificate>(path, what, "certificate", [](BIO* bio) {
    return PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  });
}

std::expected<std::vector<Crl>, Error> read_crls(const std::string& path) {
  return read_all<Crl>(path, "the list of revoked certificates", "list", [](BIO* bio) {
    return PEM_read_bio_X509_CRL(bio, nullptr, nullptr, nullptr);
  });
}

std::expected<PrivateKey, Error> read_key(const std::string& path) {
  auto content = read_pem_file(path, "the key file");
  if (!content) return std::unexpected(content.error());
  const Bio bio(BIO_new_mem_buf(content->data(), static_cast<int>(content->size())));
  bool wants_passphrase = false;
  ERR_clear_error();
  PrivateKey key(PEM_read_bio_PrivateKey(
      bio.get(), nullptr,
      // Instead of asking on the terminal, which a daemon does not have.
      [](char*, int, int, void* asked) {
        *static_cast<bool*>(asked) = true;
        return -1;
      },
      &wants_passphrase));
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  OPENSSL_cleanse(content->data(), content->size());
  if (key != nullptr) return key;
  if (wants_passphrase) {
    return fail("the key file " + path +
                " is protected by a passphrase: store it without (openssl pkey -in OLD -out NEW)");
  }
  return fail("the key file " + path + " holds no private key in PEM form (" +
              openssl_reason(code) + ")");
}

}  // namespace rollcall::net
