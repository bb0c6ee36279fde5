#pragma once
// A whole cluster on virtual time: the real cores and the drivers that the daemons use, with clock,
// disk, link and source exchanged. One seed gives one schedule; the same seed replays exactly.
//
// Agents move between workers with and without goodbye; each worker's table has whole seconds of a
// skewed, stepping wall clock. Links break, lose one way without a word, stall, and are slow one
// way; disks lose what was not synced, fill up, come back older, empty or from another machine;
// processes halt and crash, machines are suspended, cloned and renamed, sources go blind; the
// master loses its log or gets an older one. Which of these a seed has is drawn (faults.cc). After
// a quiet time the master's table must equal the truth, which comes from the schedule; what must
// hold at every moment is in checks.cc.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rollcall::simulation {

struct Options {
  int workers = 0;       // 0: 2 or 3, by the seed
  int agents = 0;        // 0: 1 to 4, by the seed
  double cloned = 0.01;  // how many agents share their key with another one
  std::int64_t chaos_us = 120'000'000;
  std::int64_t quiet_us = 120'000'000;
  bool transcript = false;  // keep what happened, for people
};

// Why no table row can tell an agent's truth: decided from the schedule, never from the result.
// What tables do not show of an agent that left (it said nothing, or its visit was over within a
// second) is mended in the quiet time: workers give up whom they do not hear.
enum class Undecidable {
  no,
  cloned,  // one key on two machines, and both still speak
};

struct AgentResult {
  std::uint32_t agent = 0;
  std::string truth;  // the worker it is on; empty: nowhere
  std::string master;
  std::string last_writer;
  Undecidable undecidable = Undecidable::no;
  bool right() const { return truth == master; }
};

struct Result {
  std::uint64_t seed = 0;
  std::vector<AgentResult> agents;
  std::vector<std::string> broken;   // promises that did not hold on the way
  std::uint64_t events = 0;          // that the master decided
  std::uint64_t busiest_minute = 0;  // messages of one worker, both ways
  std::uint64_t repairs = 0;         // of what inventories found
  // Moves of agents that the master knows of at the end, by how they ended; "offered" are those
  // that began with an offer. "crossed" are offers that came after another worker had the agent.
  std::map<std::string, std::uint64_t> migrations;
  std::string transcript;

  bool undecidable() const;         // some agent's truth cannot be told
  bool failed() const;              // an agent that can be told is wrong, or a promise broken
  bool last_writer_failed() const;  // of agents that can be told
};

Result run(std::uint64_t seed, const Options& options);

}  // namespace rollcall::simulation
