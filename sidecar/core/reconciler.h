#pragma once
// The sidecar's half of reconciliation (docs/protocol.md, section 14): the sessions that its stream
// left open, and how they are shown to the master: digests, answers to WANT, inventories. Loop
// thread only. No I/O; the time comes with each input.
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "protocol/codec.h"
#include "protocol/messages.h"
#include "protocol/now.h"
#include "protocol/open_sessions.h"
#include "sidecar/core/tracker.h"

namespace rollcall::sidecar {

class Reconciler {
 public:
  using Session = OpenSessions::Session;  // unstamped: none

  // The stream at this moment.
  struct Stream {
    std::uint64_t last_seq = 0;  // the last one sent on this connection
    // The set is that of `last_seq`: nothing that was sent before has yet to be sent again.
    bool settled = false;
  };

  Reconciler(const Tracker& tracker, const Timeline& timeline, std::mt19937_64& random)
      : tracker_(tracker), timeline_(timeline), random_(random) {}

  // ---- the set ----------------------------------------------------------------------------------

  // Made of the tracker's open sessions; those that the master never took may be left out, since
  // they are told anew.
  enum class Untaken { leave_out, put_in };
  void rebuild(Untaken untaken);
  // An event got its seq. Returns what there was of its agent before.
  Session take(const LocalEvent& event);
  // The master did not take an event.
  void put_back(AgentId agent, Session before);
  const OpenSessions& open() const { return open_; }
  // An inventory told what was open at this seq.
  std::uint64_t told_through() const { return told_through_; }
  // An inventory found a session that the tracker does not have: the set is to be made anew.
  bool suspect() const { return suspect_; }

  // ---- the connection ---------------------------------------------------------------------------

  void welcomed(const Welcome& m, const Now& now);
  void lost(const Now& now);
  // Everything is told anew: a full inventory follows as soon as the stream is settled, whatever
  // one before it had to wait for.
  void want_full() {
    full_wanted_ = true;
    not_before_us_ = INT64_MIN;
  }
  void want(const Want& m, const Now& now);
  // An error if it acknowledges what was never sent.
  std::optional<std::string> acked(const InventoryAck& m, const Now& now);
  void agreed(Agreement agreement, const Now& now);
  // What is due now, behind the events.
  void pump(const Stream& stream, const Now& now, std::vector<Message>& send);

  struct Status {
    Agreement agreement = Agreement::unknown;      // as the master last said
    std::optional<std::int64_t> equal_ago_us;      // since it last said `equal`
    std::uint64_t full_inventories = 0;            // sent whole, since the start
    std::uint64_t partial_inventories = 0;         // of leaves
    std::uint64_t digests_sent = 0;                // answers to WANT
    std::optional<std::int64_t> inventory_ago_us;  // since the last full one
    std::uint64_t inventory_entries = 0;           // of it
    bool inventory_under_way = false;
  };
  Status status(const Now& now) const;

 private:
  // One that is being sent: a copy of the set at its cut.
  struct Inventory {
    std::uint64_t id = 0;
    OpenSessions cut;
    std::vector<TreeNode> leaves;    // empty: full
    std::vector<AgentRange> ranges;  // what is still to be sent
    std::size_t range = 0;
    bool admitted = false;
    std::uint64_t sent = 0, acked = 0;  // entries
    Digest sum;
    std::int64_t heard_mono_us = 0;  // when the master last acknowledged something
    bool full() const { return leaves.empty(); }
  };

  void begin(std::vector<TreeNode> leaves, const Stream& stream, const Now& now,
             std::vector<Message>& send);
  void send_chunks(const Now& now, std::vector<Message>& send);
  InventoryChunk next_chunk(const Now& now);
  Evidence evidence_of(AgentId agent, const Session& session, const Now& now);
  void send_end(const Now& now, std::vector<Message>& send);
  void answer_digests(const Stream& stream, std::vector<Message>& send);
  void give_up(std::int64_t again_us);
  bool full_due(const Now& now) const;
  std::int64_t interval_us() const;
  double share();  // at random from 0 to 1

  const Tracker& tracker_;
  const Timeline& timeline_;
  std::mt19937_64& random_;
  OpenSessions open_;
  bool suspect_ = false;
  std::uint64_t told_through_ = 0;

  // What the master asked for last; of each kind one.
  std::vector<TreeNode> digests_wanted_, leaves_wanted_;
  bool full_wanted_ = false;
  std::optional<Inventory> inventory_;

  // Full inventories: one each interval, of which a random share was left when it began.
  std::optional<std::int64_t> interval_began_us_;
  double interval_share_ = 1;
  std::int64_t not_before_us_ = INT64_MIN;
  std::int64_t inventory_us_ = 0, inventory_differs_us_ = 0;
  std::int64_t ttl_us_ = 0;

  Status counters_;
  std::optional<std::int64_t> equal_mono_us_, full_mono_us_;
};

}  // namespace rollcall::sidecar
