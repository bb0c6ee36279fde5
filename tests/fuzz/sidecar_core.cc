// The sidecar's session: looks, a master that says anything at any time, commits that take long, a
// process that dies. Nothing is sent that is not stored; what was stored is always enough to go on.
#include "sidecar/core/sidecar_core.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/core_input.h"
#include "tests/support/sidecar_disk.h"

using namespace rollcall;
using namespace rollcall::sidecar;
using fuzz::must;

namespace {

class Run {
 public:
  explicit Run(fuzz::Input& in) : in_(in) {
    now_ = {fuzz::kStart + 100 * fuzz::kSecond, 95 * fuzz::kSecond, 100 * fuzz::kSecond};
    if (in_.flag()) {
      // A disk that holds anything.
      for (std::size_t n = in_.below(4); n > 0; --n)
        disk_.agents.insert_or_assign(in_.byte(), std::string(in_.text()));
      for (std::size_t n = in_.below(4); n > 0; --n)
        disk_.outbox.insert_or_assign(in_.number<std::uint16_t>(), std::string(in_.text()));
      static const char* const kKeys[] = {"position", "acked",   "master", "term",    "store",
                                          "time",     "machine", "node",   "commands"};
      for (const char* key : kKeys) {
        if (in_.flag()) disk_.meta.insert_or_assign(key, std::string(in_.text()));
      }
      foreign_disk_ = true;
    }
    start();
  }

  void play() {
    while (core_ && !in_.empty()) step();
  }

 private:
  void start() {
    SidecarCore::Config config;
    config.node = node_;
    config.machine = machine_;
    config.boot = boot_;
    config.max_events = 12;
    config.commands = true;
    config.tracker.info_batch = 3;
    core_ = std::make_unique<SidecarCore>(config, ++seed_);
    committing_.reset();
    last_ticket_ = 0;
    connected_ = false;
    inventory_.reset();
    datagrams_.clear();
    auto out = core_->start(disk_, now_);
    if (!out) {
      must(foreign_disk_ && !out.error().message.empty(), "what was stored is enough to go on");
      core_.reset();
      return;
    }
    check(std::move(*out));
  }

  void step() {
    const std::uint8_t what = in_.byte();
    switch (what % 23) {
      case 0:
      case 1:
        return check(core_->look(look()));
      case 2:
        return check(core_->look_failed(now_));
      case 3: {
        const AgentId agent = fuzz::agent(in_);
        return check(core_->info_read(agent, fuzz::info(in_), now_));
      }
      case 4:
        return connect();
      case 5:
        if (!connected_) return;
        connected_ = false;
        return check(core_->disconnected(now_));
      case 6:
        return hear(welcome());
      case 7:
      case 8:
        return hear(ack());
      case 9:
        return hear(superseded());
      case 10:
        return hear(challenge());
      case 11:
        return hear(heartbeat_ack());
      case 12:
        return hear(error());
      case 13:
        return raw();
      case 14:
      case 15:
        return stored();
      case 16:
        return hear(want());
      case 17:
        return hear(inventory_ack());
      case 18:
        // A worker that comes back on another machine, or under another name.
        (in_.flag() ? machine_ : node_) = in_.flag() ? "a" : "b";
        return start();
      case 19:
        fuzz::let_time_pass(in_, now_);
        return check(core_->tick(now_));
      case 20:
        return hear(command());
      case 21:
        return datagram();
      default:
        // The process ends, the disk stays; after some of the ends the machine is another boot.
        if (in_.flag()) ++boot_;
        return start();
    }
  }

  std::int64_t master_us() const { return now_.boot_us + fuzz::kStart + 5 * fuzz::kSecond; }

  Look look() {
    Look look;
    look.started = now_;
    now_.wall_us += 1'000;
    now_.mono_us += 1'000;
    now_.boot_us += 1'000;
    look.finished = now_;
    const std::uint8_t how = in_.byte();
    look.complete = (how & 1) == 0;
    if ((how & 2) != 0) ++connection_;
    look.connection = connection_;
    if ((how & 4) != 0) look.no_agents_enrolled = (how & 8) != 0;
    for (std::size_t n = how >> 4 & 3; n > 0; --n) {
      Row row;
      row.agent = fuzz::agent(in_);
      const std::uint8_t state = in_.byte();
      row.status = static_cast<RowStatus>(state & 3);
      row.code = state >> 2 & 7;
      row.visits = state >> 5 & 1;
      row.keepalive_s = (state & 0x80) != 0 ? std::max<std::int64_t>(0, in_.number<std::int64_t>())
                                            : now_.wall_us / fuzz::kSecond - in_.below(8) + 2;
      look.rows.push_back(row);
    }
    return look;
  }

