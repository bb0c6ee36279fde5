// COMMANDs at the sidecar: what is sent to which agents, when, and what is answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "sidecar/core/sidecar_core.h"
#include "tests/scenario/describe.h"
#include "tests/support/sidecar_disk.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kNew = "Wazuh v4.14.7";

SidecarCore::Config config() {
  SidecarCore::Config c;
  c.node = "w1";
  c.machine = "m1";
  c.boot = kBoot;
  c.commands = true;
  return c;
}

// A worker with its disk; agents are told something when the test says so.
class Worker {
 public:
  explicit Worker(StoreImage image = {}, double s = 1) : disk(std::move(image)), core(config(), 1) {
    auto out = core.start(disk, at(s));
    EXPECT_TRUE(out);
    if (out) take(std::move(*out), s);
  }
  void greet(double s) {
    take(core.connected(at(s)), s);
    const Hello hello = std::get<Hello>(sent.back());
    features = hello.features;
    Welcome w;
    w.master = MasterId{11};
    w.term = Term{22};
    w.t0 = hello.t0;
    w.t1 = w.t2 = master_time(s).us;
    take(core.message(w, at(s)), s);
  }
  void look(double s, std::vector<Row> rows) { take(core.look(look_at(s, std::move(rows))), s); }
  void lose_link(double s) { take(core.disconnected(at(s)), s); }
  void superseded(double s, std::uint32_t agent, double epoch_s) {
    take(core.message(Superseded{{{AgentId{agent}, {{epoch(epoch_s), "w2", 0}, true}}}}, at(s)), s);
  }
  // The RESULTs that the COMMAND has at once.
  std::string command(double s, const std::string& id, std::vector<Command::Entry> entries,
                      double left_s = 10) {
    take(core.message(Command{id, CommandKind::restart, std::move(entries), us(left_s)}, at(s)), s);
    return results();
  }
  std::string tick(double s) {
    take(core.tick(at(s)), s);
    return results();
  }
  std::string store(double s) {
    while (committing) commit(s);
    return results();
  }
  // How the oldest datagram went.
  std::string went(double s, const std::optional<std::string>& why_not = std::nullopt) {
    const std::uint64_t number = datagrams.front().number;
    datagrams.erase(datagrams.begin());
    take(core.datagram_sent(number, why_not, at(s)), s);
    return results();
  }
  std::string results() {
    std::string out;
    for (const Message& m : std::exchange(sent, {})) {
      if (!std::holds_alternative<Result>(m)) continue;
      out += (out.empty() ? "" : "\n") + scenario::describe(m, master_time(0));
    }
    return out;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const AgentDatagram& d : datagrams) out.push_back(d.text);
    return out;
  }

  bool slow_disk = false;
  StoreImage disk;
  SidecarCore core;
  std::vector<std::string> features;
  std::vector<Message> sent;
  std::vector<AgentDatagram> datagrams;
  std::optional<Output::Commit> committing;

 private:
  void take(Output out, double s) {
    if (out.commit) committing = std::move(out.commit);
    for (Message& m : out.send) sent.push_back(std::move(m));
    for (AgentDatagram& d : out.datagrams) datagrams.push_back(std::move(d));
    while (!slow_disk && committing) commit(s);
  }
  void commit(double s) {
    sidecar::apply(committing->change, disk);
    const std::uint64_t ticket = committing->ticket;
    committing.reset();
    take(core.stored(ticket, at(s)), s);
  }
};

class SidecarCommands : public ::testing::Test {
 protected:
  SidecarCommands() {
    w.greet(5);
    w.look(10, {row(7, kActive, 9), row(8, kActive, 9)});
    w.results();
  }
  Worker w;
};

TEST_F(SidecarCommands, TheFeatureIsNamedByThoseWhoCan) {
  EXPECT_THAT(w.features, ElementsAre(kFeatureZstd, kFeatureCommands));
}

TEST_F(SidecarCommands, AgentsThatAreHereAreToldInTheWordsOfTheirVersion) {
  EXPECT_EQ(w.command(11, "c", {{AgentId{7}, kNew}, {AgentId{8}, "Wazuh v3.13.6"}}), "");
  EXPECT_THAT(w.texts(), ElementsAre(HasSubstr("NNS 007 {\"version\": 1"),
                                     HasSubstr("NNS 008 restart-ossec0")));
  EXPECT_EQ(w.went(11), "");
  EXPECT_EQ(w.went(11), "RESULT c 7 sent 8 sent");
}

TEST_F(SidecarCommands, OneThatCannotBeToldFailsNoOther) {
  w.look(12, {row(7, kActive, 9), row(8, kGone, 9, 3)});
  EXPECT_EQ(w.command(13, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}, {AgentId{9}, kNew}}),
            "RESULT c 8 not_here 9 not_here");
  EXPECT_EQ(w.went(13), "RESULT c 7 sent");
}

TEST_F(SidecarCommands, WithoutAVersionNothingIsGuessed) {
  EXPECT_EQ(w.command(11, "c", {{AgentId{7}, ""}}), "RESULT c 7 unknown_version");
  EXPECT_THAT(w.texts(), IsEmpty());
}

