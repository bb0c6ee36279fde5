#pragma once
// The sidecar's half of the protocol (docs/protocol.md, sections 4 to 6): what is observed becomes
// events, events are stored, stored events are sent, sent events are kept until the master acked
// them. Loop thread only. No I/O; the time comes with each input, and what is to be done comes back
// as an Output, to be carried out in the order of its members.
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/codec.h"
#include "protocol/messages.h"
#include "protocol/note.h"
#include "protocol/now.h"
#include "sidecar/core/agent_commands.h"
#include "sidecar/core/reconciler.h"
#include "sidecar/core/tracker.h"

namespace rollcall::sidecar {

// One change of the store, applied whole or not at all; the order of the members is the order of
// their effects.
struct StoreChange {
  bool clear_outbox = false;
  std::vector<std::uint32_t> removed_agents;  // an agent may be enrolled again in the same change
  std::vector<std::pair<std::uint32_t, std::string>> agents;
  std::vector<std::pair<std::uint32_t, std::string>> infos;
  std::uint64_t drop_outbox_through = 0;
  std::vector<std::uint64_t> removed_outbox;
  std::vector<std::pair<std::uint64_t, std::string>> outbox;
  std::vector<std::pair<std::string, std::string>> meta;
};

// The store as it was found at start.
struct StoreImage {
  std::map<std::uint32_t, std::string> agents;
  std::map<std::uint64_t, std::string> outbox;
  std::map<std::string, std::string> meta;
  std::map<std::uint32_t, std::string> infos = {};  // agents_with_kept_info(outbox) suffice
};

// The agents of the events that have their fields in the store's infos.
std::vector<std::uint32_t> agents_with_kept_info(
    const std::map<std::uint64_t, std::string>& outbox);

struct Output {
  struct Commit {
    std::uint64_t ticket = 0;
    StoreChange change;
  };
  std::optional<Commit> commit;          // to be made durable, then told by stored(ticket)
  std::vector<Message> send;             // on the present connection, in this order
  std::optional<std::string> close;      // the connection, for this reason
  std::int64_t retry_after_us = 0;       // with close: connect again no earlier than this
  std::vector<AgentId> read_info;        // fields to be read from the source
  std::vector<AgentId> given_up;         // whose sessions another worker's claim ended
  std::vector<AgentDatagram> datagrams;  // to the agents, each then told by datagram_sent()
  // Agents that are to be asked to connect anew, each then told by asked_to_move().
  std::vector<AgentId> force_reconnect;
  std::uint64_t stored_with = 0;  // of observe(): all of it is stored when this ticket is
  std::vector<Note> notes;
};

class SidecarCore {
 public:
  struct Config {
    std::string cluster = "wazuh";
    NodeName node;
    std::string machine;
    std::string software;
    std::uint64_t boot = 0;              // hash of the boot id
    std::size_t max_events = 1'000'000;  // of the backlog, then older ones are folded
    std::size_t max_bytes = 256u << 20;
    std::int64_t lazy_commit_us = 1'000'000;  // how long a change may wait that sends nothing
    std::uint32_t protocol_min = kProtocolMin, protocol_max = kProtocolMax;
    bool commands = false;  // agents can be told something from here
    Tracker::Config tracker;
  };

  SidecarCore(Config config, std::uint64_t seed);

  // First call. Damage is an error that names the agent or event.
  std::expected<Output, Error> start(const StoreImage& image, const Now& now);

  Output look(const Look& look);
  // `gone`: nobody serves the source's socket, so that Wazuh's manager does not run.
  enum class Manager { maybe_there, gone };
  Output look_failed(const Now& now, Manager manager = Manager::maybe_there);
  // What an events source tells, in order. A keepalive alone may wait for `lazy_commit_us` until it
  // is stored; store_now() does not let it.
  Output observe(const std::vector<Observation>& batch, const Now& now);
  Output store_now(const Now& now);
  // Whether an events source is there; a few times a second.
  Output watch(bool there, const Now& now);
  // The backlog is over its bounds although it was folded: who can wait should.
  bool backlog_full() const;
  std::uint64_t stored_ticket() const { return stored_ticket_; }

  Output info_read(AgentId agent, const AgentInfo& info, const Now& now);

  Output connected(const Now& now);
  Output message(const Message& message, const Now& now);
  Output malformed(const Error& error, const Now& now);  // bytes that are no message
  Output disconnected(const Now& now);

  // What an operator says (sidecar_handoff.cc). Of `drain` grace and rate count.
  std::expected<Output, Error> drain(Drain drain, const Now& now);
  std::expected<Output, Error> undrain(const Now& now);
  // Last call: a planned stop. Nothing is sent any more. Of a worker that is drained the reason is
  // that.
  Output bye(ByeReason reason, std::int64_t back_within_us, const Now& now);

