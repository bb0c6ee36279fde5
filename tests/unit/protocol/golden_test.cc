// The bytes of each released protocol version, which decode for ever. After a deliberate change of
// a version that is not released yet: ROLLCALL_REWRITE_GOLDEN=1, and read the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <utility>
#include <vector>

#include "protocol/codec.h"
#include "tests/unit/protocol/random_messages.h"

namespace rollcall {
namespace {

constexpr const char* kFile = ROLLCALL_SOURCE_DIR "/tests/golden/protocol-1.txt";

struct Sample {
  std::string name;
  Message message;
  Compression compression = Compression::none;
};

Event event(std::uint32_t agent, EventKind kind, std::uint32_t change) {
  Event e;
  e.agent = AgentId{agent};
  e.epoch = Epoch{1'700'000'000'000'000};
  e.change = change;
  e.kind = kind;
  e.evidence = {{1'700'000'000'000'000}, {1'700'000'001'000'000}};
  return e;
}

constexpr Digest kDigest{0x0102'0304'0506'0708, 0x1112'1314'1516'1718};
constexpr Evidence kEvidence{{1'700'000'020'000'000}, {1'700'000'021'000'000}};

HeartbeatAck heartbeat_ack() {
  HeartbeatAck m;
  m.t0 = 86'410'000'000;
  m.t1 = 1'700'000'012'000'000;
  m.t2 = 1'700'000'012'000'090;
  m.agreement = Agreement::equal;
  m.lease_us = 30'000'000;
  return m;
}

HeartbeatAck slower(HeartbeatAck m) {
  m.heartbeat_us = 20'000'000;
  return m;
}

Hello hello() {
  Hello m;
  m.protocol_min = 1;
  m.protocol_max = 1;
  m.cluster = "wazuh";
  m.node = "w1";
  m.machine = "3f1c9a";
  m.store = StoreId{0x1111'2222'3333'4444};
  m.stream = StreamId{0x5555'6666'7777'8888};
  m.first_seq = 41;
  m.highest_epoch = Epoch{1'700'000'000'000'000};
  m.start_position = 900;
  m.acked_position = 905;
  m.last_master = MasterId{0x9999'aaaa'bbbb'cccc};
  m.last_term = Term{0xdddd'eeee'ffff'0001};
  m.open_sessions = 1200;
  m.software = "rollcall 0.1.0";
  m.t0 = 86'400'000'000;
  return m;
}

Welcome welcome() {
  Welcome m;
  m.protocol = 1;
  m.master = MasterId{0x9999'aaaa'bbbb'cccc};
  m.term = Term{0xdddd'eeee'ffff'0001};
  m.last_seq = 40;
  m.store_is_older = false;
  m.heartbeat_us = 10'000'000;
  m.ttl_us = 30'000'000;
  m.max_frame = 1u << 20;
  m.window = 1u << 20;
  m.t0 = 86'400'000'000;
  m.t1 = 1'700'000'002'000'000;
  m.t2 = 1'700'000'002'000'150;
  m.time_began = {1'699'990'000'000'000};
  return m;
}

Delta delta_of_each_kind() {
  Delta m;
  m.first_seq = 43;
  m.position = 915;
  for (std::uint8_t kind = 1; kind <= 9; ++kind) {
    m.events.push_back(event(kind, static_cast<EventKind>(kind), kind - 1u));
  }
  m.events[2].evidence = {{1'700'000'030'000'000}, {1'700'000'031'000'000}};
  m.events[3].reason = Reason::no_keepalive;
  m.events[7].reason = Reason::moved;
  m.events[8].evidence = {{1'699'999'999'000'000}, {1'700'000'000'000'000}};
  return m;
}

Delta delta_with_everything() {
  Delta m;
  m.first_seq = 42;
  m.position = 906;
  Event e = event(7, EventKind::closed, 5);
  e.reason = Reason::shutdown;
  e.info = std::make_shared<const AgentInfo>(AgentInfo{{"ip", "10.0.0.7"}, {"name", "db-07"}});
  e.info_hash = hash_of(*e.info);
  e.from = SessionName{Epoch{1'699'999'000'000'000}, "w2"};
  e.folded = 3;
  m.events = {e};
  return m;
}

Delta offered() {
  Delta m;
  m.first_seq = 46;
  m.position = 919;
  m.events = {event(7, EventKind::offered, 3)};
  m.events[0].grace_us = 300'000'000;
  return m;
}

// Large enough to be compressed.
Delta delta_to_compress() {
  Delta m;
  m.first_seq = 52;
  m.position = 924;
  for (std::uint32_t i = 0; i < 3; ++i) {
    Event e = event(7 + i, EventKind::opened, 0);
    e.info = std::make_shared<const AgentInfo>(AgentInfo{{"ip", "10.0.0." + std::to_string(7 + i)},
                                                         {"os_name", "Debian GNU/Linux"},
                                                         {"version", "Wazuh v4.14.7"}});
    e.info_hash = hash_of(*e.info);
    m.events.push_back(std::move(e));
  }
  return m;
}

template <typename M>
M with_features(M m) {
  m.features = {std::string(kFeatureZstd)};
  return m;
}

std::vector<Sample> samples() {
  const Winner winner{{Epoch{1'700'000'005'000'000}, "w2", 0}, true};
  Delta one;
  one.first_seq = 41;
  one.position = 905;
  one.events = {event(7, EventKind::opened, 0)};
  Ack ack{42,
          {{40, AgentId{7}, ExceptionKind::superseded, winner},
           {41, AgentId{8}, ExceptionKind::need_info, {}},
           {42, AgentId{9}, ExceptionKind::future_epoch, {}}}};
  Challenge challenge{
      {{AgentId{7}, Epoch{1'700'000'000'000'000}, MasterTime{1'700'000'004'000'000}}}};
  ErrorMessage error;
  error.code = ErrorCode::node_in_use;
  error.text = "w1 is connected from another machine";
  error.fatal = true;
  error.retry_after_us = 20'000'000;
  Hello returning = hello();
  returning.digest = kDigest;
  Want want_digests, want_inventory, want_leaves;
  want_digests.digests_of = {kTreeRoot, child_of(kTreeRoot, 3)};
  want_inventory.inventory = true;
  want_inventory.infos = {AgentId{7}, AgentId{70'000}};
  want_leaves.leaves = {leaf_of(AgentId{7}), leaf_of(AgentId{16})};
  want_leaves.retry_after_us = 5'000'000;
  Digests digests{42, {{kTreeRoot, {}}}};
  digests.entries[0].children[0] = kDigest;
  digests.entries[0].children[15] = {1, 2};
  const InventoryChunk chunk{
      77,
      {{AgentId{7}, Epoch{1'700'000'000'000'000}, 0, kEvidence},
       {AgentId{300}, Epoch{1'699'999'999'000'000}, 3, {kEvidence.lo, kEvidence.lo}}}};
  return {{"HELLO", hello()},
          {"HELLO-digest", returning},
          {"HELLO-features", with_features(hello())},
          {"WELCOME", welcome()},
          {"WELCOME-features", with_features(welcome())},
          {"DELTA", one},
          {"DELTA-kinds", delta_of_each_kind()},
          {"DELTA-full", delta_with_everything()},
          {"DELTA-offered", offered()},
          {"DELTA-compressed", delta_to_compress(), Compression::zstd},
          {"ACK", Ack{42, {}}},
          {"ACK-exceptions", ack},
          {"SUPERSEDED", Superseded{{{AgentId{7}, winner}}}},
          {"CHALLENGE", challenge},
          {"HEARTBEAT", Heartbeat{42, 1200, 86'410'000'000}},
          {"HEARTBEAT-digest", Heartbeat{42, 1200, 86'410'000'000, kDigest}},
          {"HEARTBEAT-blind", Heartbeat{42, 1200, 86'410'000'000, std::nullopt, true}},
          {"HEARTBEAT_ACK", heartbeat_ack()},
          {"HEARTBEAT_ACK-heartbeat", slower(heartbeat_ack())},
          {"WANT-digests", want_digests},
          {"WANT-inventory", want_inventory},
          {"WANT-leaves", want_leaves},
          {"DIGESTS", digests},
          {"INVENTORY_BEGIN", InventoryBegin{77, 42, 30'000'000, {}}},
          {"INVENTORY_BEGIN-leaves",
           InventoryBegin{78, 42, 30'000'000, {leaf_of(AgentId{7}), leaf_of(AgentId{16})}}},
          {"INVENTORY_CHUNK", chunk},
          {"INVENTORY_END", InventoryEnd{77, 2, kDigest}},
          {"INVENTORY_ACK", InventoryAck{77, 2}},
          {"COMMAND", Command{"deploy-7",
                              CommandKind::restart,
                              {{AgentId{7}, "Wazuh v4.14.7"}, {AgentId{300}, "Wazuh v3.13.6"}},
                              9'500'000}},
          {"RESULT",
           Result{"deploy-7",
                  {{AgentId{7}, CommandOutcome::sent}, {AgentId{300}, CommandOutcome::not_here}},
                  {}}},
          {"RESULT-why", Result{"deploy-7",
                                {{AgentId{7}, CommandOutcome::socket}},
                                "cannot send to /var/ossec/queue/alerts/ar"}},
          {"BYE", Bye{ByeReason::restart, 120'000'000}},
          {"ERROR", error},
          {"UNKNOWN", UnknownMessage{99}}};
}

std::string frame_of(const Message& message, Compression compression = Compression::none) {
  std::string frame;
  encode_frame(message, frame, compression);
  return frame;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

void rewrite() {
  std::ofstream file(kFile);
  file << "# Whole frames of protocol version 1: name, then hex. Read by golden_test.cc.\n";
  for (const Sample& sample : samples()) {
    file << sample.name << ' ' << to_hex(frame_of(sample.message, sample.compression)) << '\n';
  }
}

std::map<std::string, std::string> golden_frames() {
  static const bool once = [] {
    if (std::getenv("ROLLCALL_REWRITE_GOLDEN") != nullptr) rewrite();
    return true;
  }();
  (void)once;
  std::map<std::string, std::string> frames;
  std::ifstream file(kFile);
  std::string name, hex;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.find(' ');
    frames[line.substr(0, space)] = from_hex(line.substr(space + 1));
  }
  return frames;
}

std::string_view payload_of(std::string_view frame) {
  return frame.substr(kFrameHeader);
}

TEST(Golden, EveryFrameDecodesToItsMessage) {
  const auto frames = golden_frames();
  for (const Sample& sample : samples()) {
    ASSERT_TRUE(frames.contains(sample.name)) << sample.name;
    const auto message = decode(payload_of(frames.at(sample.name)));
    ASSERT_TRUE(message) << sample.name << ": " << message.error().message;
    EXPECT_EQ(*message, sample.message) << sample.name;
  }
  EXPECT_EQ(frames.size(), samples().size()) << "a golden frame without its message";
}

TEST(Golden, EveryMessageEncodesToItsFrame) {
  const auto frames = golden_frames();
  for (const Sample& sample : samples()) {
    ASSERT_TRUE(frames.contains(sample.name)) << sample.name;
    // How small zstd makes it may change from one version of zstd to the next.
    if (sample.compression != Compression::none) continue;
    EXPECT_EQ(to_hex(frame_of(sample.message)), to_hex(frames.at(sample.name))) << sample.name;
  }
}

TEST(Golden, TheDocumentShowsTheseFrames) {
  std::ifstream file(ROLLCALL_SOURCE_DIR "/docs/protocol.md");
  std::string document;
  for (char c = 0; file.get(c);) {
    if (c != ' ' && c != '\n') document += c;  // long ones are broken over lines
  }
  for (const auto& [name, frame] : golden_frames()) {
    if (name == "DELTA-kinds" || name == "UNKNOWN") continue;
    EXPECT_TRUE(document.contains(to_hex(frame))) << name << " in docs/protocol.md, section 8";
  }
}

TEST(Golden, EveryTruncationOfAFrameIsAnError) {
  for (const auto& [name, frame] : golden_frames()) {
    const std::string_view payload = payload_of(frame);
    for (std::size_t n = 0; n < payload.size(); ++n) {
      // A copy of its own size, so that a read beyond its end is seen by a sanitizer.
      const std::vector<char> cut(payload.begin(), payload.begin() + static_cast<long>(n));
      EXPECT_FALSE(decode({cut.data(), cut.size()})) << name << " cut at " << n;
    }
  }
}

TEST(Golden, AFrameWithAByteMoreIsAnError) {
  for (const auto& [name, frame] : golden_frames()) {
    EXPECT_FALSE(decode(std::string(payload_of(frame)) + '\0')) << name;
  }
}

TEST(Golden, FlippedBytesNeverCrashAndWhatStillDecodesIsAMessage) {
  for (const auto& [name, frame] : golden_frames()) {
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      testing::Rng rng(seed);
      std::string payload(payload_of(frame));
      for (std::uint64_t n = 1 + rng() % 4; n > 0; --n) {
        payload[rng() % payload.size()] = static_cast<char>(rng());
      }
      const auto message = decode(payload);
      if (!message) continue;
      const auto again = decode(payload_of(frame_of(*message)));
      ASSERT_TRUE(again) << name << " seed " << seed << ": " << again.error().message;
      ASSERT_EQ(*again, *message) << name << " seed " << seed;
    }
  }
}

}  // namespace
}  // namespace rollcall