TEST_F(SidecarCommands, ADatagramThatIsNotTakenSaysWhyAndMayBeSentLater) {
  w.command(11, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}});
  EXPECT_EQ(w.went(11), "");
  EXPECT_EQ(w.went(12, "cannot send"), "RESULT c 7 sent 8 socket: cannot send");
  EXPECT_EQ(w.command(13, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}}), "RESULT c 7 sent");
  EXPECT_EQ(w.went(13), "RESULT c 8 sent");
}

TEST_F(SidecarCommands, NothingIsSentBeforeItIsRemembered) {
  w.slow_disk = true;
  EXPECT_EQ(w.command(11, "c", {{AgentId{7}, kNew}}), "");
  EXPECT_THAT(w.texts(), IsEmpty());
  EXPECT_EQ(w.store(12), "");
  EXPECT_EQ(w.disk.meta.at("commands"), "c 7\n");
  EXPECT_THAT(w.texts(), ElementsAre(HasSubstr("NNS 007")));
}

TEST_F(SidecarCommands, ADiskThatTakesTooLongMakesItLate) {
  w.slow_disk = true;
  w.command(11, "c", {{AgentId{7}, kNew}}, 2);
  EXPECT_EQ(w.tick(12.9), "");
  EXPECT_EQ(w.tick(13), "RESULT c 7 late");
  w.store(14);
  EXPECT_THAT(w.texts(), IsEmpty());
}

TEST_F(SidecarCommands, AnAgentThatLeavesWhileTheDiskIsBusyIsNotHere) {
  w.slow_disk = true;
  w.command(11, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}});
  w.superseded(11.5, 7, 11);
  EXPECT_EQ(w.store(12), "");
  EXPECT_THAT(w.texts(), ElementsAre(HasSubstr("NNS 008")));
  EXPECT_EQ(w.went(12), "RESULT c 7 not_here 8 sent");
}

TEST_F(SidecarCommands, TheSameIdTellsAnAgentOnceOnly) {
  w.command(11, "c", {{AgentId{7}, kNew}});
  w.went(11);
  EXPECT_EQ(w.command(12, "c", {{AgentId{7}, kNew}}), "RESULT c 7 sent");
  EXPECT_THAT(w.texts(), IsEmpty());
  EXPECT_EQ(w.command(13, "another", {{AgentId{7}, kNew}}), "");
  EXPECT_THAT(w.texts(), ElementsAre(HasSubstr("NNS 007")));
}

TEST_F(SidecarCommands, AnAnswerThatWasLostIsGivenAgainAfterAReconnect) {
  w.command(11, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}});
  w.lose_link(12);
  EXPECT_EQ(w.went(12), "");
  w.greet(13);
  EXPECT_EQ(w.command(14, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}}), "RESULT c 7 sent");
  EXPECT_EQ(w.went(15), "RESULT c 7 sent 8 sent") << "the first one goes on, too";
}

TEST_F(SidecarCommands, AfterARestartWhatMayHaveBeenSentIsUncertain) {
  w.command(11, "c", {{AgentId{7}, kNew}});
  Worker again(w.disk, 12);
  again.greet(13);
  again.look(14, {row(7, kActive, 9), row(8, kActive, 9)});
  again.results();
  EXPECT_EQ(again.command(15, "c", {{AgentId{7}, kNew}, {AgentId{8}, kNew}}),
            "RESULT c 7 uncertain");
  EXPECT_EQ(again.went(15), "RESULT c 8 sent");
}

TEST_F(SidecarCommands, APatienceIsNeverLongerThanTheTimeThatIsLeft) {
  w.command(11, "long", {{AgentId{7}, kNew}}, 10);
  w.command(11, "short", {{AgentId{8}, kNew}}, 0.5);
  ASSERT_EQ(w.datagrams.size(), 2u);
  EXPECT_EQ(w.datagrams[0].patience_us, AgentCommands::kPatienceUs);
  EXPECT_EQ(w.datagrams[1].patience_us, us(0.5));
}

TEST_F(SidecarCommands, AreCountedByTheirOutcome) {
  w.command(11, "c", {{AgentId{7}, kNew}, {AgentId{9}, kNew}});
  EXPECT_EQ(w.core.commands().waiting, 1u);
  w.went(11);
  const auto status = w.core.commands();
  EXPECT_EQ(status.commands, 1u);
  EXPECT_EQ(status.waiting, 0u);
  EXPECT_EQ(status.outcomes.at(CommandOutcome::sent), 1u);
  EXPECT_EQ(status.outcomes.at(CommandOutcome::not_here), 1u);
}

TEST_F(SidecarCommands, ADatagramThatNobodyAskedForChangesNothing) {
  EXPECT_EQ(w.core.datagram_sent(0, std::nullopt, at(11)).send.size(), 0u);
  EXPECT_EQ(w.core.datagram_sent(77, "why", at(11)).send.size(), 0u);
}

}  // namespace
}  // namespace rollcall::sidecar
