// A real full disk: a small tmpfs, which takes root to mount.
#include <sys/mount.h>

#include "persist/file_event_log.h"
#include "persist/lmdb_session_store.h"
#include "tests/unit/persist/log_fixture.h"

namespace rollcall::persist {
namespace {

using ::testing::HasSubstr;

class DiskFullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::mount("none", mount_point_.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
      GTEST_SKIP() << "no permission to mount a tmpfs";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(mount_point_.path().c_str(), MNT_DETACH);
  }
  // Another program takes up room, or all that there is.
  void fill(std::size_t bytes = 16 << 20) {
    write_file(mount_point_ / "filler", std::string(bytes, 'x'));
  }
  void make_room() { std::filesystem::remove(mount_point_ / "filler"); }
  std::filesystem::path directory() const { return mount_point_ / "state"; }

  TemporaryDirectory mount_point_;
  bool mounted_ = false;
};

TEST_F(DiskFullTest, TheStoreFailsClearlyAndGoesOnWhenThereIsRoom) {
  auto store = LmdbSessionStore::open(directory());
  ASSERT_TRUE(store) << store.error().message;
  fill();
  StoreContents expected;
  std::uint64_t index = 1;
  std::expected<void, Error> done;
  const auto batch = [&] { return StoreBatch{.outbox = {{index, std::string(3000, 'x')}}}; };
  while ((done = (*store)->commit(batch()))) {
    apply(batch(), expected);
    ++index;
    ASSERT_LT(index, 10'000u);
  }
  EXPECT_THAT(done.error().message, HasSubstr("disk"));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE((*store)->commit(batch()));
  EXPECT_EQ(*(*store)->load(), expected);
  make_room();
  ASSERT_TRUE((*store)->commit(batch()));
  apply(batch(), expected);
  store->reset();
  store = LmdbSessionStore::open(directory());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(*(*store)->load(), expected);
}

TEST_F(DiskFullTest, AStoreOpensOnAFullDisk) {
  ASSERT_TRUE((*LmdbSessionStore::open(directory()))->commit({.agents = {{1, "a"}}}));
  fill();
  auto store = LmdbSessionStore::open(directory());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ((*store)->load()->agents.at(1), "a");
}

TEST_F(DiskFullTest, AStoreIsCreatedOnceThereIsRoom) {
  std::filesystem::create_directory(directory());
  fill();
  auto store = LmdbSessionStore::open(directory());
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("disk is full"));
  make_room();
  store = LmdbSessionStore::open(directory());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_TRUE((*store)->commit({.agents = {{1, "a"}}}));
}

TEST_F(DiskFullTest, TheLogFailsClearlyAndGoesOnWhenThereIsRoom) {
  LogRecovery recovery;
  const LogOptions options{.segment_bytes = 100'000};
  auto log = FileEventLog::open(directory(), options, recovery);
  ASSERT_TRUE(log) << log.error().message;
  fill(3 << 20);
  Records expected;
  const auto append = [&] {
    const auto index = (*log)->next_index();
    const std::vector<std::string> group{std::string(3000, 'x'), std::to_string(index)};
    auto done = (*log)->append(group);
    if (done) {
      expected[index] = group[0];
      expected[index + 1] = group[1];
    }
    return done;
  };
  std::expected<void, Error> done;
  while ((done = append())) ASSERT_LT(expected.size(), 10'000u);
  EXPECT_THAT(done.error().message, HasSubstr("No space left on device"));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(append());
  EXPECT_FALSE((*log)->write_snapshot(1, std::string(1 << 20, 's')));
  EXPECT_EQ(records_of(**log), expected);
  make_room();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(append());
  log->reset();
  log = FileEventLog::open(directory(), options, recovery);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(recovery.message, "");
  EXPECT_EQ(records_of(**log), expected);
}

TEST_F(DiskFullTest, ALogOpensOnAFullDisk) {
  LogRecovery recovery;
  const std::vector<std::string> group{"a"};
  ASSERT_TRUE((*FileEventLog::open(directory(), {}, recovery))->append(group));
  fill();
  auto log = FileEventLog::open(directory(), {}, recovery);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(records_of(**log), (Records{{1, "a"}}));
}

}  // namespace
}  // namespace rollcall::persist
