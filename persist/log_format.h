// The bytes of the log's files (docs/store-format.md). Pure: bytes in, values out.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "persist/event_log.h"

namespace rollcall::persist {

// Shared by all files of one log, so that a file of another one is noticed.
using LogId = std::array<unsigned char, 16>;
LogId new_log_id();

inline constexpr std::uint32_t kLogFormat = 1;
inline constexpr std::size_t kFileHeaderBytes = 64;  // of segments and snapshots, in every format
inline constexpr std::size_t kSnapshotHeaderBytes = 80;
inline constexpr std::size_t kFrameHeaderBytes = 40;

struct FileHeader {
  LogId log{};
  std::uint64_t index = 0;  // a segment's first record, a snapshot's last one
  bool operator==(const FileHeader&) const = default;
};

enum class FileKind { kSegment, kSnapshot };
enum class HeaderFault {
  kShort,     // less than kFileHeaderBytes
  kDamaged,   // no header of ours, or its checksum is wrong
  kNewFormat  // intact, but of a newer format
};
struct HeaderProblem {
  HeaderFault fault;
  std::string reason;
};

std::string encode_header(FileKind kind, const FileHeader& header);
std::expected<FileHeader, HeaderProblem> decode_header(FileKind kind, std::string_view bytes);

// The second part of a snapshot's header.
struct SnapshotBody {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
};
std::uint64_t checksum(std::string_view bytes);
class RunningChecksum {  // the same, piece by piece
 public:
  RunningChecksum();
  ~RunningChecksum();
  void add(std::string_view bytes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};
std::string encode_snapshot_header(const FileHeader& header, std::string_view body);
std::optional<SnapshotBody> decode_snapshot_body(std::string_view header_bytes);

// What a frame begins with. Rare in other bytes, so that the next frame can be found after
// damage.
inline constexpr std::string_view kFrameMarker{"\xF7\x9D\x52\x43\xB6\x4C\x1A\xE5", 8};

struct FrameHeader {
  std::uint32_t payload_bytes = 0;
  std::uint32_t records = 0;
  std::uint64_t first_index = 0;
  std::uint64_t checksum = 0;  // of this header and the payload

  std::uint64_t frame_bytes() const { return kFrameHeaderBytes + payload_bytes; }
  std::uint64_t next_index() const { return first_index + records; }
};

// The group must have passed check_group(). Replaces what is in `frame`.
void encode_frame(const LogId& log, std::uint64_t first_index, std::span<const std::string> records,
                  std::string& frame);
// Nothing if `bytes` do not begin with an intact frame header of this log; then nothing in them
// can be believed, the length included.
std::optional<FrameHeader> decode_frame_header(const LogId& log, std::string_view bytes);
// `bytes` is the whole frame.
bool intact(const LogId& log, const FrameHeader& header, std::string_view bytes);
// The records of an intact frame. False if the lengths do not fill the frame exactly.
bool for_each_record(const FrameHeader& header, std::string_view frame,
                     const std::function<Reading(std::uint64_t, std::string_view)>& reader,
                     Reading& reading);

// log-<index, 20 digits>.seg and snap-<index, 20 digits>.snap
std::string file_name(FileKind kind, std::uint64_t index);
std::optional<std::uint64_t> index_in_name(FileKind kind, std::string_view name);

}  // namespace rollcall::persist
