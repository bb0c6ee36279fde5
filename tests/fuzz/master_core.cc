// The master's sessions: up to four workers that say anything at any time, commits that take long,
// a process that dies. Nothing is said that rests on what is not in the log; the log alone gives
// the same state again.
#include "master/core/master_core.h"

#include <array>
#include <map>
#include <memory>
#include <utility>

#include "tests/fuzz/core_input.h"

using namespace rollcall;
using namespace rollcall::master;
using fuzz::must;

namespace {

class Master {
 public:
  explicit Master(fuzz::Input& in) : in_(in) {
    now_ = {fuzz::kStart + 100 * fuzz::kSecond, 95 * fuzz::kSecond, 100 * fuzz::kSecond};
    start("");
  }

  void play() {
    while (!in_.empty()) step();
    // What is left is stored; then the log says what the core believes.
    while (appending_) stored();
    must(durable_.encode() == core_->state().encode(), "the state is the fold of the log");
    const auto again = State::decode(durable_.encode());
    must(again && again->encode() == durable_.encode(), "and a snapshot of it is the same");
  }

 private:
  struct Worker {
    ConnId conn{};
    bool connected = false;
    bool closed = false;  // by the master; what is said now is not heard
    NodeName node;        // as it first called itself
    std::uint64_t next_seq = 1;
    std::int64_t answered_us = 0;
    std::uint64_t entries = 0;  // of its inventory
    Digest sum;
  };

  void start(std::string may_have_lost) {
    MasterCore::Config config;
    config.boot = boot_;
    config.keep_decisions = 10;
    auto state = State::decode(durable_.encode());
    must(state.has_value(), "a snapshot can be read");
    core_ = std::make_unique<MasterCore>(config, std::move(*state), std::move(may_have_lost),
                                         ++seed_, now_);
    appending_.reset();
    last_ticket_ = 0;
    for (Worker& w : workers_) w.connected = false;
    open_ = 0;
    check(core_->start(now_));
    while (!core_->ready()) stored();  // nobody is let in before
  }

  void step() {
    const std::uint8_t what = in_.byte();
    Worker& w = workers_[what >> 6];
    switch (what % 14) {
      case 0:
        return connect(w);
      case 1:
        if (!w.connected) return;
        w.connected = false;
        --open_;
        return check(core_->disconnected(w.conn, now_));
      case 2:
      case 3:
        return hear(w, hello(w));
      case 4:
      case 5:
      case 6:
        return hear(w, delta(w));
      case 7:
        return hear(w, Heartbeat{in_.byte(), in_.byte(), fuzz::moment(in_, now_.boot_us)});
      case 8:
        return hear_bytes(w, in_.text());
      case 9: {
        ErrorMessage e;
        e.fatal = in_.flag();
        e.text = in_.text();
        return hear(w, e);
      }
      case 10:
      case 11:
        return stored();
      case 12:
        fuzz::let_time_pass(in_, now_);
        return check(core_->tick(now_));
      default: {
        const std::uint8_t how = in_.byte();
        if (how >> 5 == 7) return (how & 1) != 0 ? command() : hear(w, result());
        if ((how & 3) != 3) return reconcile(w, how >> 2 & 7);  // rare: it costs all connections
        if ((how & 4) != 0) ++boot_;
        return start((how & 8) != 0 ? "torn" : "");
      }
    }
  }

  void connect(Worker& w) {
    if (w.connected) return;
    w = {ConnId{++conns_}, true, false, {}, 1, 0, 0, {}};
    ++open_;
    std::vector<std::string> names{fuzz::node(in_)};
    if (in_.flag()) names.push_back(fuzz::node(in_));
    check(core_->connected(w.conn, std::move(names), "192.0.2.1:5", now_));
  }

  Message hello(Worker& w) {
    Hello h;
    const std::uint8_t how = in_.byte();
    h.cluster = "wazuh";
    h.node = fuzz::node(in_);
    h.machine = (how & 1) != 0 ? "m1" : "m2";
    h.store = StoreId{1u + (how >> 1 & 1)};
    h.stream = StreamId{1u + (how >> 2 & 3)};
    h.t0 = now_.boot_us;
    const bool as_known = (how & 16) == 0;
    const auto known = durable_.nodes().find(h.node);
    if (known != durable_.nodes().end() && as_known) {
      h.first_seq = known->second.last_seq + 1;
      h.acked_position = h.start_position = known->second.position;
    } else {
      h.first_seq = 1 + in_.byte();
      h.start_position = in_.byte();
      h.acked_position = in_.byte();
    }
    if ((how & 32) != 0) h.first_seq = std::max<std::uint64_t>(1, in_.number<std::uint64_t>());
    if ((how & 64) != 0) {
      h.last_master = durable_.master();
      h.last_term = durable_.term();
    }
    if ((how & 128) != 0) h.features = {std::string(kFeatureCommands)};
    if (h.first_seq > (std::uint64_t{1} << 62)) h.first_seq = 1;
    if (w.node.empty()) w.node = h.node;
    w.next_seq = h.first_seq;
    return h;
  }

