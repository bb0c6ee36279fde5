#pragma once
// What tests of the drivers share, and of the pages over them: a clock set by hand, messages as
// bytes, a store that answers when the test says so.
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "app/clock.h"
#include "app/master_driver.h"
#include "app/sidecar_driver.h"
#include "persist/memory_session_store.h"
#include "protocol/codec.h"
#include "protocol/framing.h"

namespace rollcall::app {

inline constexpr std::int64_t kSecond = 1'000'000;
inline constexpr std::int64_t kWall = 1'700'000'000;

// Seconds of the tests, as microseconds of the wall clock.
inline std::int64_t at(std::int64_t s) {
  return (kWall + s) * kSecond;
}

class HandClock final : public Clock {
 public:
  Now now() override { return {at(s), s * kSecond, s * kSecond}; }
  std::string boot_id() override { return "1"; }
  std::int64_t s = 1;
};

inline std::string frame(const Message& m) {
  std::string out;
  encode_frame(m, out);
  return out;
}

inline Hello hello(const NodeName& node, std::uint64_t number) {
  Hello h;
  h.cluster = "wazuh";
  h.node = node;
  h.machine = node;
  h.software = "1.0";
  h.store = StoreId{number};
  h.stream = StreamId{number};
  return h;
}

// A master's answer to the HELLO with which `sent` begins.
inline std::string welcome(std::string_view sent, std::int64_t wall_us) {
  FrameReader reader(kMaxFrame);
  reader.feed(sent);
  Welcome w;
  w.master = MasterId{11};
  w.term = Term{22};
  w.t0 = std::get<Hello>(*decode(**reader.next())).t0;
  w.t1 = w.t2 = wall_us;
  return frame(w);
}

class HeldStore final : public SidecarDriver::Store {
 public:
  void commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) override {
    ++commits;
    waiting_.emplace_back(std::move(batch), std::move(done));
  }
  // The disk answers all that it was asked.
  void turn() {
    while (!waiting_.empty()) {
      auto [batch, done] = std::move(waiting_.front());
      waiting_.pop_front();
      done(disk.commit(*batch));
    }
  }

  persist::MemorySessionStore disk;
  int commits = 0;

 private:
  std::deque<std::pair<std::shared_ptr<const persist::StoreBatch>, Done>> waiting_;
};

inline sidecar::SidecarCore::Config first_worker() {
  sidecar::SidecarCore::Config c;
  c.node = "w1";
  c.boot = 1;
  return c;
}

inline master::MasterCore::Config first_master() {
  master::MasterCore::Config c;
  c.boot = 1;
  return c;
}

}  // namespace rollcall::app
