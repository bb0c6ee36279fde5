#include "persist/memory_session_store.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rollcall::persist {
namespace {

using Outbox = std::map<std::uint64_t, std::string>;

StoreBatch one_agent(std::uint32_t agent, const std::string& bytes) {
  return {.agents = {{agent, bytes}}};
}

TEST(StoreBatch, RemovesBeforeItStores) {
  StoreContents contents{{{1, "old"}}, {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}}, {}};
  apply({.drop_outbox_through = 2,
         .removed_outbox = {4, 9},
         .removed_agents = {1, 9},
         .agents = {{1, "new"}},
         .outbox = {{2, "again"}, {5, "e"}},
         .meta = {{"term", "7"}}},
        contents);
  EXPECT_EQ(contents,
            (StoreContents{{{1, "new"}}, {{2, "again"}, {3, "c"}, {5, "e"}}, {{"term", "7"}}}));
}

TEST(StoreBatch, CanReplaceTheWholeOutbox) {
  StoreContents contents{{}, {{1, "a"}, {2, "b"}}, {}};
  apply({.clear_outbox = true, .outbox = {{1, "folded"}}}, contents);
  EXPECT_EQ(contents.outbox, (Outbox{{1, "folded"}}));
}

TEST(StoreBatch, IsEmptyOnlyWithoutAnyChange) {
  EXPECT_TRUE(StoreBatch{}.empty());
  EXPECT_FALSE(StoreBatch{.clear_outbox = true}.empty());
  EXPECT_FALSE(StoreBatch{.drop_outbox_through = 1}.empty());
  EXPECT_FALSE(StoreBatch{.removed_outbox = {1}}.empty());
  EXPECT_FALSE(StoreBatch{.removed_agents = {1}}.empty());
  EXPECT_FALSE((StoreBatch{.agents = {{1, ""}}}.empty()));
  EXPECT_FALSE((StoreBatch{.infos = {{1, ""}}}.empty()));
  EXPECT_FALSE((StoreBatch{.outbox = {{1, ""}}}.empty()));
  EXPECT_FALSE((StoreBatch{.meta = {{"a", ""}}}.empty()));
}

TEST(StoreBatch, RemovesAnAgentsInfoWithTheAgent) {
  StoreContents contents;
  apply({.agents = {{1, "a"}, {2, "b"}}, .infos = {{1, "i"}, {2, "j"}}}, contents);
  apply({.removed_agents = {1, 2}, .agents = {{2, "b2"}}, .infos = {{2, "j2"}}}, contents);
  EXPECT_EQ(contents.infos, (StoredInfos{{2, "j2"}}));
}

TEST(MemorySessionStore, ReadsInfosOnlyWhenTheyAreAskedFor) {
  MemorySessionStore store;
  ASSERT_TRUE(store.commit({.infos = {{1, "i"}, {2, "j"}}}));
  ASSERT_TRUE(store.commit_unsynced({.infos = {{1, "new"}}}));
  EXPECT_EQ(store.load(), StoreContents{});
  EXPECT_EQ(store.read_infos({1, 3}), (StoredInfos{{1, "new"}}));
  store.crash();
  EXPECT_EQ(store.read_infos({1, 3}), (StoredInfos{{1, "i"}}));
}

TEST(MemorySessionStore, KeepsWhatWasCommittedOverACrash) {
  MemorySessionStore store;
  ASSERT_TRUE(store.commit(one_agent(1, "a")));
  store.crash();
  EXPECT_EQ(store.load()->agents.at(1), "a");
}

TEST(MemorySessionStore, LosesWhatWasNotSynced) {
  MemorySessionStore store;
  ASSERT_TRUE(store.commit(one_agent(1, "a")));
  ASSERT_TRUE(store.commit_unsynced(one_agent(1, "b")));
  EXPECT_EQ(store.load()->agents.at(1), "b");
  store.crash();
  EXPECT_EQ(store.load()->agents.at(1), "a");
}

TEST(MemorySessionStore, ASyncKeepsAllThatCameBefore) {
  MemorySessionStore store;
  ASSERT_TRUE(store.commit_unsynced(one_agent(1, "a")));
  ASSERT_TRUE(store.commit(one_agent(2, "b")));
  store.crash();
  EXPECT_EQ(store.load()->agents.size(), 2u);
}

TEST(MemorySessionStore, FailsAsOftenAsAskedAndChangesNothingThen) {
  MemorySessionStore store;
  store.fail_next(2, "EIO");
  EXPECT_EQ(store.commit(one_agent(1, "a")).error().message, "EIO");
  EXPECT_FALSE(store.commit(one_agent(1, "a")));
  EXPECT_TRUE(store.load()->agents.empty());
  EXPECT_TRUE(store.commit(one_agent(1, "a")));
}

TEST(MemorySessionStore, IsFullUntilThereIsSpace) {
  MemorySessionStore store;
  store.set_full(true);
  EXPECT_FALSE(store.commit(one_agent(1, "a")));
  store.crash();
  EXPECT_FALSE(store.commit(one_agent(1, "a")));
  store.set_full(false);
  EXPECT_TRUE(store.commit(one_agent(1, "a")));
}

TEST(MemorySessionStore, GoesBackToAnOlderCopy) {
  MemorySessionStore store;
  ASSERT_TRUE(store.commit(one_agent(1, "older")));
  const auto older = store.copy();
  ASSERT_TRUE(store.commit(one_agent(1, "newer")));
  store.restore(older);
  EXPECT_EQ(store.load()->agents.at(1), "older");
}

TEST(MemorySessionStore, RefusesKeysThatNoDiskWouldTake) {
  MemorySessionStore store;
  EXPECT_FALSE((store.commit({.meta = {{"", "x"}}})));
  EXPECT_FALSE((store.commit({.meta = {{std::string(kMaxMetaKeyBytes + 1, 'k'), "x"}}})));
  EXPECT_TRUE((store.commit({.meta = {{std::string(kMaxMetaKeyBytes, 'k'), "x"}}})));
}

}  // namespace
}  // namespace rollcall::persist
