#pragma once
// The rows of the master's own node in the master's table, as far as its own remoted wrote them.
// Pure.
//
// There others write too, and a row does not say who did: Wazuh's sync brings what a worker said of
// an agent, however late, as a status or a keepalive that leaves the node's name, or as a whole row
// under the worker's name. But remoted counts what agents say to it, and nothing else
// (RemotedCounters). So what such a write could have made is believed only if the counters say so
// too:
//
// - *disconnected*: when a goodbye was counted, at remoted's own start (code 5), or after looks
//   that covered two and a half keepalive intervals in which the agent did not speak up;
// - *active* or *pending* after that, or while another worker has claimed the agent: when a start
//   or a keepalive was counted since. If remoted has not answered for as long, when the keepalive
//   moves on once more: what comes late comes once;
// - a row under another node's name: never. It stays as it was, and for a while goes on as the
//   counters say: remoted gives an agent that is here its row back with nearly any keepalive.
//
// Until then the row is given as it was before (docs/wazuh.md, "On the master node").
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "sidecar/core/observation.h"
#include "sidecar/source/remoted_counters.h"

namespace rollcall::sidecar {

class OwnRows {
 public:
  // What one look found in the table, and when.
  struct Found {
    std::vector<Row> rows = {};           // under this node's name
    std::vector<AgentId> watched = {};    // they were looked for under any name, see to_watch()
    std::vector<AgentId> elsewhere = {};  // and these were found under another
    bool complete = true;
    std::int64_t table_s = 0;  // wazuh-db's wall clock
    std::int64_t mono_us = 0;
  };
  // Of the agents in question(); nothing if remoted did not answer.
  using Answer = std::optional<CountsOf>;

  // What was believed when this process ended before.
  void remember(std::span<const Row> rows);

  // Another worker has it by now: what comes in its row is no news of it until remoted says so.
  void given_up(AgentId agent);

  // Whose counters have to be asked for before judge(), by id: at most kMaxAsked, and without
  // doubts at most kMaxAsides.
  static constexpr std::size_t kMaxAsked = 2'000, kMaxAsides = 100;
  std::vector<AgentId> question(const Found& found);
  // The rows to be believed: those that were found, in their order, then others that changed (after
  // a complete look all others that are still there).
  std::vector<Row> judge(Found found, const std::vector<AgentId>& asked, const Answer& answer,
                         std::int64_t keepalive_us);

  // Agents to look for under any name, at most kMaxWatched, by id: there was no row of theirs under
  // this node's.
  static constexpr std::size_t kMaxWatched = 500;
  std::vector<AgentId> to_watch();  // others each time, if there are more
  // Those of the last judge() whose rows are believed later than they came, by id.
  const std::vector<AgentId>& late() const { return late_; }

  struct Counters {
    std::uint64_t refused = 0;  // changes that turned out to be somebody else's
    std::size_t held = 0;       // changes that nobody vouches for yet
    std::size_t hidden = 0;
  };
  Counters counters() const { return {refused_, doubted_.size(), hidden_.size()}; }

 private:
  struct Known {
    explicit Known(const Row& row) : believed(row), raw(row), settled(row) {}
    Row believed;
    Row raw;                       // what the table said last
    Row settled;                   // what it said when that was believed
    std::optional<Counts> counts;  // at the last answer
    std::int64_t counted_s = 0;    // wazuh-db's clock then
    std::uint64_t counted_at_look = 0;
    bool answered = false;       // since `raw` changed
    std::int64_t silent_us = 0;  // so much silence of a doubted one looks covered
    std::int64_t first_s = 0;    // the keepalive that it had when the doubt began
    std::uint64_t changed_at_look = 0;
    std::uint64_t hidden_until_look = 0;  // so long its counters are followed
  };

  static bool in_doubt(const Known& k);
  bool see(Known& k, const Row& row);
  void decide(AgentId agent, Known& k, const std::optional<Counts>& counted, bool answers,
              std::int64_t keepalive_us);
  void believe(AgentId agent, Known& k);
  void believe_without_word(AgentId agent, Known& k);
  void count_anew(AgentId agent, Known& k);
  void follow_hidden(Known& k, const Counts& now, std::int64_t table_s);
  void find_hidden(const Found& found, std::vector<Row>& rows);

  std::map<AgentId, Known> known_;
  std::set<AgentId> doubted_, hidden_, uncounted_;
  // remoted writes a whole row with nearly each keepalive: an agent that is here is hidden no
  // longer.
  static constexpr std::uint64_t kFollowedLooks = 120;
  AgentId watched_through_{};
  std::vector<AgentId> late_;
  std::optional<std::int64_t> last_mono_us_, answered_mono_us_;
  std::int64_t passed_us_ = 0;
  std::uint64_t look_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace rollcall::sidecar
