#pragma once
// The lines of an events source (docs/events.md): bytes in, observations or refusals out. No
// socket, no clock; loop thread only.
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"
#include "protocol/now.h"
#include "sidecar/core/observation.h"

namespace rollcall::sidecar {

inline constexpr std::size_t kDefaultEventLine = 64u << 10;
// An at_us further ahead of this machine's clock than this is a mistake; less is taken as now.
inline constexpr std::int64_t kEventAheadUs = 10'000'000;
// An at_us below this (September 2001) was given in other units.
inline constexpr std::int64_t kEventEarliestUs = 1'000'000'000'000'000;

// Reads single lines. Keeps its buffers, so it is shared by all connections.
class EventParser {
 public:
  EventParser();
  ~EventParser();

  // This many bytes behind a line must be readable, whatever they are.
  static constexpr std::size_t kPadding = 64;

  // `line` without its newline. The error names the field and what is allowed. Events without
  // at_us get moments that differ: `last_boot_us` is that of the one before.
  std::expected<Observation, Error> parse(std::string_view line, const Now& now,
                                          std::int64_t& last_boot_us);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What was read of one connection: lines `first` to `last`, each of them either an observation or
// refused.
struct EventBatch {
  struct Refusal {
    std::uint64_t line = 0;
    std::string why;
  };
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  std::vector<Observation> observations;
  std::vector<Refusal> refused;

  std::uint64_t lines() const { return last + 1 - first; }
};

// Splits one connection's bytes into lines, which are counted from 1.
class EventLines {
 public:
  EventLines(EventParser& parser, std::size_t longest) : parser_(parser), longest_(longest) {}

  void read(std::span<const std::byte> bytes, const Now& now);
  // The other side has said all: the last line needs no newline.
  void end(const Now& now);

  const EventBatch& batch() const { return batch_; }
  EventBatch take();

  // Bytes of a line that has not ended yet.
  std::size_t buffered() const { return buffer_.size(); }

 private:
  void take_line(std::string_view line, const Now& now);
  void refuse(std::string why);

  EventParser& parser_;
  std::size_t longest_;
  std::string buffer_;
  bool skipping_ = false;  // to the end of a line that was refused as too long
  std::int64_t last_boot_us_ = 0;
  EventBatch batch_;
};

// The answers to a batch, one JSON object a line, ranges of stored lines in one.
std::string answers_to(const EventBatch& batch);

}  // namespace rollcall::sidecar
