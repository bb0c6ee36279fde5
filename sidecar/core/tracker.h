#pragma once
// From what the source shows to sessions and events: the sidecar's decisions about its agents
// (docs/protocol.md, section 5). Loop thread only. No I/O; the time comes with each input.
//
// Every call may append to events() and dirty(); the caller stores both before anything is sent.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "protocol/messages.h"
#include "protocol/note.h"
#include "sidecar/core/agent_state.h"
#include "sidecar/core/observation.h"
#include "sidecar/core/timeline.h"

namespace rollcall::sidecar {

class Tracker {
 public:
  struct Config {
    // An agent's interval until more is seen; 0: as the source has it.
    std::int64_t keepalive_us = 0;
    // A silence, covered by looks, that ends a session; 0: as the source has it.
    std::int64_t agent_timeout_us = 0;
    std::int64_t missing_for_us = 30'000'000;  // how far apart two looks find a row gone
    // How often an open session's info is read again though nothing says that it changed.
    std::int64_t info_refresh_us = 600'000'000;
    std::size_t info_batch = 400;  // agents asked for at one look
    // Of sessions that are offered since Wazuh's manager stops or restarts.
    std::int64_t manager_grace_us = 300'000'000;
  };
  using Agents = std::unordered_map<AgentId, AgentState>;

  Tracker(Config config, NodeName own_node, Timeline& timeline)
      : config_(config), own_node_(std::move(own_node)), timeline_(timeline) {}

  // From the store, at start.
  void restore(AgentId agent, AgentState state);

  // One look at the source, or the news that it failed.
  void look(const Look& look);
  void look_failed(const Now& now);
  // So many events wait for the master's ACK besides those that were not taken yet. While they are
  // few, an agent that comes is told with its info's hash alone: mostly it came from elsewhere, and
  // the master knows the fields. Else a crowd's fields would each be asked for.
  void unacked(std::size_t events) { unacked_ = events; }
  // What an events source tells (tracker_events.cc).
  void observe(const Observation& observation, const Now& now);
  // An events source is there, and has told all that its agents did since the last call; or it is
  // not, and nobody can be said to have been silent.
  void watched(const Now& now);
  void unwatched();
  // The fields of an agent that wanted_info() asked for; `info` empty if the source has no such
  // row.
  void info_read(AgentId agent, const AgentInfo& info, const Now& now);

  // From the master.
  // `refused`: the event that it answers, if it is an answer to one.
  void superseded(AgentId agent, const Winner& winner, const Now& now,
                  const LocalEvent* refused = nullptr);
  void challenged(AgentId agent, Epoch epoch, MasterTime upto, const Now& now);
  void acked(const LocalEvent& event);
  void future_epoch(AgentId agent, Epoch epoch);
  void fields_wanted(AgentId agent, const Now& now);

  // Handoff (tracker_handoff.cc). While this worker is drained all its sessions are offered, each
  // once and again when its agent leaves; without a drain those offers are withdrawn. Each gets its
  // turn in hand_off().
  void set_drain(std::optional<Drain> drain);
  const std::optional<Drain>& drain() const { return drain_; }
  // Nobody can be connected here: all are offered, until the source can be looked at again.
  void set_manager_gone(bool gone);
  bool manager_gone() const { return manager_gone_; }
  void hand_off(std::size_t most, const Now& now);
  bool handing_off() const { return !to_hand_.empty(); }
  // An agent that will be asked to go; false if it is gone already.
  bool offer_now(AgentId agent, const Now& now);
  // So much time passed without a look that succeeded.
  void waited_blind(std::int64_t us, const Now& now);
  DrainProgress drain_progress() const;

  // A clock sample came: sessions that were refused as from the future are stamped anew.
  void sampled(const Now& now);
  // The newest session of every agent, closed and released ones too: the master may have lost it.
  void tell_everything(const Now& now);
  // After a restart: sessions that the master never took, and of which no event waits either. It
  // refused them as from the future, and the crash came before they were stamped anew.
  void tell_untaken(const std::unordered_set<AgentId>& waiting);
  // Another master: epochs made in the old one's time mean nothing to it.
  void forget_master();

