#include "persist/log_format.h"

#include <sys/random.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "persist/little_endian.h"

namespace rollcall::persist {
namespace {

constexpr std::string_view kSegmentMagic{"RCLOGSEG", 8};
constexpr std::string_view kSnapshotMagic{"RCLOGSNP", 8};
// The oldest program that reads kLogFormat; raise both together. An older program shows it to
// its user when it meets the file.
constexpr std::string_view kOldestReader = "0.1.0";
constexpr std::size_t kReaderBytes = 16;
constexpr std::size_t kChecksumBytes = 8;

constexpr std::size_t kIndexDigits = 20;

std::string_view magic_of(FileKind kind) {
  return kind == FileKind::kSegment ? kSegmentMagic : kSnapshotMagic;
}

// A frame is only valid in its own log: the id is part of every checksum.
std::uint64_t seed_of(const LogId& log) {
  return XXH3_64bits(log.data(), log.size());
}

// Chained, so that the bytes between the two parts (the checksums themselves) stay out.
std::uint64_t frame_checksum(const LogId& log, std::string_view head, std::string_view payload) {
  const auto seed = XXH3_64bits_withSeed(head.data(), head.size(), seed_of(log));
  return XXH3_64bits_withSeed(payload.data(), payload.size(), seed);
}

std::uint64_t header_checksum(const LogId& log, std::string_view head) {
  return XXH3_64bits_withSeed(head.data(), head.size(), seed_of(log));
}

}  // namespace

LogId new_log_id() {
  LogId id;
  // At most 256 bytes are never cut short; a kernel without getrandom runs none of this.
  if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    std::fputs("rollcall: the kernel gives no random bytes\n", stderr);
    std::abort();
  }
  return id;
}

std::uint64_t checksum(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

struct RunningChecksum::State {
  State() : xxh(XXH3_createState()) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(xxh); }
  XXH3_state_t* xxh;
};

RunningChecksum::RunningChecksum() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(state_->xxh);
}
RunningChecksum::~RunningChecksum() = default;
void RunningChecksum::add(std::string_view bytes) {
  XXH3_64bits_update(state_->xxh, bytes.data(), bytes.size());
}
std::uint64_t RunningChecksum::value() const {
  return XXH3_64bits_digest(state_->xxh);
}

std::string encode_header(FileKind kind, const FileHeader& header) {
  std::string bytes(magic_of(kind));
  put<std::uint32_t>(bytes, kLogFormat);
  put<std::uint32_t>(bytes, kind == FileKind::kSegment ? kFileHeaderBytes : kSnapshotHeaderBytes);
  bytes.append(kOldestReader).append(kReaderBytes - kOldestReader.size(), '\0');
  bytes.append(header.log.begin(), header.log.end());
  put<std::uint64_t>(bytes, header.index);
  put<std::uint64_t>(bytes, checksum(bytes));
  return bytes;
}

std::expected<FileHeader, HeaderProblem> decode_header(FileKind kind, std::string_view bytes) {
  if (bytes.size() < kFileHeaderBytes) {
    return std::unexpected(HeaderProblem{
        HeaderFault::kShort, "it has only " + std::to_string(bytes.size()) + " of the header's " +
                                 std::to_string(kFileHeaderBytes) + " bytes"});
  }
  constexpr auto kChecked = kFileHeaderBytes - kChecksumBytes;
  if (!bytes.starts_with(magic_of(kind))) {
    return std::unexpected(HeaderProblem{HeaderFault::kDamaged,
                                         "it does not begin with " + std::string(magic_of(kind))});
  }
  if (get<std::uint64_t>(bytes, kChecked) != checksum(bytes.substr(0, kChecked))) {
    return std::unexpected(HeaderProblem{HeaderFault::kDamaged, "its header's checksum is wrong"});
  }
  if (const auto format = get<std::uint32_t>(bytes, 8); format > kLogFormat) {
    const auto reader = bytes.substr(16, kReaderBytes);
    return std::unexpected(HeaderProblem{
        HeaderFault::kNewFormat,
        "it has log format " + std::to_string(format) + ", this program knows formats up to " +
            std::to_string(kLogFormat) + ": use rollcall " +
            std::string(reader.substr(0, reader.find('\0'))) + " or newer"});
  }
  FileHeader header;
  std::copy_n(bytes.begin() + 32, header.log.size(), header.log.begin());
  header.index = get<std::uint64_t>(bytes, 48);
  return header;
}

