// The log on disk and its twin in memory answer random operations alike.
#include <random>

#include "persist/memory_event_log.h"
#include "tests/unit/persist/log_fixture.h"

namespace rollcall::persist {
namespace {

class EventLogPropertyTest : public LogTest, public testing::WithParamInterface<int> {
 protected:
  void expect_alike() {
    ASSERT_EQ(log_->next_index(), twin_.next_index());
    // The file log keeps whole segments.
    ASSERT_LE(log_->first_index(), twin_.first_index());
    auto on_disk = records();
    on_disk.erase(on_disk.begin(), on_disk.lower_bound(twin_.first_index()));
    ASSERT_EQ(on_disk, records_of(twin_));
  }
  void both_append(const std::vector<std::string>& group) {
    ASSERT_EQ(log_->append(group).has_value(), twin_.append(group).has_value());
  }

  MemoryEventLog twin_;
};

TEST_P(EventLogPropertyTest, FileLogAndTwinAgree) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  options_.segment_bytes = 100 + random() % 1000;
  open();
  for (int step = 0; step < 300; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const auto next = twin_.next_index();
    switch (random() % 12) {
      case 0:
        open();
        ASSERT_EQ(recovery_.snapshot, twin_.recover().snapshot);
        ASSERT_EQ(recovery_.created, next == 1);
        ASSERT_EQ(recovery_.torn_tail_dropped, twin_.recover().torn_tail_dropped);
        break;
      case 1: {
        const auto upto = random() % (next + 2);
        const auto bytes = "state " + std::to_string(random());
        // Snapshots that are older than retention do not matter.
        if (upto + 1 < twin_.first_index()) break;
        ASSERT_EQ(log_->write_snapshot(upto, bytes).has_value(),
                  twin_.write_snapshot(upto, bytes).has_value());
        break;
      }
      case 2: {
        const auto before = random() % (next + 2);
        ASSERT_EQ(log_->remove_segments_before(before).has_value(),
                  twin_.remove_segments_before(before).has_value());
        break;
      }
      case 3: {
        ops_.short_write_bytes = random() % 50;
        ops_.fail(random() % 2 == 0 ? Op::kWrite : Op::kSync, 1, EIO);
        twin_.fail_next(1, "failed");
        const std::vector<std::string> group{std::to_string(random())};
        both_append(group);
        ops_.mend();
        break;
      }
      case 4: {
        // A group that is torn by a power cut.
        twin_.append_unsynced(std::vector<std::string>{"torn"}).value();
        append({"torn"});
        close();
        cut(last_segment(), 1 + random() % 47);
        twin_.crash(MemoryEventLog::Tail::kTorn);
        open();
        ASSERT_TRUE(recovery_.torn_tail_dropped);
        break;
      }
      default: {
        std::vector<std::string> group(random() % 5);
        for (auto& record : group) record = std::string(random() % 60, static_cast<char>(random()));
        both_append(group);
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_alike());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, EventLogPropertyTest, testing::Range(1, 16));

}  // namespace
}  // namespace rollcall::persist