  Output stored(std::uint64_t ticket, const Now& now);
  // How a datagram went; `why_not` if it was not sent.
  Output datagram_sent(std::uint64_t number, const std::optional<std::string>& why_not,
                       const Now& now);
  // How it went to ask an agent to connect anew; `why_not` if nobody took the message.
  Output asked_to_move(const std::optional<std::string>& why_not, const Now& now);
  Output tick(const Now& now);  // a few times a second

  // For people and tests.
  enum class Link { down, greeting, streaming };
  struct Status {
    Link link = Link::down;
    std::size_t unacked = 0, unsent = 0;
    std::size_t in_flight_bytes = 0;
    std::size_t backlog_bytes = 0;
    std::optional<std::int64_t> oldest_unacked_us;  // its age
    // How long ago: the last ACK, and the end of the last look that succeeded.
    std::optional<std::int64_t> acked_ago_us, looked_ago_us;
    bool looked_at_all = false;  // every row was read at least once since the start
    std::uint64_t last_seq = 0, acked_seq = 0;
    MasterId master{};
    Term term{};
    StreamId stream{};
    StoreId store{};
    bool clock_known = false;
    std::int64_t clock_offset_us = 0, clock_error_us = 0;
    std::uint64_t looks = 0, failed_looks = 0;
    std::uint64_t folded = 0;
    std::uint64_t superseded = 0, challenged = 0, future_epoch = 0, need_info = 0;
    MovesAsked moves;        // since the start
    MovesAsked drain_moves;  // since this drain began, or the process if that was later
    std::string last_error;  // what the master last complained of
    Reconciler::Status reconciliation;
    bool settled = false;  // digests are told: all of before was told (again) and acked
    std::optional<std::int64_t> lease_us;  // how long it still runs, as the master last said
  };
  Status status(const Now& now) const;
  Link link() const { return link_; }
  // As agreed with the master on the present connection.
  Compression compression() const { return compression_; }
  const Tracker& tracker() const { return tracker_; }
  // Whether the last order to drain or not to is durable.
  bool drain_is_stored() const { return stored_ticket_ >= drain_ticket_; }
  bool takes_commands() const { return config_.commands; }
  AgentCommands::Status commands() const { return commands_.status(); }
  const Timeline& timeline() const { return timeline_; }
  // What the stream left open: what digests are of.
  const OpenSessions& stream_sessions() const { return reconciler_.open(); }
  const NodeName& node() const { return config_.node; }
  // For what is offered from now on.
  void set_manager_grace(std::int64_t us) { tracker_.set_manager_grace(us); }

 private:
  struct Entry {
    std::uint64_t position = 0;
    LocalEvent event;
    std::uint64_t seq = 0;       // 0: not sent in this stream
    std::uint64_t ticket = 0;    // stored when this commit is
    std::size_t bytes = 0;       // in the store
    std::size_t wire_bytes = 0;  // in flight
    std::int64_t made_boot_us = 0;
    Reconciler::Session before = {};  // what the stream had left open of the agent
  };

  Output finish(const Now& now, Output&& out);
  void store_ack(const Now& now);
  void collect(const Now& now) {
    if (tracker_.has_news()) take_news(now);  // after most inputs there are none
  }
  void take_news(const Now& now);
  void give_wanted_info(const Now& now, Output& out);
  void put_infos(StoreChange& change);
  void enqueue(LocalEvent event, const Now& now);
  void fold(const Now& now);
  void stamp_all(const Now& now);
  void pump(const Now& now, Output& out);
  Event on_wire(const LocalEvent& event, const Now& now) const;
  void on(const Welcome& m, const Now& now, Output& out);
  void on(const Ack& m, const Now& now, Output& out);
  void on(const Superseded& m, const Now& now, Output& out);
  void on(const Challenge& m, const Now& now, Output& out);
  void on(const HeartbeatAck& m, const Now& now, Output& out);
  void on(const Want& m, const Now& now, Output& out);
  void on(const InventoryAck& m, const Now& now, Output& out);
  void on(const Command& m, const Now& now, Output& out);
  void on(const ErrorMessage& m, const Now& now, Output& out);
  void note(Output& out, NoteLevel level, std::string text,
            std::vector<std::pair<std::string, std::string>> fields = {});
  void new_store();
  void new_stream();
  void go_on_as_another_store(Output& out);
  bool begin_with(MasterId master, Output& out);
  // sidecar_commands.cc
  void remember_commands();
  void carry_out_commands(const Now& now, Output& out);
  // sidecar_handoff.cc
  void begin_drain(const Drain& drain);
  void manager_is_back();
  void tick_handoff(std::int64_t passed_us, const Now& now, Output& out);
  void move_some(std::int64_t passed_us, const Now& now, Output& out);
  // sidecar_reconcile.cc
  enum class Keep { everything, agents, nothing };
  Keep claim_store(const StoreImage& image, Output& out);
  void restore_drain(const StoreImage& image, Keep keep);
  Drain no_drain() const;
  std::uint64_t drain_ticket_ = 0;  // of the commit that has the last order to drain or not to
  void forget_master();
  void hear_out(const Now& now);
  bool heard_out() const;
  void set_source_first(bool first);
  bool settled() const;
  void sampled(const Now& now);
  std::uint64_t last_sent_seq() const;
  std::int64_t notice_halt(const Now& now);
  void heartbeat(const Now& now, Output& out);
  void set_heartbeat(std::int64_t heartbeat_us, const Now& now);
  void plan_heartbeat(const Now& now);
  void check_set(Output& out);
  void take_again(const std::set<AgentId>& agents);
  void remember_time(const Now& now);
  void restore_time(const std::string& text);
  void drop_unsent(const std::set<std::pair<AgentId, Epoch>>& refused);
  void set_meta(std::string key, std::uint64_t value);