  void connect() {
    if (connected_) return;
    connected_ = true;
    greeted_ = false;
    closed_ = false;
    next_seq_.reset();
    sent_ = 0;
    inventory_.reset();
    check(core_->connected(now_));
  }

  Message welcome() {
    Welcome w;
    const std::uint8_t how = in_.byte();
    w.master = MasterId{1u + (how & 1)};
    w.term = Term{1u + (how >> 1 & 1)};
    w.store_is_older = (how & 4) != 0;
    w.time_began = {(how & 8) != 0 ? fuzz::moment(in_, master_us()) : 0};
    w.t0 = (how & 16) != 0 ? fuzz::moment(in_, now_.boot_us) : hello_t0_;
    w.t1 = (how & 32) != 0 ? fuzz::moment(in_, master_us()) : master_us();
    w.t2 = w.t1 + 10;
    w.window = (how & 64) != 0 ? in_.number<std::uint64_t>() : 1u << 20;
    w.heartbeat_us = (how & 128) != 0 ? fuzz::moment(in_, 1) + 1 : 10 * fuzz::kSecond;
    return w;
  }

  Message ack() {
    Ack a;
    const std::uint8_t how = in_.byte();
    // Mostly what was sent, from nothing of it to all and one more.
    a.through = how == 0xff ? in_.number<std::uint64_t>()
                            : core_->status(now_).acked_seq + how % (sent_ + 2);
    for (std::size_t n = in_.below(3); n > 0; --n) {
      AckException e;
      e.seq = a.through - in_.below(4);
      e.agent = fuzz::agent(in_);
      e.kind = static_cast<ExceptionKind>(1 + in_.below(3));
      if (e.kind == ExceptionKind::superseded) e.winner = winner();
      a.exceptions.push_back(e);
    }
    return a;
  }
  Winner winner() {
    const std::uint8_t how = in_.byte();
    Version v{epoch_at({fuzz::moment(in_, master_us())}), fuzz::node(in_), how >> 4 & 3u};
    if ((how & 2) != 0) v.change = 0xffff'ffff;
    return {v, (how & 1) != 0};
  }
  Message superseded() {
    Superseded s;
    for (std::size_t n = in_.below(3); n > 0; --n) {
      const AgentId agent = fuzz::agent(in_);
      s.entries.push_back({agent, winner()});
    }
    return s;
  }
  Message challenge() {
    Challenge c;
    for (std::size_t n = in_.below(3); n > 0; --n) {
      const AgentId agent = fuzz::agent(in_);
      const auto& agents = core_->tracker().agents();
      const auto it = agents.find(agent);
      const bool own = it != agents.end() && it->second.session && in_.flag();
      const Epoch epoch =
          own ? it->second.session->epoch : epoch_at({fuzz::moment(in_, master_us())});
      c.entries.push_back({agent, epoch, {fuzz::moment(in_, master_us())}});
    }
    return c;
  }
  Message heartbeat_ack() {
    const std::uint8_t how = in_.byte();
    HeartbeatAck a{fuzz::moment(in_, now_.boot_us), master_us(), master_us() + 1};
    a.agreement = static_cast<Agreement>(how % 3);
    if ((how & 4) != 0) a.lease_us = fuzz::moment(in_, 30 * fuzz::kSecond);
    if ((how & 8) != 0) a.heartbeat_us = fuzz::moment(in_, fuzz::kSecond);
    return a;
  }
  TreeNode node_above(std::uint32_t agent, unsigned depth) {
    return TreeNode{static_cast<std::uint32_t>(leaf_of(AgentId{agent})) >>
                    4 * (kTreeLeafDepth - depth)};
  }
  Message want() {
    Want w;
    const std::uint8_t how = in_.byte();
    w.inventory = (how & 1) != 0;
    for (std::size_t n = how >> 1 & 3; n > 0; --n)
      w.digests_of.push_back(node_above(in_.byte(), in_.below(kTreeLeafDepth)));
    for (std::size_t n = how >> 3 & 3; n > 0; --n)
      w.leaves.push_back(leaf_of(AgentId{static_cast<std::uint32_t>(16 * (4 - n))}));
    if ((how & 32) != 0) w.infos = {fuzz::agent(in_)};
    if ((how & 64) != 0) w.retry_after_us = fuzz::moment(in_, fuzz::kSecond);
    return w;
  }
  // Under one id, so that whoever is told twice is told twice for one command.
  Message command() {
    Command c;
    c.id = "c";
    c.left_us = fuzz::moment(in_, fuzz::kSecond);
    for (std::size_t n = in_.below(4); n > 0; --n) {
      const AgentId agent = fuzz::agent(in_);
      c.entries.push_back({agent, in_.flag() ? "v4.14.0" : in_.flag() ? "v4.0.0" : ""});
    }
    return c;
  }
  void datagram() {
    if (datagrams_.empty()) return;
    const AgentDatagram d = datagrams_.front();
    datagrams_.erase(datagrams_.begin());
    const bool failed = in_.flag();
    if (failed) told_.erase(whom(d));
    check(core_->datagram_sent(d.number, failed ? std::optional("why") : std::nullopt, now_));
  }
  // "(msg_to_agent) [] NNS 007"
  static std::string whom(const AgentDatagram& d) {
    std::size_t end = 0;
    for (int spaces = 0; spaces < 4; ++spaces) end = d.text.find(' ', end + 1);
    return d.text.substr(0, end);
  }
  Message inventory_ack() {
    InventoryAck a;
    const std::uint8_t how = in_.byte();
    a.id = inventory_ && how != 0xff ? inventory_->id : 1 + how;
    a.entries = inventory_ ? how % (inventory_->sent.size() + 2) : how;
    if (inventory_ && a.id == inventory_->id) inventory_->admitted = true;
    return a;
  }
  Message error() {
    ErrorMessage e;
    const std::uint8_t how = in_.byte();
    e.code = static_cast<ErrorCode>(1 + how % 13);
    e.fatal = (how & 0x80) != 0;
    e.retry_after_us = fuzz::moment(in_, fuzz::kSecond);
    e.text = in_.text();
    return e;
  }