std::string encode_snapshot_header(const FileHeader& header, std::string_view body) {
  auto bytes = encode_header(FileKind::kSnapshot, header);
  put<std::uint64_t>(bytes, body.size());
  put<std::uint64_t>(bytes, checksum(body));
  return bytes;
}

std::optional<SnapshotBody> decode_snapshot_body(std::string_view header_bytes) {
  if (header_bytes.size() < kSnapshotHeaderBytes) return std::nullopt;
  return SnapshotBody{get<std::uint64_t>(header_bytes, kFileHeaderBytes),
                      get<std::uint64_t>(header_bytes, kFileHeaderBytes + 8)};
}

void encode_frame(const LogId& log, std::uint64_t first_index, std::span<const std::string> records,
                  std::string& frame) {
  std::size_t payload_bytes = 0;
  for (const auto& record : records) payload_bytes += sizeof(std::uint32_t) + record.size();
  frame.clear();
  frame.reserve(kFrameHeaderBytes + payload_bytes);
  frame.append(kFrameMarker);
  put(frame, static_cast<std::uint32_t>(payload_bytes));
  put(frame, static_cast<std::uint32_t>(records.size()));
  put(frame, first_index);
  frame.append(2 * kChecksumBytes, '\0');
  for (const auto& record : records) {
    put(frame, static_cast<std::uint32_t>(record.size()));
    frame.append(record);
  }
  std::string sums;
  put(sums, frame_checksum(log, std::string_view(frame).substr(0, 24),
                           std::string_view(frame).substr(kFrameHeaderBytes)));
  frame.replace(24, kChecksumBytes, sums);
  sums.clear();
  put(sums, header_checksum(log, std::string_view(frame).substr(0, 32)));
  frame.replace(32, kChecksumBytes, sums);
}

std::optional<FrameHeader> decode_frame_header(const LogId& log, std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes || !bytes.starts_with(kFrameMarker)) return std::nullopt;
  if (get<std::uint64_t>(bytes, 32) != header_checksum(log, bytes.substr(0, 32))) {
    return std::nullopt;
  }
  FrameHeader header{get<std::uint32_t>(bytes, 8), get<std::uint32_t>(bytes, 12),
                     get<std::uint64_t>(bytes, 16), get<std::uint64_t>(bytes, 24)};
  if (header.payload_bytes > kMaxGroupBytes || header.records == 0 ||
      header.records > kMaxGroupRecords) {
    return std::nullopt;
  }
  return header;
}

bool intact(const LogId& log, const FrameHeader& header, std::string_view bytes) {
  return bytes.size() == header.frame_bytes() &&
         header.checksum ==
             frame_checksum(log, bytes.substr(0, 24), bytes.substr(kFrameHeaderBytes));
}

bool for_each_record(const FrameHeader& header, std::string_view frame,
                     const std::function<Reading(std::uint64_t, std::string_view)>& reader,
                     Reading& reading) {
  auto rest = frame.substr(kFrameHeaderBytes);
  for (std::uint32_t i = 0; i < header.records; ++i) {
    if (rest.size() < sizeof(std::uint32_t)) return false;
    const auto size = get<std::uint32_t>(rest, 0);
    rest.remove_prefix(sizeof(std::uint32_t));
    if (rest.size() < size) return false;
    reading = reader(header.first_index + i, rest.substr(0, size));
    if (reading == Reading::kStop) return true;
    rest.remove_prefix(size);
  }
  return rest.empty();
}

std::string file_name(FileKind kind, std::uint64_t index) {
  auto digits = std::to_string(index);
  digits.insert(0, kIndexDigits - digits.size(), '0');
  return kind == FileKind::kSegment ? "log-" + digits + ".seg" : "snap-" + digits + ".snap";
}

std::optional<std::uint64_t> index_in_name(FileKind kind, std::string_view name) {
  const std::string_view prefix = kind == FileKind::kSegment ? "log-" : "snap-";
  if (name.size() < prefix.size() + kIndexDigits) return std::nullopt;
  std::uint64_t index = 0;
  for (char digit : name.substr(prefix.size(), kIndexDigits)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    index = index * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  // Also catches another prefix or ending, and a number too large for 64 bits.
  if (file_name(kind, index) != name) return std::nullopt;
  return index;
}

}  // namespace rollcall::persist