  Config config_;
  std::mt19937_64 random_;
  Timeline timeline_;
  Tracker tracker_;
  Reconciler reconciler_;
  AgentCommands commands_{tracker_};

  // The store.
  StoreId store_{};
  MasterId master_{};
  Term term_{};
  std::uint64_t position_ = 0;        // of the last event ever put into the outbox
  std::uint64_t start_position_ = 0;  // the same, when this process (or store id) began
  std::uint64_t acked_position_ = 0;
  std::map<std::string, std::string> meta_;  // to be stored
  StoreChange pending_;
  std::unordered_map<AgentId, InfoPtr> pending_infos_;     // to be stored
  std::unordered_map<AgentId, InfoPtr> committing_infos_;  // being stored
  std::map<std::uint64_t, std::string> pending_outbox_;    // by position; becomes pending_.outbox
  bool urgent_ = false;
  std::uint64_t ticket_ = 0;
  std::uint64_t stored_ticket_ = 0;
  std::int64_t last_commit_mono_us_ = 0;
  // An ACK is stored at leisure: until then a crash only makes its events be sent again.
  std::uint64_t unstored_ack_ = 0;  // the position of the last event of it
  std::int64_t last_ack_mono_us_ = 0;

  // Handoff.
  std::uint64_t drains_ = 0;
  std::vector<AgentId> to_move_;   // still to be asked in this round
  std::int64_t moves_due_us_ = 0;  // a million for each agent
  std::int64_t next_round_mono_us_ = 0;
  std::optional<std::int64_t> gone_since_mono_us_;
  bool manager_gone_ = false;

  // The stream.
  StreamId stream_{};
  std::deque<Entry> outbox_;
  std::size_t outbox_bytes_ = 0;
  std::size_t next_unsent_ = 0;  // index into outbox_: those before it were sent on this connection
  std::uint64_t next_seq_ = 1;
  std::uint64_t acked_seq_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t unstamped_ = 0;
  std::size_t fold_at_ = 0, fold_at_bytes_ = 0;  // no sooner than this
  bool over_bounds_ = false;                     // after the last fold
  // No digest before all up to this position is acked: the set is ahead of the master until then.
  std::uint64_t settle_through_ = 0;
  // Nor before the source was heard out: the store knows nothing, or less than was told.
  bool source_first_ = false;
  // Nor before what was refused as from the future is told again, if an inventory told it too: the
  // master may have taken it out of that once its time had come.
  bool refused_told_ = false;
  bool blind_ = false;           // the last look failed
  std::int64_t watched_us_ = 0;  // so long an events source was there
  std::optional<std::int64_t> watched_mono_us_;

  // The connection.
  Link link_ = Link::down;
  Compression compression_ = Compression::none;
  int useless_ = 0;  // messages of unknown types, and complaints
  std::int64_t hello_t0_ = 0;
  std::int64_t last_heard_mono_us_ = 0;
  std::int64_t next_heartbeat_mono_us_ = 0;
  std::optional<Now> last_tick_;
  std::int64_t heartbeat_us_ = 10'000'000;
  std::size_t window_ = 1u << 20;

  Status counters_;
  std::optional<std::int64_t> acked_mono_us_, looked_mono_us_;
  std::optional<std::int64_t> lease_until_mono_us_;
};

}  // namespace rollcall::sidecar