  // What a peer says comes as bytes, and only what they can say is heard.
  void hear(const Message& message) {
    std::string frame;
    encode_frame(message, frame);
    hear_bytes(std::string_view(frame).substr(kFrameHeader));
  }
  void raw() { hear_bytes(in_.text()); }
  void hear_bytes(std::string_view payload) {
    if (!connected_ || closed_) return;
    const auto message = decode(payload);
    check(message ? core_->message(*message, now_) : core_->malformed(message.error(), now_));
  }

  void stored() {
    if (!committing_) return;
    const auto commit = std::move(*committing_);
    committing_.reset();
    apply(commit.change, disk_);
    check(core_->stored(commit.ticket, now_));
  }

  void check(Output out) {
    if (out.commit) {
      must(!committing_, "one commit at a time");
      must(out.commit->ticket == ++last_ticket_, "commits are counted");
      committing_ = std::move(out.commit);
    }
    must(connected_ || out.send.empty(), "nothing is sent without a connection");
    for (AgentDatagram& d : out.datagrams) {
      must(told_.insert(whom(d)).second, "an agent is told at most once for a command");
      must(disk_.meta.contains("commands"), "what is sent was remembered before");
      datagrams_.push_back(std::move(d));
    }
    // What comes after its close is not sent, and said again on the next connection.
    for (const Message& m : out.send) {
      if (!closed_) check_sent(m);
    }
    if (out.close) {
      must(out.retry_after_us >= 0, "it may be tried again");
      closed_ = true;
    }
    const auto s = core_->status(now_);
    must(s.unsent <= s.unacked, "what is unsent is unacked");
    must(s.acked_seq <= s.last_seq, "what is acked was sent");
    if (s.unacked == 0)
      must(s.backlog_bytes == 0 && s.in_flight_bytes == 0, "an empty outbox has no bytes");
    must(core_->tracker().open_sessions() == core_->tracker().count_open(),
         "open sessions are counted right");
  }