  // Gives an unstamped event its epoch, from the master's time; events of one agent in the order in
  // which they were made. Needs timeline.known().
  // end_stamping() after the last of a batch.
  void stamp(LocalEvent& event, const Now& now);
  void end_stamping();

  const Agents& agents() const { return agents_; }
  std::size_t open_sessions() const { return open_; }
  // Whether the master holds sessions of this node that it does not know, and that the source
  // decides.
  bool undecided() const { return !own_winners_.empty(); }
  // Whether sessions that were refused as from the future wait to be stamped anew.
  bool restamping() const { return !restamp_.empty(); }
  // Agents that the newest complete look did not find; more than `many_missing` at once is a sign
  // of trouble at the source.
  std::size_t missing() const { return missing_reported_; }
  static std::size_t many_missing(std::size_t known) {
    return std::max<std::size_t>(50, known * 15 / 100);
  }
  // As configured, or as the source has them.
  std::int64_t keepalive_us() const;
  std::int64_t agent_timeout_us() const;
  std::size_t count_open() const;  // by counting, to check open_sessions() in tests

  std::vector<LocalEvent> take_events() { return std::exchange(events_, {}); }
  // Whether there is anything to take of events, kept infos or removed agents.
  bool has_news() const { return !events_.empty() || !kept_infos_.empty() || !removed_.empty(); }
  // Agents whose stored state changed: `urgent` if an event goes with it, else to be stored at
  // ease.
  std::unordered_set<AgentId>& dirty() { return dirty_; }
  // Infos to be stored beside their agents, in this order; null: no longer.
  std::vector<std::pair<AgentId, InfoPtr>> take_kept_infos() {
    return std::exchange(kept_infos_, {});
  }
  // Agents of which the master took an event: their state is to be stored with the ACK.
  std::vector<AgentId> take_acked() { return std::exchange(acked_, {}); }
  std::vector<AgentId> take_removed() { return std::exchange(removed_, {}); }
  std::vector<AgentId> take_wanted_info() { return std::exchange(wanted_info_, {}); }
  std::vector<Note> take_notes() { return std::exchange(notes_, {}); }
  // Whose sessions another worker's claim ended.
  std::vector<AgentId> take_given_up() { return std::exchange(given_up_, {}); }

  void set_manager_grace(std::int64_t us) { config_.manager_grace_us = us; }

