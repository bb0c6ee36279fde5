// The master's log behind its threads: what it removes, and that it looks first.
#include <gmock/gmock.h>

#include <thread>

#include "app/ports.h"
#include "persist/file_event_log.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::app {
namespace {

class DiskLogTest : public ::testing::Test {
 protected:
  // Each group in a segment of its own.
  std::unique_ptr<persist::FileEventLog> opened() {
    persist::LogRecovery recovery;
    auto log = persist::FileEventLog::open(directory_.path(), {.segment_bytes = 1}, recovery);
    EXPECT_TRUE(log) << log.error().message;
    return std::move(*log);
  }

  void append(const std::string& snapshot) {
    bool durable = false;
    disk_log_.append(
        {"record"}, [snapshot] { return snapshot; },
        [&](const auto& result) {
          durable = result.has_value();
          loop_.stop();
        });
    loop_.run();
    ASSERT_TRUE(durable);
    // Otherwise the next snapshot could be left out.
    const auto upto = log_->next_index() - 1;
    while (log_->files().snapshots.empty() || log_->files().snapshots.back().upto_index != upto) {
      std::this_thread::yield();
    }
  }
  void finish() {
    disk_log_.stop();  // the snapshot under way, and what it asks of the disk thread
    disk_.stop();
  }

  const std::string state_ = master::State{}.encode();
  persist::TemporaryDirectory directory_;
  std::unique_ptr<persist::FileEventLog> log_ = opened();
  net::Loop loop_;
  DiskThread disk_;
  DiskLog disk_log_{loop_, disk_, *log_, {std::chrono::hours(1), 1}};  // all is too large
};

TEST_F(DiskLogTest, RemovesWhatTheOlderOfTwoSnapshotsStandsFor) {
  append(state_);
  append(state_);
  finish();
  EXPECT_EQ(log_->first_index(), 2u);
}

TEST_F(DiskLogTest, RemovesNothingForASnapshotThatNoMasterCouldBeginWith) {
  append("not a state");
  append(state_);
  finish();
  EXPECT_EQ(log_->first_index(), 1u);
}

}  // namespace
}  // namespace rollcall::app
