#include "persist/lmdb_session_store.h"

#include <lmdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "persist/memory_session_store.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::persist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class LmdbSessionStoreTest : public ::testing::Test {
 protected:
  void open() {
    store_.reset();
    auto opened = LmdbSessionStore::open(directory_.path(), options_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void close() { store_.reset(); }
  std::string refusal() {
    close();
    auto opened = LmdbSessionStore::open(directory_.path(), options_);
    EXPECT_FALSE(opened);
    return opened ? "" : opened.error().message;
  }
  void commit(const StoreBatch& batch) {
    auto done = store_->commit(batch);
    ASSERT_TRUE(done) << done.error().message;
  }
  StoreContents load() {
    auto contents = store_->load();
    EXPECT_TRUE(contents) << contents.error().message;
    return contents.value_or(StoreContents{});
  }
  std::filesystem::path data() { return directory_ / "data.mdb"; }

  // Writes behind the store's back.
  void put_raw(const char* table, const std::string& key, const std::string& value) {
    close();
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    ASSERT_EQ(mdb_env_create(&env), 0);
    ASSERT_EQ(mdb_env_set_maxdbs(env, 5), 0);
    ASSERT_EQ(mdb_env_open(env, directory_.path().c_str(), 0, 0640), 0);
    ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
    ASSERT_EQ(mdb_dbi_open(txn, table, 0, &dbi), 0);
    MDB_val key_val{key.size(), const_cast<char*>(key.data())};
    MDB_val value_val{value.size(), const_cast<char*>(value.data())};
    ASSERT_EQ(mdb_put(txn, dbi, &key_val, &value_val, 0), 0);
    ASSERT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
  }

  void drop_raw(const char* table) {
    close();
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    ASSERT_EQ(mdb_env_create(&env), 0);
    ASSERT_EQ(mdb_env_set_maxdbs(env, 5), 0);
    ASSERT_EQ(mdb_env_open(env, directory_.path().c_str(), 0, 0640), 0);
    ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
    ASSERT_EQ(mdb_dbi_open(txn, table, 0, &dbi), 0);
    ASSERT_EQ(mdb_drop(txn, dbi, 1), 0);
    ASSERT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
  }

  // What is said of a store of a few commits once `damage` has been done to its file.
  template <typename Damage>
  std::string refusal_with(Damage damage) {
    TemporaryDirectory directory;
    {
      auto store = LmdbSessionStore::open(directory.path());
      EXPECT_TRUE(store);
      for (std::uint32_t agent = 0; agent < 3; ++agent)
        EXPECT_TRUE((*store)->commit({.agents = {{agent, "a"}}}));
    }
    const auto file = directory / "data.mdb";
    auto bytes = read_file(file);
    damage(bytes);
    write_file(file, bytes);
    const auto opened = LmdbSessionStore::open(directory.path());
    return opened ? "" : opened.error().message;
  }

  // Runs `act` in another process; true if it returned true.
  template <typename Act>
  bool elsewhere(Act act) {
    const auto child = ::fork();
    if (child == 0) ::_exit(act() ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  TemporaryDirectory directory_;
  LmdbOptions options_;
  std::unique_ptr<LmdbSessionStore> store_;
};

TEST_F(LmdbSessionStoreTest, ANewStoreIsEmpty) {
  open();
  EXPECT_EQ(load(), StoreContents{});
}

TEST_F(LmdbSessionStoreTest, InfosAreReadOneByOneAndGoWithTheirAgents) {
  open();
  const std::string large(5000, 'i');
  commit({.agents = {{1, "a"}, {2, "b"}}, .infos = {{1, "i"}, {2, large}, {3, ""}}});
  open();
  EXPECT_TRUE(load().infos.empty());
  EXPECT_EQ(store_->read_infos({3, 2, 9}), (StoredInfos{{2, large}, {3, ""}}));
  commit({.removed_agents = {2}, .infos = {{1, "new"}}});
  EXPECT_EQ(store_->read_infos({1, 2}), (StoredInfos{{1, "new"}}));
}

TEST_F(LmdbSessionStoreTest, AStoreOfBeforeInfosWereKeptGetsTheirTable) {
  open();
  commit({.agents = {{1, "a"}}});
  drop_raw("infos");
  open();
  EXPECT_EQ(load().agents.at(1), "a");
  EXPECT_EQ(store_->read_infos({1}), StoredInfos{});
  commit({.infos = {{1, "i"}}});
  open();
  EXPECT_EQ(store_->read_infos({1}), (StoredInfos{{1, "i"}}));
}

TEST_F(LmdbSessionStoreTest, AnInfoWithAWrongChecksumIsDamage) {
  open();
  commit({.infos = {{1, "info"}}});
  put_raw("infos", std::string("\0\0\0\1", 4), "12345678info");
  open();
  const auto read = store_->read_infos({1});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("table \"infos\" has a wrong checksum"));
}

TEST_F(LmdbSessionStoreTest, EverythingIsThereAfterReopening) {
  open();
  commit({.agents = {{1, "a"}, {0xFFFFFFFF, std::string(5000, 'b')}},
          .outbox = {{1, ""}, {~std::uint64_t{0}, std::string("\0x", 2)}},
          .meta = {{"term", "7"}, {std::string(kMaxMetaKeyBytes, 'k'), "v"}}});
  const auto before = load();
  EXPECT_EQ(before.agents.size() + before.outbox.size() + before.meta.size(), 6u);
  open();
  EXPECT_EQ(load(), before);
}

TEST_F(LmdbSessionStoreTest, TablesComeInTheOrderOfTheirNumbers) {
  open();
  for (std::uint64_t index : {256, 1, 65536, 255}) commit({.outbox = {{index, "x"}}});
  commit({.drop_outbox_through = 255});
  EXPECT_EQ(load().outbox, (std::map<std::uint64_t, std::string>{{256, "x"}, {65536, "x"}}));
}

TEST_F(LmdbSessionStoreTest, RandomBatchesDoTheSameAsOnTheTwin) {
  std::mt19937_64 random(1);
  MemorySessionStore twin;
  open();
  const auto bytes = [&] { return std::string(random() % (random() % 20 == 0 ? 9000 : 50), 'x'); };
  for (int i = 0; i < 400; ++i) {
    StoreBatch batch;
    batch.clear_outbox = random() % 20 == 0;
    if (random() % 5 == 0) batch.drop_outbox_through = random() % 60;
    for (auto n = random() % 4; n > 0; --n) {
      batch.removed_outbox.push_back(random() % 60);
      batch.removed_agents.push_back(static_cast<std::uint32_t>(random() % 30));
    }
    for (auto n = random() % 6; n > 0; --n) {
      batch.agents.emplace_back(static_cast<std::uint32_t>(random() % 30), bytes());
      batch.outbox.emplace_back(random() % 60, bytes());
      batch.meta.emplace_back(std::to_string(random() % 5), bytes());
    }
    commit(batch);
    ASSERT_TRUE(twin.commit(batch));
    if (random() % 20 == 0) open();
    ASSERT_EQ(load(), *twin.load()) << "batch " << i;
  }
}

TEST_F(LmdbSessionStoreTest, GrowsItsMapWhenItIsFull) {
  options_.first_map_bytes = 1 << 20;
  open();
  for (std::uint64_t i = 1; i <= 20; ++i) commit({.outbox = {{i, std::string(1 << 20, 'x')}}});
  EXPECT_EQ(load().outbox.size(), 20u);
  open();
  EXPECT_EQ(load().outbox.size(), 20u);
}

TEST_F(LmdbSessionStoreTest, StopsAtItsLimitAndGoesOnWhenThereIsRoom) {
  options_.first_map_bytes = 1 << 20;
  options_.map_limit_bytes = 4 << 20;
  open();
  commit({.meta = {{"kept", "yes"}}});
  std::uint64_t index = 1;
  std::expected<void, Error> done;
  while ((done = store_->commit({.outbox = {{index, std::string(100'000, 'x')}}}))) ++index;
  EXPECT_THAT(done.error().message, AllOf(HasSubstr("4194304"), HasSubstr("raise the limit")));
  EXPECT_EQ(load().outbox.size(), index - 1);
  commit({.drop_outbox_through = index / 2});
  commit({.outbox = {{index, std::string(100'000, 'x')}}});
  open();
  EXPECT_TRUE(load().outbox.contains(index));
  EXPECT_EQ(load().meta.at("kept"), "yes");
}

TEST_F(LmdbSessionStoreTest, AStoreAtItsLimitFillsAndDrainsForEver) {
  options_.first_map_bytes = 1 << 20;
  options_.map_limit_bytes = 2 << 20;
  open();
  std::mt19937_64 random(1);
  std::uint64_t index = 1;
  for (int round = 0; round < 100; ++round) {
    while (store_->commit({.outbox = {{index, std::string(random() % 20'000, 'x')}}})) ++index;
    const auto kept = load().outbox;
    ASSERT_GT(kept.size(), 20u);
    commit({.drop_outbox_through = index - 5, .meta = {{"acked", std::to_string(index - 5)}}});
  }
  EXPECT_LT(std::filesystem::file_size(data()), 4u << 20);
}

TEST_F(LmdbSessionStoreTest, TwoSidecarsCannotShareADirectory) {
  open();
  auto second = LmdbSessionStore::open(directory_.path());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message,
              AllOf(HasSubstr("in use by process " + std::to_string(::getpid())),
                    HasSubstr("another directory")));
  close();
  open();
}

TEST_F(LmdbSessionStoreTest, ANewerFormatIsRefusedWithTheVersionThatReadsIt) {
  open();
  put_raw("format", "number", "2");
  put_raw("format", "oldest program", "7.8.9");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("format 2"), HasSubstr("use rollcall 7.8.9 or newer")));
  EXPECT_THAT(read_store(directory_.path()).error().message, HasSubstr("7.8.9"));
}

TEST_F(LmdbSessionStoreTest, AnEntryWithoutItsChecksumIsDamage) {
  open();
  put_raw("agents", std::string(4, '\1'), "not a checksum and contents");
  open();
  auto contents = store_->load();
  ASSERT_FALSE(contents);
  EXPECT_THAT(contents.error().message, AllOf(HasSubstr("\"agents\""), HasSubstr("backup")));
}

TEST_F(LmdbSessionStoreTest, EveryTruncationOfTheFileIsRefusedWithAMessage) {
  open();
  for (std::uint32_t agent = 0; agent < 300; ++agent) {
    commit({.agents = {{agent, std::string(agent * 10, 'a')}}});
  }
  close();
  const auto whole = read_file(data());
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); size += 4096) {
    write_file(data(), whole.substr(0, size));
    auto opened = LmdbSessionStore::open(directory_.path());
    // Without pages that are free the store is still whole.
    if (opened) {
      EXPECT_EQ((*opened)->load()->agents.size(), 300u) << size;
      continue;
    }
    ++refused;
    EXPECT_THAT(opened.error().message, HasSubstr("is damaged")) << size;
    EXPECT_FALSE(read_store(directory_.path())) << size;
  }
  EXPECT_GT(refused, 10);
}

TEST_F(LmdbSessionStoreTest, OverwrittenPagesAreRefusedOrHarmless) {
  open();
  for (std::uint32_t agent = 0; agent < 200; ++agent) {
    commit({.agents = {{agent, std::string(agent * 10, 'a')}}});
  }
  const auto expected = load();
  close();
  const auto whole = read_file(data());
  std::mt19937_64 random(1);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    auto bytes = whole;
    const auto at = random() % bytes.size();
    const auto length = std::min<std::size_t>(bytes.size() - at, 1 + random() % 600);
    for (std::size_t n = 0; n < length; ++n) {
      bytes[at + n] = i % 2 == 0 ? '\0' : static_cast<char>(random());
    }
    write_file(data(), bytes);
    auto opened = LmdbSessionStore::open(directory_.path());
    if (opened) {
      auto contents = (*opened)->load();
      // The newest header may be gone; LMDB then goes on with the one before.
      if (contents && at >= 2 * 4096) {
        EXPECT_EQ(*contents, expected) << at;
      }
      refused += contents ? 0 : 1;
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

// Places in LMDB's two headers, which begin their pages.
constexpr std::size_t kSecondHeader = 4096;
constexpr std::size_t kPageBytesAt = 16 + 24, kFreeFlagsAt = 16 + 24 + 4,
                      kMainFlagsAt = 16 + 72 + 4, kNumberAt = 16 + 128;

// LMDB reads the header of the newest number's parity, whichever header that number stands in.
TEST_F(LmdbSessionStoreTest, AHeaderWithTheNumberOfTheOtherIsRefused) {
  for (const std::size_t header : {std::size_t{0}, kSecondHeader}) {
    EXPECT_THAT(refusal_with([&](std::string& bytes) { ++bytes[header + kNumberAt]; }),
                HasSubstr("the transaction number of the other"))
        << header;
  }
}

// LMDB takes the newer one's.
TEST_F(LmdbSessionStoreTest, HeadersThatDisagreeAboutTheSizeOfAPageAreRefused) {
  EXPECT_THAT(refusal_with([](std::string& bytes) {
                bytes[kSecondHeader + kPageBytesAt + 1] = 0x02;  // 512 instead of 4096
              }),
              HasSubstr("disagree about the size of a page"));
}

TEST_F(LmdbSessionStoreTest, ATableOfAnotherKindIsRefused) {
  for (const std::size_t at : {kFreeFlagsAt, kMainFlagsAt}) {
    EXPECT_THAT(refusal_with([&](std::string& bytes) {
                  for (const std::size_t header : {std::size_t{0}, kSecondHeader})
                    bytes[header + at] |= 0x04;  // MDB_DUPSORT
                }),
                HasSubstr("a table is of another kind"))
        << at;
  }
}

TEST_F(LmdbSessionStoreTest, AMissingOrEmptyDataFileIsNotANewStore) {
  open();
  commit({.agents = {{1, "a"}}});
  close();
  write_file(data(), "");
  EXPECT_THAT(refusal(), HasSubstr("is damaged"));
  std::filesystem::remove(data());
  EXPECT_THAT(refusal(), AllOf(HasSubstr("missing"), HasSubstr("move it away")));
}

TEST_F(LmdbSessionStoreTest, AnInterruptedCreationIsDoneAgain) {
  for (const auto& leftover : {std::string(), std::string(100, 'x'), std::string(16384, '\0')}) {
    write_file(data(), leftover);
    open();
    commit({.agents = {{1, "a"}}});
    EXPECT_EQ(load().agents.at(1), "a");
    close();
    for (const char* name : {"data.mdb", "created", "lock.mdb"}) {
      std::filesystem::remove(directory_ / name);
    }
  }
}

TEST_F(LmdbSessionStoreTest, ARestoredCopyOfTheDataFileAloneIsTakenUp) {
  open();
  commit({.agents = {{1, "a"}}});
  close();
  for (const char* name : {"created", "lock.mdb", "owner.lock"}) {
    std::filesystem::remove(directory_ / name);
  }
  open();
  EXPECT_EQ(load().agents.at(1), "a");
}

TEST_F(LmdbSessionStoreTest, AnotherProcessReadsWhileThisOneCommits) {
  const auto child = ::fork();
  if (child == 0) {
    auto store = LmdbSessionStore::open(directory_.path(), {.first_map_bytes = 1 << 20});
    for (std::uint64_t i = 1; store; ++i) {
      // Both change together or not at all, and the file grows meanwhile.
      const auto number = std::to_string(i);
      if (!(*store)->commit({.agents = {{1, number}},
                             .outbox = {{i % 300, std::string(10'000, 'x')}},
                             .meta = {{"last", number}}})) {
        break;
      }
    }
    ::_exit(1);
  }
  int looks = 0;
  std::uint64_t last = 0;
  while (looks < 200) {
    auto contents = read_store(directory_.path());
    if (!contents || contents->agents.empty()) {
      // Before the first commit there may be no store yet.
      ASSERT_EQ(looks, 0) << (contents ? "emptied" : contents.error().message);
      continue;
    }
    ++looks;
    EXPECT_EQ(contents->agents.at(1), contents->meta.at("last"));
    const auto now = std::stoull(contents->meta.at("last"));
    EXPECT_GE(now, last);
    last = now;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(LmdbSessionStoreTest, ReadingIsRefusedInsideTheProcessThatHasItOpen) {
  open();
  commit({.agents = {{1, "a"}}});
  EXPECT_THAT(read_store(directory_.path()).error().message, HasSubstr("use load()"));
  EXPECT_TRUE(elsewhere([&] { return read_store(directory_.path()).has_value(); }));
  close();
  EXPECT_EQ(read_store(directory_.path())->agents.at(1), "a");
}

TEST_F(LmdbSessionStoreTest, ReadingADirectoryWithoutAStoreSaysSoAndLeavesNothingThere) {
  EXPECT_THAT(read_store(directory_.path()).error().message, HasSubstr("no session store"));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

// A sidecar that commits as fast as it can and says what is committed is killed at random
// moments: everything it had said is there.
TEST(LmdbSessionStoreKilled, NothingThatWasCommittedIsMissing) {
  const TemporaryDirectory directory(Where::kDisk);
  std::mt19937_64 random(1);
  std::uint64_t said = 0;
  constexpr int kKills = 60;
  for (int kill = 0; kill < kKills; ++kill) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const auto child = ::fork();
    if (child == 0) {
      ::close(pipe[0]);
      auto store = LmdbSessionStore::open(directory.path());
      for (auto next = said + 1; store; ++next) {
        const StoreBatch batch{
            .drop_outbox_through = next > 50 ? next - 50 : 0,
            .agents = {{static_cast<std::uint32_t>(next % 100), std::to_string(next)}},
            .outbox = {{next, std::string(next * 37 % 6000, 'x')}},
            .meta = {{"last", std::to_string(next)}}};
        if (!(*store)->commit(batch)) break;
        if (::write(pipe[1], &next, sizeof next) != sizeof next) break;
      }
      ::_exit(1);
    }
    ::close(pipe[1]);
    // Killed after a number of commits and a little: somewhere within a commit.
    const auto commits = random() % 20;
    for (std::uint64_t i = 0; i <= commits; ++i) {
      ASSERT_EQ(::read(pipe[0], &said, sizeof said), static_cast<ssize_t>(sizeof said));
    }
    random.discard(random() % 1'000'000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe[0], &said, sizeof said) == static_cast<ssize_t>(sizeof said)) {
    }
    ::close(pipe[0]);

    auto store = LmdbSessionStore::open(directory.path());
    ASSERT_TRUE(store) << store.error().message;
    auto contents = (*store)->load();
    ASSERT_TRUE(contents) << contents.error().message;
    const auto last = std::stoull(contents->meta.at("last"));
    ASSERT_GE(last, said);
    ASSERT_LE(last, said + 1);
    ASSERT_EQ(contents->outbox.rbegin()->first, last);
    ASSERT_EQ(contents->outbox.size(), std::min<std::uint64_t>(last, 50));
    ASSERT_EQ(contents->agents.at(static_cast<std::uint32_t>(last % 100)), std::to_string(last));
    said = last;
  }
}

}  // namespace
}  // namespace rollcall::persist