 private:
  void observe(AgentId agent, AgentState& state, const Row& row, const Look& look);
  void take_evidence(AgentState& state, const LocalEvidence& evidence, const Now& now);
  void heard(const Observation& observation, const LocalMoment& at, const Now& now);
  void left(const Observation& observation, const LocalMoment& at, const Now& now);
  void gone(const Observation& observation, const LocalMoment& at, const Now& now);
  void tell_with_claim(const Observation& observation, AgentState& state);
  void keep_info(const Observation& observation, AgentState& state, InfoHash hash);
  void tell_info(AgentId agent, AgentState& state, const InfoPtr& info, InfoHash hash);
  bool older(const LocalMoment& at, const AgentState& state, const Now& now) const;
  std::int64_t patience_us(const AgentState& state) const;
  void answer_due_unseen(const Look& look);
  void close_if_silent(AgentId agent, AgentState& state);
  void find_missing(const Look& look, std::size_t gone);
  void notice_info(AgentId agent, AgentState& state, std::uint32_t print);
  void refresh_info(const Look& look);
  LocalEvidence evidence_of(const Row& row, const Look& look) const;
  bool is_restored(const Row& row, const Row& before, const Look& look) const;
  bool beyond_fence(MasterTime at, const AgentState& state) const;
  bool later(const LocalEvidence& evidence, const AgentState& state, const Now& now) const;
  void open_session(AgentId agent, AgentState& state, const LocalEvidence& evidence, const Now& now,
                    EventKind kind, Reason reason, Epoch at_least = kUnstamped);
  void belongs_to_manager(AgentId agent, AgentState& state);
  void wait_for_source(AgentId agent, const Winner& winner);
  bool otherwise(const LocalEvent& refused, const AgentState& state, const Winner& winner) const;
  void remove_again(const LocalEvent& refused, const Winner& winner);
  void claim_again(AgentId agent, AgentState& state, const Now& now, Epoch at_least = kUnstamped);
  void change_session(AgentId agent, AgentState& state, EventKind kind, Reason reason,
                      InfoPtr info = nullptr);
  void contact(AgentId agent, const AgentState& state, const LocalEvidence& evidence);
  void tell(AgentId agent, const AgentState& state);
  void answer_due(AgentId agent, AgentState& state, const Now& now);
  void outbid_own(AgentId agent, AgentState& state, const Winner& winner, const Now& now);
  void outbid_if_newer(AgentId agent, AgentState& state, const Winner& winner, const Now& now);
  void answer_own_winners(const Now& now);
  void end_removed(AgentId agent, AgentState& state, const Now& now);
  void set_phase(Session& session, Phase phase);
  // tracker_handoff.cc
  void hand_all();
  void hand(AgentId agent, AgentState& state, const Now& now);
  void offer(AgentId agent, AgentState& state, Reason left, const Now& now);
  void begin_session(AgentId agent, AgentState& state, const LocalEvidence& evidence,
                     const Now& now);
  void left_here(AgentId agent, AgentState& state, Reason reason, const Now& now);
  void visited(AgentId agent, AgentState& state, const LocalEvidence& evidence, Reason reason,
               const Now& now);
  bool heard_since_offer(const AgentState& state, const Now& now) const;
  void end_offer(AgentState& state, Handoff::End end, const Now& now);
  void answer_offer(AgentId agent, AgentState& state, const Now& now);
  void stay(AgentId agent, AgentState& state, const Now& now);
  void withdraw(AgentId agent, AgentState& state, const Now& now);
  void expire_offers(const Now& now);
  void taken(AgentState& state, const NodeName& by, const Now& now);
  MasterTime sent_lo(const LocalEvidence& evidence, const Now& now) const;
  LocalEvent event_of(AgentId agent, const AgentState& state, EventKind kind) const;
  void want_info(AgentId agent, AgentState& state, const Now& now);

  Config config_;
  NodeName own_node_;
  Timeline& timeline_;
  Agents agents_;
  bool may_ask() const;

  std::size_t open_ = 0;
  std::vector<LocalEvent> events_;
  std::size_t unacked_ = 0;
  std::unordered_set<AgentId> dirty_;
  std::vector<AgentId> acked_;
  std::vector<AgentId> removed_;
  std::vector<std::pair<AgentId, InfoPtr>> kept_infos_;
  std::vector<AgentId> wanted_info_;
  std::vector<Note> notes_;
  std::vector<AgentId> given_up_;

  // Of the look before, if there was one: when it began, and what it would have shown.
  std::optional<Now> last_started_;
  std::int64_t last_from_s_ = 0, last_to_s_ = 0;
  std::optional<Now> last_complete_started_;
  std::optional<std::int64_t> last_good_mono_us_;
  std::uint64_t looks_ = 0;              // so far
  std::int64_t covered_us_ = 0;          // by this look and the successful one before it
  std::int64_t covered_total_us_ = 0;    // by all looks of this process
  std::int64_t silence_checked_us_ = 0;  // covered_total_us_ when an events source's were checked
  SourceDefaults defaults_;
  std::unordered_set<AgentId> due_;  // agents that may have a CHALLENGE waiting
  // Winners of this node's own, until the source was heard: the agent may be gone meanwhile.
  std::unordered_map<AgentId, Winner> own_winners_;
  std::int64_t refresh_began_us_ = 0;
  std::vector<AgentId> refresh_queue_;
  std::size_t missing_reported_ = 0;
  std::optional<Drain> drain_;
  bool manager_gone_ = false;
  std::vector<AgentId> to_hand_;        // whose turn in hand_off() is still to come
  std::unordered_set<AgentId> offers_;  // agents that may have an offer that stands
  std::int64_t blind_us_ = 0;           // so long without a look
  std::unordered_set<AgentId> restamp_;
  std::unordered_map<AgentId, Epoch> stamped_;  // during one batch of stamp()
  std::unordered_set<AgentId> stamping_;
};

Reason reason_of(std::uint8_t status_code);

}  // namespace rollcall::sidecar