  Message delta(Worker& w) {
    Delta d;
    const std::uint8_t how = in_.byte();
    d.first_seq = (how & 0x80) != 0 ? 1 + in_.byte() : w.next_seq;
    d.position = in_.byte();
    for (std::size_t n = how & 3; n > 0; --n) {
      Event e;
      e.agent = fuzz::agent(in_);
      const std::uint8_t form = in_.byte();
      e.kind = static_cast<EventKind>(1 + form % 9);
      e.epoch = epoch_at({fuzz::moment(in_, master_us())});
      e.change = form >> 4 & 3;
      const std::int64_t lo = fuzz::moment(in_, time_of(e.epoch).us);
      e.evidence = {{lo}, {lo + in_.byte() * fuzz::kSecond / 8}};
      if (form == 0xff) e.change = in_.number<std::uint32_t>();
      if ((form & 0x40) != 0) {
        AgentInfo fields = fuzz::info(in_);
        e.info_hash = hash_of(fields);
        if ((form & 0x80) != 0) e.info = std::make_shared<const AgentInfo>(std::move(fields));
      }
      e.reason = static_cast<Reason>(in_.below(13));
      d.events.push_back(std::move(e));
    }
    w.next_seq = d.first_seq + d.events.size();
    return d;
  }

  void command() {
    CommandRequest r;
    r.id = in_.flag() ? "a" : "b";
    r.timeout_us = fuzz::moment(in_, fuzz::kSecond);
    r.assume = in_.flag() ? "v4.14.0" : "";
    r.all = in_.flag();
    for (std::uint32_t id = 1; id < 4; ++id) {
      if (!r.all && in_.flag()) r.agents.push_back(AgentId{id});
    }
    auto out = core_->command(std::move(r), now_);
    if (out) check(std::move(*out));
  }
  Message result() {
    Result r;
    r.id = in_.flag() ? "a" : "b";
    for (std::uint32_t id = 1; id < 4; ++id) {
      if (in_.flag())
        r.entries.push_back({AgentId{id}, static_cast<CommandOutcome>(1 + in_.below(6))});
    }
    return r;
  }

  void reconcile(Worker& w, int how) {
    const auto known = core_->state().nodes().find(w.node);
    const OpenSessions open =
        known == core_->state().nodes().end() ? OpenSessions() : known->second.open;
    const std::uint64_t seq = w.next_seq - (in_.byte() < 250 ? 1 : 0);
    switch (how) {
      case 0:
        return hear(w, Heartbeat{seq, 0, now_.boot_us, open.digest()});
      case 1:
        return hear(w, Heartbeat{seq, 0, now_.boot_us, Digest{in_.byte(), in_.byte()}});
      case 2:
        return hear(w, digests(open, seq));
      case 3:
        return hear(w, begin(seq));
      case 4:
        return hear(w, chunk(w, open));
      case 5:
        return hear(w, InventoryEnd{in_.byte() % 3u + 1, w.entries, w.sum});
      case 6:
        return operate();
      default:
        return check_result(core_->forget_node(fuzz::node(in_), now_));
    }
  }
  // All the way down to the leaf of one agent.
  Message digests(const OpenSessions& open, std::uint64_t seq) {
    Digests d;
    d.seq = seq;
    std::uint32_t node = std::to_underlying(leaf_of(fuzz::agent(in_))) / kTreeFanout;
    const bool same = in_.flag();
    for (; node != 0; node /= kTreeFanout) {
      auto children = open.children(TreeNode{node});
      if (!same) children[in_.byte() % kTreeFanout] += Digest{0, 1};
      d.entries.push_back({TreeNode{node}, children});
    }
    return d;
  }
  Message begin(std::uint64_t seq) {
    InventoryBegin b;
    b.id = in_.byte() % 3u + 1;
    b.seq = seq;
    if (in_.flag()) b.leaves.push_back(leaf_of(fuzz::agent(in_)));
    return b;
  }
  // Some of what is open, some with another session, and an agent that is not.
  Message chunk(Worker& w, const OpenSessions& open) {
    InventoryChunk c;
    c.id = in_.byte() % 3u + 1;
    std::map<AgentId, OpenSessions::Session> all;
    for (const auto& [agent, session] : open.table()) {
      const std::uint8_t how = in_.byte();
      if ((how & 3) == 0) continue;
      all[agent] = session;
      if ((how & 3) == 1) all[agent].change += (how & 4) != 0 ? 1u : ~0u;
    }
    if (in_.flag()) all[fuzz::agent(in_)] = {epoch_at({fuzz::moment(in_, master_us())}), 0};
    if (in_.flag()) w.entries = 0, w.sum = {};
    for (const auto& [agent, session] : all) {
      const MasterTime lo = time_of(session.epoch);
      c.entries.push_back({agent, session.epoch, session.change, {lo, {lo.us + in_.byte()}}});
      ++w.entries;
      w.sum += digest_of(agent, session.epoch, session.change);
    }
    return c;
  }
  void operate() {
    const std::uint8_t how = in_.byte();
    const auto node = (how & 4) != 0 ? std::optional(fuzz::node(in_)) : std::nullopt;
    if ((how & 3) == 0) return check(core_->confirm_expiry(now_));
    if ((how & 3) == 1) return check_result(core_->unfreeze(node, now_));
    check_result(core_->freeze(node, in_.byte() * fuzz::kSecond, now_));
  }
  void check_result(std::expected<Output, Error> out) {
    if (out) check(*std::move(out));
  }
  std::int64_t master_us() { return core_->time(now_).us; }

