// A SidecarCore under random looks, lost connections, late ACKs, refusals, crashes and restored
// disks, against a master that keeps its own set of what the stream left open, by the events alone.
// Whenever the sidecar tells a digest, the two are equal (docs/protocol.md, section 14).
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "protocol/open_sessions.h"
#include "sidecar/core/sidecar_core.h"
#include "tests/scenario/describe.h"
#include "tests/support/sidecar_disk.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;

constexpr std::uint32_t kAgents = 12;

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    for (std::uint32_t a = 1; a <= kAgents; ++a) rows_[a] = row(a, kNever, -kWall);
    start();
  }

  void step() {
    now_ += 0.05 + 0.01 * static_cast<double>(below(300));
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return change_agent();
      case 4:
      case 5:
      case 6:
        return look();
      case 7:
      case 8:
      case 9:
        return take(core_->tick(at(now_)));
      case 10:
      case 11:
        return connect();
      case 12:
      case 13:
        return ack();
      case 14:
      case 15:
        return store();
      case 16:
        if (below(3) == 0) disconnect();
        return;
      case 17:
        if (below(6) == 0) crash();
        return;
      case 18:
        return superseded();
      default:
        return want();
    }
  }

  // All is well for a while; in the end both agree, and with the source.
  void settle() {
    calm_ = true;
    missing_ = 0;
    for (int i = 0; i < 60; ++i) {
      now_ += 1;
      connect();
      look();
      store();
      ack();
      take(core_->tick(at(now_)));
      store();
    }
    EXPECT_TRUE(exact_) << "an inventory came";
    EXPECT_EQ(compared_at_, now_beat_) << "the last heartbeat had a digest";
    OpenSessions known;
    for (const auto& [agent, state] : core_->tracker().agents()) {
      if (state.session && state.session->phase == Phase::open)
        known.set(agent, {state.session->epoch, state.session->change});
    }
    EXPECT_EQ(known, core_->stream_sessions());
    EXPECT_EQ(known, heard_);
  }

  std::size_t compared() const { return compared_; }
  std::size_t inventories() const { return inventories_; }
  std::size_t refused() const { return refused_; }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  AgentId some_agent() { return AgentId{static_cast<std::uint32_t>(1 + below(kAgents))}; }

  void start() {
    SidecarCore::Config c;
    c.node = "w1";
    c.machine = "m1";
    c.boot = kBoot;
    c.max_events = 20;
    core_ = std::make_unique<SidecarCore>(c, random_());
    auto out = core_->start(disk_, at(now_));
    ASSERT_TRUE(out) << out.error().message;
    take(*std::move(out));
  }

  // ---- the source

  void change_agent() {
    Row& r = rows_[static_cast<std::uint32_t>(1 + below(kAgents))];
    const auto second = static_cast<std::int64_t>(now_);
    if (below(3) != 0) {
      r.status = kActive;
      r.keepalive_s = second + kWall;
    } else if (r.status == kActive) {
      r.status = kGone;
      r.code = 3;
    }
  }
  void look() {
    std::vector<Row> rows;
    for (const auto& [id, r] : rows_) rows.push_back(r);
    if (!calm_ && below(30) == 0) {
      missing_ = missing_ == 0 ? static_cast<std::uint32_t>(1 + below(kAgents)) : 0;
    }
    std::erase_if(rows, [&](const Row& r) { return r.agent == AgentId{missing_}; });
    take(core_->look(look_at(now_, std::move(rows))));
  }

  // ---- the disk

  void store() {
    while (committing_) {
      apply(committing_->change, disk_);
      const std::uint64_t ticket = committing_->ticket;
      committing_.reset();
      take(core_->stored(ticket, at(now_)));
    }
  }
  void crash() {
    if (committing_ && below(2) == 0) apply(committing_->change, disk_);
    committing_.reset();
    connected_ = welcomed_ = false;
    const std::uint64_t what = below(8);
    if (what == 0) {
      if (backup_) disk_ = *backup_;
      exact_ = false;
    } else if (what == 1) {
      disk_ = {};
      exact_ = false;
    } else if (what == 2) {
      backup_ = disk_;
    }
    start();
  }

  // ---- the connection

  void connect() {
    if (connected_) return;
    connected_ = true;
    welcomed_ = false;
    take(core_->connected(at(now_)));
    if (!calm_ && below(8) == 0) return;  // the answer never comes
    Welcome w;
    w.t0 = hello_.t0;
    w.t1 = w.t2 = master_time(now_).us;
    w.window = 1u << 20;
    w.heartbeat_us = 2 * kSecond;
    const std::uint64_t what = calm_ ? 39 : below(40);
    if (what == 0) {
      // Another master: it knows nothing.
      ++master_;
      heard_ = {};
      positions_.clear();
      begun_.reset();
      exact_ = true;
    } else if (what == 1) {
      ++term_;
    }
    w.master = MasterId{master_};
    w.term = Term{term_};
    const std::uint64_t highest = positions_[hello_.store];
    if (hello_.stream != stream_) {
      if (highest > hello_.start_position) {
        w.store_is_older = true;
        return hear(w);
      }
      stream_ = hello_.stream;
      last_seq_ = 0;
      refused_seqs_.clear();
    }
    if (what == 2 && hello_.digest) heard_ = {}, exact_ = false, ++term_, w.term = Term{term_};
    last_on_connection_.reset();
    welcomed_ = true;
    hear(w);
  }
  void disconnect() {
    if (!connected_) return;
    connected_ = welcomed_ = false;
    begun_.reset();
    acked_ = 0;
    take(core_->disconnected(at(now_)));
  }
  void hear(const Message& m) {
    tell(m);
    take(core_->message(m, at(now_)));
  }
  void tell(const Message& m) {
    told_.push_back(number(now_) + " " + scenario::describe(m, master_time(0)));
    if (told_.size() > 60) told_.pop_front();
  }
  // What differs, and how it came about.
  std::string story() const { return story(core_->stream_sessions(), heard_); }
  std::string story(const OpenSessions& sidecar, const OpenSessions& master) const {
    std::string out;
    for (std::uint32_t id = 1; id <= kAgents; ++id) {
      const auto* here = sidecar.find(AgentId{id});
      const auto* there = master.find(AgentId{id});
      const auto said = [](const auto* s) {
        return s ? text(s->epoch) + "+" + std::to_string(s->change) : std::string("none");
      };
      if (said(here) != said(there))
        out += "agent " + std::to_string(id) + ": sidecar " + said(here) + ", master " +
               said(there) + "\n";
    }
    for (const std::string& line : told_) out += line + "\n";
    return out;
  }

  // Answers a part of what came, or all.
  void ack() {
    if (!welcomed_) return;
    const std::int64_t t = master_time(now_).us;
    if (calm_ || below(2) == 0) hear(HeartbeatAck{us(now_), t, t});
    if (!welcomed_ || !last_on_connection_) return;
    const auto s = core_->status(at(now_));
    if (*last_on_connection_ <= s.acked_seq) return;
    Ack a;
    a.through = *last_on_connection_ -
                (calm_ || below(2) == 0 ? 0 : below(*last_on_connection_ - s.acked_seq));
    for (const auto& [seq, agent] : refused_seqs_) {
      if (seq > s.acked_seq && seq <= a.through)
        a.exceptions.push_back({seq, agent, ExceptionKind::future_epoch, {}});
    }
    hear(a);
  }
  void superseded() {
    if (!welcomed_) return;
    const AgentId agent = some_agent();
    const auto it = core_->tracker().agents().find(agent);
    if (it == core_->tracker().agents().end() || !it->second.session) return;
    const Epoch epoch = it->second.session->epoch;
    if (epoch == kUnstamped) return;
    Superseded s;
    const bool own = below(3) == 0;
    s.entries.push_back(
        {agent, {{own ? epoch : next(epoch), own ? "w1" : "w2", own ? kMasterCloses : 0}, !own}});
    hear(s);
  }
  void want() {
    if (!welcomed_) return;
    Want w;
    switch (below(5)) {
      case 0:
        w.inventory = true;
        break;
      case 1:
        w.leaves = {leaf_of(AgentId{1})};
        break;
      case 2:
        w.digests_of = {kTreeRoot, child_of(kTreeRoot, 0), kTreeRoot};
        break;
      case 3:
        w.retry_after_us = kSecond;
        break;
      default:
        w.infos = {some_agent()};
    }
    hear(w);
  }

  void take(Output out) {
    if (out.commit) {
      EXPECT_FALSE(committing_);
      committing_ = std::move(out.commit);
    }
    std::vector<Message> answers;
    for (const Message& m : out.send) {
      tell(m);
      if (connected_) std::visit([&](const auto& said) { on(said, answers); }, m);
    }
    if (out.close) return disconnect();
    for (const Message& m : answers) {
      if (welcomed_) hear(m);
    }
  }

  // ---- what the master hears

  template <typename T>
  void on(const T&, std::vector<Message>&) {}
  void on(const Hello& h, std::vector<Message>&) {
    hello_ = h;
    if (h.digest && h.stream == stream_ && h.last_master == MasterId{master_} && exact_) {
      EXPECT_EQ(*h.digest, heard_.digest()) << "HELLO at " << now_;
    }
  }
  void on(const Delta& d, std::vector<Message>&) {
    ASSERT_TRUE(welcomed_);
    if (last_on_connection_) {
      ASSERT_EQ(d.first_seq, *last_on_connection_ + 1);
    }
    positions_[hello_.store] = std::max(positions_[hello_.store], d.position);
    std::uint64_t seq = d.first_seq;
    for (const Event& e : d.events) {
      last_on_connection_ = seq;
      // What comes again is decided again, all of it: what was refused may be taken now.
      const bool taken = seq <= last_seq_ && !refused_seqs_.contains(seq);
      refused_seqs_.erase(seq);
      decide(seq, e, taken);
      ++seq;
    }
    last_seq_ = std::max(last_seq_, seq - 1);
  }
  void decide(std::uint64_t seq, const Event& e, bool taken_before) {
    const bool ahead = !taken_before && static_cast<std::uint64_t>(e.epoch) % 4 == 0 &&
                       master_time(now_).us < time_of(e.epoch).us + 20 * kSecond;
    if (!calm_ && ahead && e.kind != EventKind::contact) {
      refused_seqs_[seq] = e.agent;
      if (begun_) begun_->since.insert(e.agent);
      ++refused_;
      return;
    }
    heard_.take(e.agent, e.kind, e.epoch, e.change);
    if (begun_) begun_->since.insert(e.agent);
  }
  // The sidecar knows of all refusals, so that they count on neither side.
  bool comparable() const {
    const std::uint64_t acked = core_->status(at(now_)).acked_seq;
    return exact_ &&
           std::ranges::none_of(refused_seqs_, [&](const auto& r) { return r.first > acked; });
  }
  void check_seq(std::uint64_t seq) {
    if (last_on_connection_) {
      EXPECT_EQ(seq, *last_on_connection_);
    } else {
      EXPECT_GE(seq + 1, hello_.first_seq);
    }
  }
  void on(const Heartbeat& h, std::vector<Message>& answers) {
    check_seq(h.seq);
    now_beat_ = now_;
    if (!h.digest) return;
    compared_at_ = now_;
    ++compared_;
    if (exact_) {
      if (comparable()) {
        ASSERT_EQ(*h.digest, heard_.digest()) << story();
      }
      return;
    }
    Want w;
    w.inventory = true;
    answers.emplace_back(w);
  }
  void on(const Digests& d, std::vector<Message>&) {
    check_seq(d.seq);
    ASSERT_EQ(d.entries.size(), 2u) << "each node once";
    if (!comparable()) return;
    for (const auto& e : d.entries) EXPECT_EQ(e.children, heard_.children(e.node));
  }
  void on(const InventoryBegin& b, std::vector<Message>& answers) {
    check_seq(b.seq);
    begun_ = Begun{b, heard_, {}, {}, comparable()};
    const std::uint64_t acked = core_->status(at(now_)).acked_seq;
    for (const auto& [seq, agent] : refused_seqs_) {
      if (seq > acked) begun_->since.insert(agent);
    }
    answers.emplace_back(InventoryAck{b.id, 0});
  }
  void on(const InventoryChunk& c, std::vector<Message>& answers) {
    if (!begun_) return;
    ASSERT_EQ(c.id, begun_->begin.id);
    for (const InventoryEntry& e : c.entries) {
      EXPECT_LE(e.evidence.lo, e.evidence.hi);
      begun_->entries.set(e.agent, {e.epoch, e.change});
    }
    answers.emplace_back(InventoryAck{c.id, begun_->entries.size()});
  }
  void on(const InventoryEnd& e, std::vector<Message>&) {
    if (!begun_) return;
    ASSERT_EQ(e.id, begun_->begin.id);
    EXPECT_EQ(e.count, begun_->entries.size());
    EXPECT_EQ(e.digest, begun_->entries.digest());
    if (begun_->exact && exact_ && begun_->begin.leaves.empty()) {
      EXPECT_EQ(begun_->entries, begun_->at_cut) << story(begun_->entries, begun_->at_cut);
    }
    if (begun_->begin.leaves.empty()) repair();
    begun_.reset();
  }
  // The set difference, without a word about it.
  void repair() {
    ++inventories_;
    for (std::uint32_t id = 1; id <= kAgents; ++id) {
      const AgentId agent{id};
      if (begun_->since.contains(agent)) continue;
      heard_.erase(agent);
      if (const auto* s = begun_->entries.find(agent)) heard_.set(agent, *s);
    }
    exact_ = exact_ || begun_->since.empty();
  }

  std::mt19937_64 random_;
  double now_ = 1;
  std::map<std::uint32_t, Row> rows_;
  std::uint32_t missing_ = 0;
  StoreImage disk_;
  std::optional<StoreImage> backup_;
  std::unique_ptr<SidecarCore> core_;
  std::optional<Output::Commit> committing_;

  // The master.
  struct Begun {
    InventoryBegin begin;
    OpenSessions at_cut;
    OpenSessions entries;
    std::set<AgentId> since;
    bool exact = false;
  };
  std::uint64_t master_ = 1, term_ = 1;
  OpenSessions heard_;
  bool calm_ = false;
  bool exact_ = true;  // no disk was lost since the last inventory
  std::map<StoreId, std::uint64_t> positions_;
  StreamId stream_{};
  std::uint64_t last_seq_ = 0;
  std::map<std::uint64_t, AgentId> refused_seqs_;
  bool connected_ = false, welcomed_ = false;
  Hello hello_;
  std::optional<std::uint64_t> last_on_connection_;
  std::uint64_t acked_ = 0;
  std::optional<Begun> begun_;

  std::size_t compared_ = 0, inventories_ = 0, refused_ = 0;
  double compared_at_ = 0, now_beat_ = 0;
  std::deque<std::string> told_;
};

TEST(ReconcilerModel, WheneverADigestIsToldBothSidesHoldTheSame) {
  std::size_t compared = 0, inventories = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    for (int i = 0; i < 600 && !::testing::Test::HasFailure(); ++i) world.step();
    if (!::testing::Test::HasFailure()) world.settle();
    if (::testing::Test::HasFailure()) return;
    compared += world.compared();
    inventories += world.inventories();
    refused += world.refused();
  }
  EXPECT_GT(compared, 1000u);
  EXPECT_GT(inventories, 300u);
  EXPECT_GT(refused, 300u);
}

}  // namespace
}  // namespace rollcall::sidecar
