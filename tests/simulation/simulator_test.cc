#include "tests/simulation/simulator.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace rollcall::simulation {
namespace {

constexpr std::uint64_t kSeeds = 300;

// Seeds 1 to kSeeds, played once for all tests of a process.
const std::vector<Result>& results() {
  static const std::vector<Result> all = [] {
    std::vector<Result> r;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) r.push_back(run(seed, {}));
    return r;
  }();
  return all;
}

// The same, where every agent has a twin with its key.
const std::vector<Result>& cloned() {
  static const std::vector<Result> all = [] {
    std::vector<Result> r;
    Options options;
    options.cloned = 1;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) r.push_back(run(seed, options));
    return r;
  }();
  return all;
}

std::string what_failed(const Result& r) {
  std::ostringstream out;
  for (const AgentResult& a : r.agents) {
    if (a.undecidable == Undecidable::no && !a.right())
      out << "agent " << a.agent << ": truth '" << a.truth << "', master '" << a.master << "'\n";
  }
  for (const std::string& b : r.broken) out << b << "\n";
  out << "play it with tests/simulate --seeds " << r.seed << "-" << r.seed;
  return out.str();
}

Options told() {
  Options options;
  options.transcript = true;
  return options;
}

TEST(Simulator, TheSameSeedReplaysExactly) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Result first = run(seed, told()), again = run(seed, told());
    ASSERT_FALSE(first.transcript.empty());
    ASSERT_EQ(first.transcript, again.transcript) << "seed " << seed;
    ASSERT_EQ(first.events, again.events);
  }
}

TEST(Simulator, KeepingTheTranscriptChangesNothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Result quiet = run(seed, {}), loud = run(seed, told());
    ASSERT_TRUE(quiet.transcript.empty());
    ASSERT_EQ(quiet.events, loud.events) << "seed " << seed;
    ASSERT_EQ(quiet.failed(), loud.failed());
  }
}

TEST(Simulator, AnotherSeedIsAnotherStory) {
  std::set<std::string> stories;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) stories.insert(run(seed, told()).transcript);
  EXPECT_EQ(stories.size(), 50u);
}

TEST(Simulator, WorkersAndAgentsCanBeAskedFor) {
  Options options = told();
  options.workers = 5;
  options.agents = 7;
  const Result r = run(1, options);
  EXPECT_EQ(r.agents.size(), 7u);
  EXPECT_NE(r.transcript.find(" w5 "), std::string::npos);
}

TEST(Simulator, ALongerRunHasMoreChaos) {
  Options options = told();
  const Result usual = run(1, options);
  options.chaos_us = 600'000'000;
  EXPECT_GT(run(1, options).events, 2 * usual.events);
}

TEST(Simulator, EverySeedThatOnceFailedPasses) {
  std::ifstream file(ROLLCALL_SOURCE_DIR "/tests/simulation/kept_seeds.txt");
  ASSERT_TRUE(file);
  int played = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream in(line);
    std::uint64_t seed = 0;
    std::string why;
    ASSERT_TRUE(in >> seed && std::getline(in, why) && !why.empty()) << line;
    const Result r = run(seed, {});
    EXPECT_FALSE(r.failed()) << "seed " << line << "\n" << what_failed(r);
    ++played;
  }
  EXPECT_GE(played, 10);
}

TEST(Simulator, TheRulesFailOnNoSeed) {
  for (const Result& r : results()) EXPECT_FALSE(r.failed()) << what_failed(r);
}

// Otherwise the schedules are too tame to prove anything.
TEST(Simulator, LastWriterWinsFailsOnThirtyOfAHundredSeeds) {
  std::uint64_t failed = 0;
  for (const Result& r : results()) failed += r.last_writer_failed() ? 1u : 0u;
  EXPECT_GE(failed * 10, kSeeds * 3);
}

// Otherwise nothing shows that lost state is found.
TEST(Simulator, SomeSeedsLoseStateThatInventoriesRepair) {
  std::uint64_t repaired = 0;
  for (const Result& r : results()) repaired += r.repairs > 0 ? 1u : 0u;
  EXPECT_GE(repaired, 3u);
}

// However a move can end, it does: what the promises about offers are kept through.
TEST(Simulator, MovesEndInEachWay) {
  std::map<std::string, std::uint64_t> ends;
  for (const Result& r : results()) {
    for (const auto& [end, number] : r.migrations) ends[end] += number;
  }
  for (const char* end : {"released", "left", "lease_gone", "returned", "withdrawn", "expired",
                          "overtaken", "offered", "crossed"})
    EXPECT_GE(ends[end], 3u) << end;
}

// ---- what no table row can tell --------------------------------------------------------------

TEST(Undecidable, IsRare) {
  std::uint64_t agents = 0, undecidable = 0;
  for (const Result& r : results()) {
    agents += r.agents.size();
    for (const AgentResult& a : r.agents) undecidable += a.undecidable != Undecidable::no ? 1u : 0u;
  }
  EXPECT_LE(undecidable * 10, agents);
}

TEST(Undecidable, IsJudgedFromTheScheduleNotFromTheResult) {
  // If being wrong made an agent undecidable, none of those would ever be right.
  std::uint64_t right = 0;
  for (const Result& r : cloned()) {
    for (const AgentResult& a : r.agents)
      right += a.undecidable != Undecidable::no && a.right() ? 1u : 0u;
  }
  EXPECT_GT(right, 0u);
}

// ---- two agents with one key -----------------------------------------------------------------

TEST(Cloned, OfTwoTheOneIsRightThatStillSpeaksAndNothingElseBreaks) {
  std::uint64_t decidable = 0;
  for (const Result& r : cloned()) {
    EXPECT_FALSE(r.failed()) << what_failed(r) << " --cloned 100";
    for (const AgentResult& a : r.agents)
      decidable += a.undecidable == Undecidable::no && !a.truth.empty() ? 1u : 0u;
  }
  EXPECT_GE(decidable, 20u);
}

TEST(Undecidable, AnAgentThatIsSomewhereAtTheEndIsDecidableUnlessCloned) {
  for (const Result& r : results()) {
    for (const AgentResult& a : r.agents) {
      if (a.truth.empty()) continue;
      EXPECT_TRUE(a.undecidable == Undecidable::no || a.undecidable == Undecidable::cloned)
          << "seed " << r.seed << ", agent " << a.agent;
    }
  }
}

TEST(Undecidable, AWrongAnswerChangesNoClass) {
  Result r;
  r.agents = {{1, "w1", "w1", "w1", Undecidable::no}, {2, "", "w2", "", Undecidable::cloned}};
  EXPECT_TRUE(r.undecidable());
  EXPECT_FALSE(r.failed()) << "an undecidable agent is no failure";
  r.agents[0].master = "w2";
  EXPECT_TRUE(r.undecidable());
  EXPECT_TRUE(r.failed()) << "an undecidable agent excuses no other one";
  r.agents[1].master = "";
  EXPECT_TRUE(r.undecidable()) << "and stays undecidable when the guess is right";
}

TEST(Undecidable, ABrokenPromiseFailsWhateverTheAgentsAre) {
  Result r;
  r.agents = {{1, "", "w2", "", Undecidable::cloned}};
  r.broken = {"the log's fold is not the table"};
  EXPECT_TRUE(r.failed());
}

}  // namespace
}  // namespace rollcall::simulation
