#pragma once
// A tar.gz of a few texts.
#include <expected>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace rollcall::cli {

struct PackedFile {
  std::string name;  // within the archive; at most 99 bytes
  std::string content;
};
std::string tar_of(const std::vector<PackedFile>& files, std::int64_t time_s);  // ustar
std::expected<std::string, Error> gzip(const std::string& bytes);

}  // namespace rollcall::cli
