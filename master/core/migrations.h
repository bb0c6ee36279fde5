#pragma once
// The moves of agents between workers, each as one thing: who had the agent, who has it, when it
// was offered, taken and released (docs/protocol.md, section 15). Part of the fold of the log:
// every change is made by what a record says. Pure; loop thread.
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "protocol/agent_record.h"
#include "protocol/duration_counts.h"
#include "protocol/msgpack_bytes.h"
#include "protocol/wire.h"

namespace rollcall::master {

class Migrations {
 public:
  // How one ended. Numbers go into snapshots; never reused.
  enum class End : std::uint8_t {
    none = 0,        // under way
    released = 1,    // taken, and the old worker knows
    left = 2,        // the old worker's session ended by itself, before or after it was taken
    lease_gone = 3,  // taken, and the old worker's lease expired
    returned = 4,    // the agent was heard again where it was
    withdrawn = 5,   // the offer was taken back
    expired = 6,     // nobody took it within the grace
    overtaken = 7,   // the agent moved on before this one was over
  };

  // A moment of 0: that did not happen yet.
  struct Migration {
    AgentId agent{};
    SessionName from;
    SessionName to;
    MasterTime offered, taken, released;
    MasterTime left_hi;  // the last moment at which the old worker can have heard it
    MasterTime came_lo;  // the first at which the new one can have
    End end = End::none;
    MasterTime ended;
    bool is_taken() const { return taken.us != 0; }
    // How long the agent was nowhere, once it was taken; nothing if the old worker's part is not
    // known.
    std::optional<std::int64_t> gap_us() const;
    bool operator==(const Migration&) const = default;
  };

  // The session that was on top, if it was another worker's; or, if nothing is known of the agent,
  // the one that the new worker says it had before.
  struct Before {
    SessionName session;
    Phase phase = Phase::closed;
    MasterTime hi;
    bool lease_gone = false;  // its worker's
  };

  // At most so many; from then on, for what was before is not known. 0: none.
  void keep(std::size_t capacity);
  std::size_t capacity() const { return capacity_; }

  // `offered`: an offer of the agent stands now.
  void decided(const NodeName& node, const Event& event, Rule rule,
               const std::optional<Before>& before, bool offered, MasterTime at);
  void lease_gone(const NodeName& node, MasterTime at);

  // How those ended that did, and the gaps that are known, since count_anew(). For people only: no
  // part of what is packed or compared.
  struct Tally {
    std::array<std::uint64_t, 8> ends{};  // by End
    DurationCounts gaps;
    bool operator==(const Tally&) const { return true; }
  };
  const Tally& tally() const { return tally_; }
  void count_anew() { tally_ = {}; }

  const std::map<std::uint64_t, Migration>& all() const { return all_; }  // by number, from 1
  std::size_t under_way() const { return under_way_.size(); }

  void pack(wire::Packer& p) const;
  bool read(msgpack_bytes::Reader& in);
  bool operator==(const Migrations&) const = default;

 private:
  Migration* under_way_of(AgentId agent);
  Migration& begin(AgentId agent, SessionName from);
  void end(Migration& m, End how, MasterTime at);
  void take(Migration* m, const NodeName& node, const Event& event, const Before& before,
            MasterTime at);
  void leave(Migration& m, const Event& event, MasterTime at);
  void go_on(Migration& m, const Event& event, bool offered, MasterTime at);

  std::size_t capacity_ = 0;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Migration> all_;
  std::unordered_map<AgentId, std::uint64_t> under_way_;
  Tally tally_;
};
std::string_view to_string(Migrations::End end);

}  // namespace rollcall::master