  void hear(Worker& w, const Message& message) {
    std::string frame;
    encode_frame(message, frame);
    hear_bytes(w, std::string_view(frame).substr(kFrameHeader));
  }
  void hear_bytes(Worker& w, std::string_view payload) {
    if (!w.connected) return;
    const auto message = decode(payload);
    check(message ? core_->message(w.conn, *message, now_)
                  : core_->malformed(w.conn, message.error(), now_));
  }

  void stored() {
    if (!appending_) return;
    const auto group = std::move(*appending_);
    appending_.reset();
    for (const std::string& bytes : group.records) {
      auto record = decode_log_record(bytes);
      must(record.has_value(), "what is logged can be read");
      must(durable_.apply(*record).has_value(), "and is decided again as it was");
    }
    check(core_->stored(group.ticket, now_));
  }

  void check(Output out) {
    if (out.append) {
      must(!appending_, "one group at a time");
      must(out.append->ticket == ++last_ticket_ && !out.append->records.empty(),
           "groups are counted, and none is empty");
      appending_ = std::move(out.append);
    }
    for (const auto& s : out.send) {
      Worker& w = worker(s.conn);
      must(!w.closed, "nothing is sent to a connection that ends");
      check_said(w, s.message);
      fuzz::check_frame(s.message);
    }
    for (const auto& c : out.close) {
      Worker& w = worker(c.conn);
      must(!w.closed, "a connection is closed once");
      must(!c.reason.empty(), "and for a reason");
      w.closed = true;
    }
    must(core_->connections() == open_, "connections are counted right");
    must(core_->decisions().size() <= 10, "so many decisions are kept");
    must(master_us() >= told_us_, "the master's time never steps back");
    told_us_ = master_us();
    must(told_us_ <= durable_.time().until.us, "nor is it told beyond what is reserved");
  }

  Worker& worker(ConnId conn) {
    for (Worker& w : workers_) {
      if (w.connected && w.conn == conn) return w;
    }
    must(false, "a connection that is spoken to is there");
    return workers_[0];
  }

  // Nothing rests on what is not durable.
  void check_said(Worker& w, const Message& m) {
    if (const auto* ack = std::get_if<Ack>(&m)) {
      const auto log = durable_.nodes().find(w.node);
      must(log != durable_.nodes().end() && log->second.last_seq >= ack->through,
           "what is acked is in the log");
      for (const AckException& e : ack->exceptions) {
        if (e.kind == ExceptionKind::superseded) check_winner(e.agent, e.winner);
      }
    } else if (const auto* welcome = std::get_if<Welcome>(&m)) {
      must(welcome->store_is_older ||
               (welcome->master == durable_.master() && welcome->term == durable_.term()),
           "master and term are in the log");
      must(welcome->t2 >= welcome->t1, "an answer goes after the question came");
    } else if (const auto* superseded = std::get_if<Superseded>(&m)) {
      for (const auto& e : superseded->entries) check_winner(e.agent, e.winner);
    } else if (const auto* challenge = std::get_if<Challenge>(&m)) {
      for (const auto& e : challenge->entries) {
        const AgentRecord* r = durable_.find(e.agent);
        must(r && r->top.epoch >= e.epoch, "what is asked about is in the log");
      }
    } else if (const auto* command = std::get_if<Command>(&m)) {
      must(command->left_us > 0, "nobody is asked to do what is too late");
      for (const auto& e : command->entries) {
        const AgentRecord* r = durable_.find(e.agent);
        must(r && r->has_session(), "that there is such an agent is in the log");
      }
    } else if (const auto* beat = std::get_if<HeartbeatAck>(&m)) {
      if (beat->t1 == 0) return;  // no sample
      must(beat->t1 >= w.answered_us && beat->t2 >= beat->t1, "time told does not step back");
      w.answered_us = beat->t2;
    }
  }
  void check_winner(AgentId agent, const Winner& winner) {
    const AgentRecord* r = durable_.find(agent);
    must(r && r->top >= winner.version, "the session that stands instead is in the log");
  }

  fuzz::Input& in_;
  Now now_;
  State durable_;
  std::unique_ptr<MasterCore> core_;
  std::optional<Output::Append> appending_;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t boot_ = 42, seed_ = 0, conns_ = 0;
  std::size_t open_ = 0;
  std::int64_t told_us_ = 0;
  std::array<Worker, 4> workers_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  Master(in).play();
  return 0;
}
