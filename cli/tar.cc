#include "cli/tar.h"

#include <zlib.h>

#include <cstdio>
#include <cstring>

namespace rollcall::cli {
namespace {

constexpr std::size_t kBlock = 512;

// As POSIX has it: fields of fixed width, numbers in octal.
struct Header {
  char name[100] = {};
  char mode[8] = {};
  char uid[8] = {};
  char gid[8] = {};
  char size[12] = {};
  char mtime[12] = {};
  char checksum[8] = {};
  char type = '0';
  char link[100] = {};
  char magic[6] = {'u', 's', 't', 'a', 'r', '\0'};
  char version[2] = {'0', '0'};
  char rest[247] = {};
};
static_assert(sizeof(Header) == kBlock);

std::string header_of(const PackedFile& file, std::int64_t time_s) {
  Header header;
  std::snprintf(header.name, sizeof header.name, "%s", file.name.c_str());
  std::snprintf(header.mode, sizeof header.mode, "%07o", 0600u);
  std::snprintf(header.uid, sizeof header.uid, "%07o", 0u);
  std::snprintf(header.gid, sizeof header.gid, "%07o", 0u);
  std::snprintf(header.size, sizeof header.size, "%011llo",
                static_cast<unsigned long long>(file.content.size()));
  std::snprintf(header.mtime, sizeof header.mtime, "%011llo",
                static_cast<unsigned long long>(time_s));
  std::memset(header.checksum, ' ', sizeof header.checksum);
  std::string block(reinterpret_cast<const char*>(&header), sizeof header);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  return block.replace(offsetof(Header, checksum), 7, digits, 7);
}

}  // namespace

std::string tar_of(const std::vector<PackedFile>& files, std::int64_t time_s) {
  std::string tar;
  for (const auto& file : files) {
    tar += header_of(file, time_s) + file.content;
    tar.append((kBlock - tar.size() % kBlock) % kBlock, '\0');
  }
  return tar.append(2 * kBlock, '\0');
}

std::expected<std::string, Error> gzip(const std::string& bytes) {
  constexpr int kGzip = 15 + 16;  // the largest window, and gzip's head instead of zlib's
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return std::unexpected(Error{"zlib is out of memory"});
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (ended != Z_STREAM_END) return std::unexpected(Error{"zlib did not compress it all"});
  return out;
}

}  // namespace rollcall::cli
