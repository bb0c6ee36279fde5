#include "protocol/agent_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <sstream>
#include <vector>

namespace rollcall {
namespace {

constexpr MasterTime kNow{1'000'000'000};

// What one worker says about the agent: a few verbs, then details.
struct Said {
  NodeName node;
  Event event;

  Said evidence(std::int64_t lo, std::int64_t hi) const {
    Said copy = *this;
    copy.event.evidence = {{lo}, {hi}};
    return copy;
  }
  Said because(Reason reason) const {
    Said copy = *this;
    copy.event.reason = reason;
    return copy;
  }
  Said with_hash(const AgentInfo& info) const {
    Said copy = *this;
    copy.event.info_hash = hash_of(info);
    return copy;
  }
  Said with_info(const AgentInfo& info) const {
    Said copy = with_hash(info);
    copy.event.info = std::make_shared<const AgentInfo>(info);
    return copy;
  }
};

Said says(NodeName node, EventKind kind, std::uint64_t epoch, std::uint32_t change) {
  Said said{std::move(node), {}};
  said.event.agent = AgentId{7};
  said.event.kind = kind;
  said.event.epoch = Epoch{epoch};
  said.event.change = change;
  said.event.evidence = {time_of(Epoch{epoch}), time_of(Epoch{epoch})};
  return said;
}
Said opened(NodeName node, std::uint64_t epoch) {
  return says(std::move(node), EventKind::opened, epoch, 0);
}
Said confirmed(NodeName node, std::uint64_t epoch, std::uint32_t change) {
  return says(std::move(node), EventKind::confirmed, epoch, change);
}
Said closed(NodeName node, std::uint64_t epoch, std::uint32_t change) {
  return says(std::move(node), EventKind::closed, epoch, change).because(Reason::shutdown);
}
Said contact(NodeName node, std::uint64_t epoch) {
  return says(std::move(node), EventKind::contact, epoch, 0);
}

struct Table {
  AgentRecord record;
  Rule hears(const Said& said, MasterTime now = kNow) {
    return record.apply(said.node, said.event, now);
  }
  std::string shows() const {
    return std::string(to_string(record.phase)) + " " + to_string(record.top);
  }
};

MasterTime contact_of(const AgentRecord& record, const NodeName& node) {
  for (const auto& c : record.contacts) {
    if (c.node == node) return c.hi;
  }
  return {-1};
}

// ---- The rule --------------------------------------------------------------------------------

TEST(AgentRecord, LateDisconnectOfAnOlderSessionChangesNothing) {
  Table table;
  EXPECT_EQ(table.hears(opened("w2", 100)), Rule::first);
  EXPECT_EQ(table.hears(opened("w1", 200)), Rule::newer);
  EXPECT_EQ(table.hears(closed("w2", 100, 1)), Rule::older);
  EXPECT_EQ(table.shows(), "open 200@w1+0");
  EXPECT_EQ(table.record.reason, Reason::none);
}

TEST(AgentRecord, LateDisconnectIsRefusedWhateverItsChange) {
  Table table;
  table.hears(opened("w1", 200));
  EXPECT_EQ(table.hears(closed("w2", 100, 0xffff'ffffu)), Rule::older);
  EXPECT_EQ(table.shows(), "open 200@w1+0");
}

TEST(AgentRecord, DisconnectBeforeTheNewerConnectDoesNoHarm) {
  Table table;
  table.hears(opened("w2", 100));
  EXPECT_EQ(table.hears(closed("w2", 100, 9999)), Rule::newer);
  EXPECT_EQ(table.shows(), "closed 100@w2+9999");
  EXPECT_EQ(table.hears(opened("w1", 101)), Rule::newer);
  EXPECT_EQ(table.shows(), "open 101@w1+0");
}

TEST(AgentRecord, EqualEpochsAreDecidedByNodeName) {
  Table one, other;
  one.hears(opened("w10", 100));
  one.hears(opened("w2", 100));
  other.hears(opened("w2", 100));
  other.hears(opened("w10", 100));
  EXPECT_EQ(one.shows(), "open 100@w2+0") << "bytewise, not by number";
  EXPECT_EQ(other.shows(), "open 100@w2+0");
}

TEST(AgentRecord, DisconnectOfTheSessionThatStandsIsAccepted) {
  Table table;
  table.hears(opened("w1", 100));
  EXPECT_EQ(table.hears(closed("w1", 100, 1)), Rule::newer);
  EXPECT_EQ(table.shows(), "closed 100@w1+1");
  EXPECT_EQ(table.record.reason, Reason::shutdown);
}

TEST(AgentRecord, OlderChangeOfTheSameSessionIsRefused) {
  Table table;
  table.hears(closed("w1", 100, 2));
  EXPECT_EQ(table.hears(opened("w1", 100)), Rule::older);
  EXPECT_EQ(table.shows(), "closed 100@w1+2");
}

TEST(AgentRecord, MastersOwnCloseEndsThatSessionButNotTheNext) {
  Table table;
  table.hears(opened("w1", 100));
  EXPECT_EQ(table.hears(closed("w1", 100, 0xffff'ffffu)), Rule::newer);
  EXPECT_EQ(table.hears(confirmed("w1", 100, 5)), Rule::older);
  EXPECT_EQ(table.hears(opened("w1", 101)), Rule::newer);
  EXPECT_EQ(table.shows(), "open 101@w1+0");
}

TEST(AgentRecord, ReleasedIsNotOpen) {
  Table table;
  table.hears(opened("w1", 100));
  table.hears(says("w1", EventKind::released, 100, 1).because(Reason::moved));
  EXPECT_EQ(table.shows(), "released 100@w1+1");
  EXPECT_FALSE(table.record.is_open());
}

TEST(AgentRecord, SameVersionSameMeaningIsADuplicate) {
  Table table;
  table.hears(closed("w1", 100, 1));
  const AgentRecord before = table.record;
  EXPECT_EQ(table.hears(closed("w1", 100, 1)), Rule::duplicate);
  EXPECT_EQ(table.record, before);
}

TEST(AgentRecord, SameVersionOtherMeaningIsAConflict) {
  Table table;
  table.hears(closed("w1", 100, 1));
  const AgentRecord before = table.record;
  EXPECT_EQ(table.hears(confirmed("w1", 100, 1)), Rule::conflict);
  EXPECT_EQ(table.record, before) << "what was heard first stands";
}

TEST(AgentRecord, FutureEpochIsRefusedAndRaisesNothing) {
  const auto edge = static_cast<std::uint64_t>(kNow.us + kFutureToleranceUs);
  for (const std::uint64_t epoch :
       {edge + 1, std::uint64_t{1} << 62, std::uint64_t{1} << 63, UINT64_MAX}) {
    Table table;
    table.hears(opened("w1", 100));
    const AgentRecord before = table.record;
    EXPECT_EQ(table.hears(opened("w2", epoch).evidence(500, 600).with_info({{"ip", "a"}})),
              Rule::future_epoch);
    EXPECT_EQ(table.hears(contact("w2", epoch).evidence(500, 600)), Rule::future_epoch);
    EXPECT_EQ(table.record, before) << epoch;
  }
}

TEST(AgentRecord, EpochWithinTheToleranceIsAccepted) {
  Table table;
  EXPECT_EQ(table.hears(opened("w1", static_cast<std::uint64_t>(kNow.us + kFutureToleranceUs))),
            Rule::first);
}

// ---- Evidence and doubt ----------------------------------------------------------------------

TEST(AgentRecord, EvidenceBeyondNowIsClamped) {
  Table table;
  table.hears(opened("w1", 100).evidence(kNow.us + 5, kNow.us + 1'000'000));
  EXPECT_EQ(table.record.lo, kNow);
  EXPECT_EQ(table.record.hi, kNow);
  EXPECT_EQ(contact_of(table.record, "w1"), kNow);
}

TEST(AgentRecord, NewerSessionStartsWithItsOwnEvidence) {
  Table table;
  table.hears(opened("w1", 100).evidence(500, 600));
  table.hears(opened("w2", 200).evidence(300, 400));
  EXPECT_EQ(table.record.lo, MasterTime{300});
  EXPECT_EQ(table.record.hi, MasterTime{400});
}

TEST(AgentRecord, LateEvidenceOfTheSessionThatStandsStillCounts) {
  Table table;
  table.hears(confirmed("w1", 100, 2).evidence(300, 310));
  EXPECT_EQ(table.hears(confirmed("w1", 100, 1).evidence(400, 420)), Rule::older);
  EXPECT_EQ(table.record.lo, MasterTime{400});
  EXPECT_EQ(table.record.hi, MasterTime{420});
}

TEST(AgentRecord, RefusedEventsRaiseTheContact) {
  Table table;
  table.hears(opened("w1", 200));
  EXPECT_EQ(table.hears(closed("w2", 100, 1).evidence(100, 150)), Rule::older);
  EXPECT_EQ(contact_of(table.record, "w2"), MasterTime{150});
}

TEST(AgentRecord, DuplicatesRaiseTheContact) {
  Table table;
  table.hears(opened("w1", 100).evidence(100, 110));
  EXPECT_EQ(table.hears(opened("w1", 100).evidence(100, 190)), Rule::duplicate);
  EXPECT_EQ(contact_of(table.record, "w1"), MasterTime{190});
}

TEST(AgentRecord, AContactAloneMakesNoSession) {
  Table table;
  EXPECT_EQ(table.hears(contact("w1", 100)), Rule::contact);
  EXPECT_FALSE(table.record.has_session());
  EXPECT_EQ(table.record.doubt(), std::nullopt);
  EXPECT_EQ(table.hears(opened("w2", 50)), Rule::first);
}

TEST(AgentRecord, AContactChangesNothingButTheContact) {
  Table table;
  table.hears(opened("w1", 100));
  EXPECT_EQ(table.hears(contact("w1", 999).evidence(800, 900)), Rule::contact);
  EXPECT_EQ(table.shows(), "open 100@w1+0");
  EXPECT_EQ(table.record.lo, MasterTime{100});
  EXPECT_EQ(contact_of(table.record, "w1"), MasterTime{900});
}

TEST(AgentRecord, ContactsAreTheTwoLatestOfDifferentWorkers) {
  Table table;
  for (const std::int64_t hi : {300, 310, 320}) table.hears(contact("w1", 1).evidence(0, hi));
  table.hears(contact("w2", 1).evidence(0, 200));
  table.hears(contact("w3", 1).evidence(0, 100));
  EXPECT_EQ(contact_of(table.record, "w1"), MasterTime{320});
  EXPECT_EQ(contact_of(table.record, "w2"), MasterTime{200});
  table.hears(contact("w3", 1).evidence(0, 400));
  EXPECT_EQ(contact_of(table.record, "w3"), MasterTime{400});
  EXPECT_EQ(contact_of(table.record, "w1"), MasterTime{320});
  EXPECT_EQ(contact_of(table.record, "w2"), MasterTime{-1});
}

TEST(AgentRecord, AMomentBefore1970DisplacesNoOtherContact) {
  Table table;
  table.hears(contact("w1", 1).evidence(-20, -10));
  table.hears(contact("w1", 1).evidence(-20, -9));
  table.hears(contact("w2", 1).evidence(-20, -15));
  EXPECT_EQ(contact_of(table.record, "w1"), MasterTime{-9});
  EXPECT_EQ(contact_of(table.record, "w2"), MasterTime{-15});
}

TEST(AgentRecord, DoubtArisesWhenAnotherWorkerMayHaveHeardTheAgentAfterTheWinner) {
  Table table;
  table.hears(opened("w1", 200).evidence(200, 210));
  table.hears(closed("w2", 100, 1).evidence(100, 199));
  EXPECT_EQ(table.record.doubt(), std::nullopt) << "before the winner's lo";
  table.hears(contact("w2", 100).evidence(190, 200));
  EXPECT_EQ(table.record.doubt(), MasterTime{200}) << "at the winner's lo";
  table.hears(contact("w2", 100).evidence(190, 500));
  EXPECT_EQ(table.record.doubt(), MasterTime{500});
}

TEST(AgentRecord, DoubtArisesAlsoWhenTheOtherWorkerWasHeardFirst) {
  Table table;
  table.hears(closed("w2", 100, 1).evidence(100, 500));
  table.hears(opened("w1", 200).evidence(200, 210));
  EXPECT_EQ(table.record.doubt(), MasterTime{500});
}

TEST(AgentRecord, DoubtEndsWhenTheWinnerConfirmsWithLaterEvidence) {
  Table table;
  table.hears(opened("w1", 200).evidence(200, 210));
  table.hears(contact("w2", 100).evidence(190, 500));
  table.hears(confirmed("w1", 200, 1).evidence(500, 510));
  EXPECT_EQ(table.record.doubt(), MasterTime{500}) << "not after it";
  table.hears(confirmed("w1", 200, 2).evidence(501, 510));
  EXPECT_EQ(table.record.doubt(), std::nullopt);
}

TEST(AgentRecord, DoubtEndsWhenTheSessionDoes) {
  Table table;
  table.hears(opened("w1", 200).evidence(200, 210));
  table.hears(contact("w2", 100).evidence(190, 500));
  table.hears(closed("w1", 200, 1).because(Reason::unconfirmed));
  EXPECT_EQ(table.record.doubt(), std::nullopt);
}

TEST(AgentRecord, DoubtEndsWhenTheOtherWorkerTakesTheAgent) {
  Table table;
  table.hears(opened("w1", 200).evidence(200, 210));
  table.hears(contact("w2", 100).evidence(190, 500));
  table.hears(opened("w2", 490).evidence(490, 500));
  EXPECT_EQ(table.shows(), "open 490@w2+0");
  EXPECT_EQ(table.record.doubt(), std::nullopt);
}

TEST(AgentRecord, AWorkersOwnContactIsNoDoubt) {
  Table table;
  table.hears(opened("w1", 200));
  table.hears(contact("w1", 200).evidence(400, 500));
  EXPECT_EQ(table.record.doubt(), std::nullopt);
}

// ---- Info ------------------------------------------------------------------------------------

const AgentInfo kOld{{"ip", "10.0.0.7"}, {"os_name", "Debian"}};
const AgentInfo kNew{{"ip", "10.0.0.8"}, {"os_name", "Debian"}};

TEST(AgentRecordInfo, SurvivesMigrationAndDisconnect) {
  Table table;
  table.hears(opened("w1", 100).with_info(kOld));
  table.hears(closed("w1", 100, 1));
  table.hears(opened("w2", 200));
  ASSERT_NE(table.record.info, nullptr);
  EXPECT_EQ(*table.record.info, kOld);
  EXPECT_FALSE(table.record.info_missing());
}

TEST(AgentRecordInfo, IsReplacedAsAWholeByANewerOne) {
  Table table;
  table.hears(opened("w1", 100).with_info(kOld));
  table.hears(opened("w2", 200).with_info({{"ip", "10.0.0.9"}}));
  EXPECT_EQ(*table.record.info, (AgentInfo{{"ip", "10.0.0.9"}}));
}

TEST(AgentRecordInfo, OlderOneReplacesNothing) {
  Table table;
  table.hears(opened("w2", 200).with_info(kNew));
  EXPECT_EQ(table.hears(opened("w1", 100).with_info(kOld)), Rule::older);
  EXPECT_EQ(*table.record.info, kNew);
}

TEST(AgentRecordInfo, OfARefusedEventCountsByItsOwnStamp) {
  Table table;
  table.hears(opened("w2", 200));
  EXPECT_EQ(table.hears(opened("w1", 100).with_info(kOld)), Rule::older);
  EXPECT_EQ(*table.record.info, kOld) << "nobody said anything newer about it";
}

TEST(AgentRecordInfo, IsMissingUntilTheFieldsOfTheClaimArrive) {
  Table table;
  table.hears(opened("w1", 100).with_hash(kOld));
  EXPECT_TRUE(table.record.info_missing());
  EXPECT_EQ(table.record.info, nullptr);
  table.hears(says("w1", EventKind::info, 100, 1).with_info(kOld));
  EXPECT_FALSE(table.record.info_missing());
  EXPECT_EQ(*table.record.info, kOld);
}

TEST(AgentRecordInfo, NeverGoesBackToAnIncompleteOne) {
  Table table;
  table.hears(opened("w1", 100).with_info(kOld));
  table.hears(opened("w2", 200).with_hash(kNew));
  EXPECT_TRUE(table.record.info_missing());
  EXPECT_EQ(*table.record.info, kOld) << "the older, complete one stands meanwhile";
  table.hears(opened("w2", 200).with_info(kNew));
  EXPECT_EQ(*table.record.info, kNew);
  table.hears(closed("w1", 100, 1).with_info(kOld));
  EXPECT_EQ(*table.record.info, kNew);
  EXPECT_FALSE(table.record.info_missing());
}

TEST(AgentRecordInfo, FieldsOfAnOlderEventAnswerAClaimOfTheSameHash) {
  Table table;
  table.hears(opened("w2", 200).with_hash(kOld));
  table.hears(opened("w1", 100).with_info(kOld));
  EXPECT_FALSE(table.record.info_missing());
  table.hears(opened("w3", 150).with_info(kNew));
  EXPECT_EQ(*table.record.info, kOld) << "older than the claim";
}

TEST(AgentRecordInfo, AHashThatIsKnownNeedsNoFields) {
  Table table;
  table.hears(opened("w1", 100).with_info(kOld));
  table.hears(opened("w2", 200).with_hash(kOld));
  EXPECT_FALSE(table.record.info_missing());
  EXPECT_EQ(table.record.known, table.record.claimed);
}

// ---- The record is a join --------------------------------------------------------------------

// A random set of what workers may have said until one moment: a version has one meaning, as a
// correct worker never gives it two. Evidence and fields may differ from delivery to delivery.
std::vector<Said> random_story(std::mt19937_64& rng) {
  static const std::vector<NodeName> kNodes{"w1", "w10", "w2", "a"};
  const auto below = [&](std::uint64_t n) {
    return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(rng);
  };
  const std::uint64_t salt = rng();
  std::vector<Said> story;
  for (std::uint64_t n = 1 + below(7); n > 0; --n) {
    const std::uint64_t session = below(5);
    const bool future = below(12) == 0;
    const std::uint64_t epoch =
        future ? static_cast<std::uint64_t>(kNow.us) + kFutureToleranceUs + 1 + session
               : 100 + session * 50;
    const NodeName& node = kNodes[below(kNodes.size())];
    const auto change = static_cast<std::uint32_t>(below(4));
    std::mt19937_64 meaning(salt ^ epoch * 1'000'003 ^ std::hash<NodeName>{}(node) ^ change);
    // Any kind but contact, the last.
    Said said = says(node, static_cast<EventKind>(1 + meaning() % 8), epoch, change)
                    .because(static_cast<Reason>(meaning() % 12));
    const AgentInfo info{{"ip", std::to_string(meaning() % 3)}};
    if (meaning() % 2 == 0) said = below(2) == 0 ? said.with_info(info) : said.with_hash(info);
    if (below(5) == 0) said.event.kind = EventKind::contact;
    const auto lo = static_cast<std::int64_t>(below(400));
    said = said.evidence(lo, lo + static_cast<std::int64_t>(below(100)));
    if (below(10) == 0) said.event.evidence.hi = {kNow.us + static_cast<std::int64_t>(below(100))};
    story.push_back(std::move(said));
  }
  return story;
}

// The record by its definition, from the set of all that was said: maxima and nothing else.
struct Model {
  AgentRecord record;

  explicit Model(const std::vector<Said>& story) {
    std::map<NodeName, MasterTime> contacts;
    for (const Said& said : story) {
      if (time_of(said.event.epoch).us > kNow.us + kFutureToleranceUs) continue;
      const MasterTime hi = std::min(said.event.evidence.hi, kNow);
      const auto [it, fresh] = contacts.try_emplace(said.node, hi);
      it->second = std::max(it->second, hi);
      if (said.event.kind == EventKind::contact) continue;
      const Version version{said.event.epoch, said.node, said.event.change};
      if (version >= record.top) {
        record.top = version;
        record.phase = phase_after(said.event.kind);
        record.reason = said.event.reason;
      }
      if (said.event.info_hash && (!record.claimed || version > record.claimed->stamp)) {
        record.claimed = AgentRecord::Info{version, *said.event.info_hash};
      }
    }
    for (const Said& said : story) {
      const Version version{said.event.epoch, said.node, said.event.change};
      if (said.event.kind == EventKind::contact || !version.same_session(record.top)) continue;
      record.lo = std::max(record.lo, std::min(said.event.evidence.lo, kNow));
      record.hi = std::max(record.hi, std::min(said.event.evidence.hi, kNow));
    }
    std::vector<AgentRecord::Contact> latest;
    for (const auto& [node, hi] : contacts) latest.push_back({node, hi});
    std::ranges::sort(latest, [](const auto& a, const auto& b) {
      return std::tie(a.hi, a.node) > std::tie(b.hi, b.node);
    });
    for (std::size_t i = 0; i < std::min(latest.size(), record.contacts.size()); ++i) {
      record.contacts[i] = latest[i];
    }
  }
};

std::string show(const AgentRecord& r) {
  std::ostringstream out;
  out << to_string(r.phase) << ' ' << to_string(r.top) << ' ' << to_string(r.reason) << " lo "
      << r.lo.us << " hi " << r.hi.us;
  for (const auto& c : r.contacts) out << ", contact " << c.node << ' ' << c.hi.us;
  if (r.claimed) {
    out << ", claimed " << to_string(r.claimed->stamp) << " #"
        << static_cast<std::uint64_t>(r.claimed->hash);
  }
  return out.str();
}

std::string show(const std::vector<Said>& story, const std::vector<std::size_t>& order) {
  std::ostringstream out;
  for (const std::size_t i : order) {
    const auto& [node, e] = story[i];
    out << "\n  " << to_string(e.kind) << ' ' << to_string(Version{e.epoch, node, e.change}) << ' '
        << to_string(e.reason) << " [" << e.evidence.lo.us << ", " << e.evidence.hi.us << ']'
        << (e.info        ? " info"
            : e.info_hash ? " hash"
                          : "");
  }
  return out.str();
}

// Delivers the story in this order; "" if the record is what the model says.
std::string difference(const std::vector<Said>& story, const std::vector<std::size_t>& order,
                       const Model& model) {
  AgentRecord record;
  for (const std::size_t i : order) record.apply(story[i].node, story[i].event, kNow);
  if (show(record) != show(model.record)) {
    return "\nis     " + show(record) + "\nshould " + show(model.record) + show(story, order);
  }
  // The fields themselves wait for an answer to need_info if their bytes were let go. Once the
  // answer is there, they are the claimed ones, in every order.
  for (const Said& said : story) {
    if (said.event.info && record.claimed && said.event.info_hash == record.claimed->hash &&
        said.event.kind != EventKind::contact &&
        record.apply(said.node, said.event, kNow) != Rule::future_epoch &&
        (record.info_missing() || record.known != record.claimed ||
         *record.info != *said.event.info)) {
      return "\nthe claimed info did not settle" + show(story, order);
    }
  }
  return "";
}

TEST(AgentRecordJoin, EveryPermutationOfAStoryGivesTheSameRecord) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    std::mt19937_64 rng(seed);
    std::vector<Said> story = random_story(rng);
    if (story.size() > 5) story.resize(5);
    const Model model(story);
    std::vector<std::size_t> order(story.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      ASSERT_EQ(difference(story, order, model), "") << "seed " << seed;
    } while (std::ranges::next_permutation(order).found);
  }
}

TEST(AgentRecordJoin, DuplicatesAndRetriesInAnyOrderGiveTheSameRecord) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    std::mt19937_64 rng(seed);
    const std::vector<Said> story = random_story(rng);
    const Model model(story);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::size_t> order(story.size());
      std::iota(order.begin(), order.end(), 0);
      for (std::size_t n = rng() % (2 * story.size() + 1); n > 0; --n) {
        order.push_back(rng() % story.size());
      }
      std::ranges::shuffle(order, rng);
      ASSERT_EQ(difference(story, order, model), "") << "seed " << seed << " round " << round;
    }
  }
}

TEST(AgentRecordJoin, DoubtDoesNotDependOnTheOrder) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    std::mt19937_64 rng(seed);
    std::vector<Said> story = random_story(rng);
    AgentRecord first, second;
    for (const Said& said : story) first.apply(said.node, said.event, kNow);
    std::ranges::shuffle(story, rng);
    for (const Said& said : story) second.apply(said.node, said.event, kNow);
    ASSERT_EQ(first.doubt(), second.doubt()) << "seed " << seed;
  }
}

TEST(AgentRecordJoin, CompleteInfoStaysCompleteUntilANewerClaim) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    std::mt19937_64 rng(seed);
    const std::vector<Said> story = random_story(rng);
    AgentRecord record;
    for (int i = 0; i < 30; ++i) {
      const Said& said = story[rng() % story.size()];
      const AgentRecord before = record;
      record.apply(said.node, said.event, kNow);
      if (before.info != nullptr) {
        ASSERT_NE(record.info, nullptr) << "seed " << seed;
      }
      if (before.claimed && !before.info_missing() && record.claimed == before.claimed) {
        ASSERT_FALSE(record.info_missing()) << "seed " << seed;
        ASSERT_EQ(*record.info, *before.info) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace rollcall