  void check_sent(const Message& m) {
    if (const auto* hello = std::get_if<Hello>(&m)) {
      must(!greeted_, "HELLO comes once");
      greeted_ = true;
      hello_t0_ = hello->t0;
      first_seq_ = hello->first_seq;
    } else if (const auto* delta = std::get_if<Delta>(&m)) {
      check_delta(*delta);
    } else if (const auto* beat = std::get_if<Heartbeat>(&m)) {
      check_seq(beat->seq);
    } else if (const auto* digests = std::get_if<Digests>(&m)) {
      check_seq(digests->seq);
    } else if (const auto* begin = std::get_if<InventoryBegin>(&m)) {
      check_seq(begin->seq);
      inventory_ = Sending{begin->id, false, {}};
    } else if (const auto* chunk = std::get_if<InventoryChunk>(&m)) {
      check_chunk(*chunk);
    } else if (const auto* end = std::get_if<InventoryEnd>(&m)) {
      check_end(*end);
    } else {
      must(std::holds_alternative<ErrorMessage>(m) || std::holds_alternative<Result>(m),
           "a sidecar says only what a sidecar says");
    }
    must(greeted_, "HELLO comes first");
    fuzz::check_frame(m);
  }

  void check_seq(std::uint64_t seq) {
    must(seq + 1 == next_seq_.value_or(first_seq_), "a digest is of the last event sent");
  }
  void check_chunk(const InventoryChunk& chunk) {
    must(inventory_ && inventory_->id == chunk.id, "a chunk follows its BEGIN");
    must(inventory_->admitted, "no chunk before the master let it in");
    must(!chunk.entries.empty(), "no chunk is empty");
    for (const InventoryEntry& e : chunk.entries) {
      must(inventory_->sent.size() == 0 || e.agent > inventory_->last, "agents come in order");
      inventory_->last = e.agent;
      inventory_->sent.set(e.agent, {e.epoch, e.change});
    }
  }
  void check_end(const InventoryEnd& end) {
    must(inventory_ && inventory_->id == end.id, "END follows its BEGIN");
    must(end.count == inventory_->sent.size(), "END counts its entries");
    must(end.digest == inventory_->sent.digest(), "END sums its entries");
    inventory_.reset();
  }

  void check_delta(const Delta& delta) {
    must(!delta.events.empty(), "no DELTA is empty");
    if (next_seq_) {
      must(delta.first_seq == *next_seq_, "seqs of a connection have no gap");
    } else {
      must(delta.first_seq >= first_seq_, "no seq is below what HELLO promised");
    }
    next_seq_ = delta.first_seq + delta.events.size();
    sent_ += delta.events.size();
    // Durable before sent: each event is in the outbox on disk, as it is sent.
    auto at = disk_.outbox.find(delta.position);
    must(at != disk_.outbox.end(), "what is sent is stored");
    for (auto e = delta.events.rbegin(); e != delta.events.rend(); ++e) {
      while (!is_stored_as(at->second, *e)) {
        must(e != delta.events.rbegin(), "the last event is the one at its position");
        must(at != disk_.outbox.begin(), "what is sent is stored");
        --at;
      }
      if (std::next(e) == delta.events.rend()) break;
      must(at != disk_.outbox.begin(), "what is sent is stored");
      --at;
    }
  }
  static bool is_stored_as(const std::string& bytes, const Event& e) {
    const auto stored = decode_local_event(bytes);
    must(stored.has_value(), "what is stored can be read");
    return stored->agent == e.agent && stored->kind == e.kind && stored->epoch == e.epoch &&
           stored->change == e.change && stored->reason == e.reason && stored->folded == e.folded &&
           stored->info_hash == e.info_hash.value_or(InfoHash{}) &&
           (!e.info || (stored->info && *stored->info == *e.info));
  }

  fuzz::Input& in_;
  Now now_;
  StoreImage disk_;
  bool foreign_disk_ = false;
  std::uint64_t boot_ = 42;
  std::uint64_t seed_ = 0;
  std::uint64_t connection_ = 1;
  std::unique_ptr<SidecarCore> core_;
  std::optional<Output::Commit> committing_;
  std::uint64_t last_ticket_ = 0;

  std::string node_ = "w1", machine_ = "m";
  struct Sending {
    std::uint64_t id = 0;
    bool admitted = false;
    OpenSessions sent = {};
    AgentId last{};
  };
  std::optional<Sending> inventory_;
  std::vector<AgentDatagram> datagrams_;
  std::set<std::string> told_;

  bool connected_ = false, greeted_ = false, closed_ = false;
  std::int64_t hello_t0_ = 0;
  std::uint64_t first_seq_ = 1;
  std::optional<std::uint64_t> next_seq_;
  std::size_t sent_ = 0;  // events that this connection carried
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  Run(in).play();
  return 0;
}
