// The master's side of Wazuh's own table: reads it in rounds, compares it with what was decided,
// and says what to write. docs/wazuh.md has the rules. Pure: replies and the time come in, the next
// order comes back; one order is under way at a time. Loop thread only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "master/sink/correction.h"
#include "master/sink/table_read.h"
#include "protocol/error.h"
#include "protocol/note.h"
#include "protocol/now.h"
#include "wazuh/fields_read.h"
#include "wazuh/wazuh_version.h"

namespace rollcall::master {

enum class SinkMode : std::uint8_t { off, observe, correct };
std::string_view to_string(SinkMode mode);

// How corrections are written: as the version of Wazuh has it, unless said.
enum class SinkWrite : std::uint8_t { by_version, http, stream };

class SinkCore {
 public:
  struct Config {
    SinkMode mode = SinkMode::observe;
    SinkWrite write = SinkWrite::by_version;
    std::int64_t every_us = 5'000'000;   // from one round to the next
    std::int64_t settle_us = 3'000'000;  // for so long a row must have differed
    std::map<NodeName, std::string> node_names = {};
    std::string own_node = {};  // whose table it is, in Wazuh's words; empty: as the table says
    std::size_t page_rows = 1000;
    std::size_t max_corrections = 500;  // in one round; the others wait for the next
    std::size_t keep_reports = 1000;
  };

  struct Nothing {};
  struct Ask {
    std::string text;  // to the stream socket; then replied()
  };
  struct Post {
    std::string body;  // POST /v1/agents/sync; then posted()
  };
  using Order = std::variant<Nothing, Ask, Post>;

  explicit SinkCore(Config config);

  void connected(const Now& now);
  // The connection was lost, or was not to be had. What was under way is over.
  void lost(const std::string& reason, const Now& now);
  // A few times a second.
  Order tick(const DecidedView& view, const Now& now);
  Order replied(const std::string& reply, const DecidedView& view, const Now& now);
  Order posted(const std::expected<void, Error>& outcome, const DecidedView& view, const Now& now);

  std::vector<Note> take_notes() { return std::exchange(notes_, {}); }

  // One correction, made or (as an observer) only found.
  struct Report {
    std::uint64_t number = 0;  // from 1 on
    std::uint64_t round = 0;   // in which it was found, as the finished ones are counted
    MasterTime at;
    bool written = false;
    std::string error;  // why it was refused
    Version decided;
    AgentId agent{};
    Correction::Kind kind{};
    std::vector<Correction::Change> changes;
  };
  struct Status {
    SinkMode mode{};
    std::string error;  // why it waits; empty: it does not
    std::string wazuh;  // the version; empty: not known
    SinkWrite write{};  // never by_version; means nothing while the version is not known
    std::string own_node;
    std::uint64_t rounds = 0, failures = 0;
    std::uint64_t written = 0, observed = 0, refused = 0;  // corrections
    // Of the last round that was finished.
    std::size_t rows = 0, differing = 0;
    std::map<Withheld, std::size_t> withheld;
    std::int64_t round_us = 0;
  };
  Status status() const;
  const std::deque<Report>& reports() const { return reports_; }

  void set_times(std::int64_t every_us, std::int64_t settle_us) {
    config_.every_us = every_us;
    config_.settle_us = settle_us;
  }

 private:
  static constexpr std::int64_t kLongestWaitUs = 60'000'000;
  static constexpr std::int64_t kForgetUs = 600'000'000;
  static constexpr std::size_t kMostSuspects = 8;

  // A row that differs, since the look that first showed it so.
  struct Difference {
    std::int64_t since_mono_us = 0;
    std::uint64_t round = 0;  // that showed it last
    Differs what;
    bool reported = false;                  // as an observer; once is enough
    std::optional<Withheld> withheld = {};  // why it was not written when its row was read
  };
  // Corrections of one agent that did not last come slower and slower.
  struct Repeated {
    unsigned times = 0;
    std::int64_t last_mono_us = 0;
  };
  enum class Phase : std::uint8_t { away, idle, version, table, rows, writing };

  std::int64_t next_round_us(const DecidedView& view) const;
  std::int64_t settled_at(AgentId agent, const Difference& difference) const;
  Order begin_round(const Now& now);
  Order take_version(const std::string& reply, const Now& now);
  Order take_table(const std::string& reply, const DecidedView& view, const Now& now);
  Order take_rows(const std::string& reply, const DecidedView& view, const Now& now);
  void compare(const ShownRow& row, const DecidedView& view, const Now& now);
  Order finish_look(const Now& now);
  Order read_next(const Now& now);
  void prepare(AgentId agent, const AgentInfo& row, const DecidedView& view, const Now& now);
  Order write_next(const Now& now);
  Order written(const std::expected<void, Error>& outcome, const DecidedView& view, const Now& now);
  void blame(const Correction& c, std::string error, const DecidedView& view, const Now& now);
  void blame_suspects(const DecidedView& view, const Now& now);
  Order refused(const DecidedView& view, const Now& now);
  Order observe(const DecidedView& view, const Now& now);
  void report(const Correction& c, std::string error, const DecidedView& view);
  void settle_anew(AgentId agent, const Now& now);
  void note_repeated(AgentId agent, const Now& now);
  void withhold(AgentId agent, Withheld why, const Now& now);
  void conclude_look();
  Order finish_round(const Now& now);
  Order fail(const std::string& reason, const Now& now);
  void wait_longer(const std::string& reason, const Now& now);
  bool by_http() const;
  std::string_view own_node() const;

  Config config_;
  const NodeNames names_;
  Phase phase_ = Phase::away;
  std::int64_t regular_at_us_ = 0;  // the next round without a reason
  std::int64_t settled_at_us_ = 0;  // the next round because a difference will have lasted
  std::int64_t not_before_us_ = 0;  // however many reasons there are
  std::int64_t began_us_ = 0;
  std::uint64_t events_seen_ = 0;  // when the round began
  std::uint64_t round_ = 0;

  std::optional<wazuh::WazuhVersion> version_;
  TableRead table_;
  std::unordered_map<AgentId, Difference> differences_;
  std::unordered_map<AgentId, Repeated> repeated_;
  std::deque<AgentId> due_;
  wazuh::FieldsRead fields_;
  std::vector<Correction> ready_;    // read, and not written yet
  std::vector<Correction> writing_;  // these are under way
  Status looking_;                   // of the round under way

  unsigned failures_in_a_row_ = 0;
  bool refusing_ = false;  // what fails is writing
  // Of this round: something was written; a batch was refused, so rows go alone; those that were
  // refused alone before anything was written, with why.
  bool wrote_ = false, one_at_a_time_ = false;
  std::vector<std::pair<Correction, std::string>> suspects_;
  std::set<AgentId> at_fault_;  // refused while others were taken
  std::size_t turn_ = 0;        // with which of those that are due a round begins
  std::int64_t failing_since_us_ = 0;
  Status status_;
  std::deque<Report> reports_;
  std::uint64_t report_number_ = 0;
  std::vector<Note> notes_;
};

}  // namespace rollcall::master
