#include "app/config.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace rollcall::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

const std::string kRequired = "[node]\nname = w1\n[master]\naddress = m\n";

SidecarConfig sidecar(const std::string& text) {
  auto config = parse_sidecar_config(text, "s.ini");
  if (!config) {
    ADD_FAILURE() << config.error().message;
    return {};
  }
  return *config;
}

MasterConfig master(const std::string& text) {
  auto config = parse_master_config(text, "m.ini");
  if (!config) {
    ADD_FAILURE() << config.error().message;
    return {};
  }
  return *config;
}

std::string sidecar_error(const std::string& text) {
  const auto config = parse_sidecar_config(text, "s.ini");
  return config ? "(accepted)" : config.error().message;
}

std::string master_error(const std::string& text) {
  const auto config = parse_master_config(text, "m.ini");
  return config ? "(accepted)" : config.error().message;
}

std::string packaged(const std::string& file) {
  std::ifstream in(std::string(ROLLCALL_SOURCE_DIR) + "/packaging/" + file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// "#key = value" becomes "key = value"; prose comments have a space after the mark.
std::string with_optional_keys(const std::string& text) {
  std::stringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.erase(0, 1);
    out += line + "\n";
  }
  return out;
}

TEST(SidecarConfig, HasTheseDefaults) {
  const SidecarConfig config = sidecar(kRequired);
  EXPECT_EQ(config.node.name, "w1");
  EXPECT_EQ(config.node.cluster, "wazuh");
  EXPECT_EQ(config.source.wazuh_home, "/var/ossec");
  EXPECT_EQ(config.source.wazuh_db, "/var/ossec/queue/db/wdb");
  EXPECT_EQ(config.source.agent_socket, "/var/ossec/queue/alerts/ar");
  EXPECT_EQ(config.source.poll, 1s);
  EXPECT_EQ(config.source.keepalive, 0s);
  EXPECT_EQ(config.source.scan, 1min);
  EXPECT_EQ(config.source.agent_timeout, 0s);
  EXPECT_EQ(config.source.node_name, "w1");
  EXPECT_FALSE(config.source.only_node_name);
  EXPECT_EQ(config.source.type, SidecarConfig::SourceType::Wazuh);
  EXPECT_EQ(config.source.events_socket, "/run/rollcall/events.sock");
  EXPECT_EQ(config.limits.event_connections, 16u);
  EXPECT_EQ(config.limits.event_line, 64u * 1024);
  EXPECT_EQ(config.limits.event_waiting, 5'000u);
  EXPECT_THAT(config.master.addresses, ElementsAre(Address{"m", 9471}));
  EXPECT_EQ(config.master.name, "master");
  EXPECT_EQ(config.tls.ca, "/etc/rollcall/ca.crt");
  EXPECT_EQ(config.tls.certificate, "/etc/rollcall/node.crt");
  EXPECT_EQ(config.tls.key, "/etc/rollcall/node.key");
  EXPECT_EQ(config.store.path, "/var/lib/rollcall/sidecar");
  EXPECT_EQ(config.handoff.grace, 5min);
  EXPECT_EQ(config.handoff.manager_restart_grace, 5min);
  EXPECT_EQ(config.handoff.back_within, 2min);
  EXPECT_EQ(config.store.max_events, 1'000'000u);
  EXPECT_EQ(config.store.max_bytes, 256u * 1024 * 1024);
  EXPECT_EQ(config.inspect.address, (Address{"127.0.0.1", 9470}));
  EXPECT_EQ(config.log.level, Level::Info);
  EXPECT_EQ(config.log.format, LogFormat::Auto);
  EXPECT_THAT(config.inspect.hosts, IsEmpty());
  EXPECT_EQ(config.limits.http_connections, 256u);
}

TEST(MasterConfig, HasTheseDefaults) {
  const MasterConfig config = master("");
  EXPECT_EQ(config, MasterConfig{});
  EXPECT_EQ(config.node.name, "master");
  EXPECT_EQ(config.node.cluster, "wazuh");
  EXPECT_EQ(config.listen.address, (Address{"0.0.0.0", 9471}));
  EXPECT_EQ(config.tls.ca, "/etc/rollcall/ca.crt");
  EXPECT_EQ(config.tls.certificate, "/etc/rollcall/master.crt");
  EXPECT_EQ(config.tls.key, "/etc/rollcall/master.key");
  EXPECT_THAT(config.allow, IsEmpty());
  EXPECT_EQ(config.store.path, "/var/lib/rollcall/master");
  EXPECT_EQ(config.store.snapshot_every, 100'000u);
  EXPECT_EQ(config.store.segment, 64u * 1024 * 1024);
  EXPECT_EQ(config.inspect.address, (Address{"127.0.0.1", 9472}));
  EXPECT_EQ(config.timing.heartbeat, 10s);
  EXPECT_EQ(config.timing.ttl, 30s);
  EXPECT_EQ(config.timing.grace, 10min);
  EXPECT_EQ(config.timing.inventory, 1h);
  EXPECT_EQ(config.timing.inventory_differs, 10min);
  EXPECT_EQ(config.timing.keep_removed, 168h);
  EXPECT_EQ(config.log, LogConfig{});
  EXPECT_EQ(config.limits.max_connections, 4096u);
  EXPECT_EQ(config.limits.http_connections, 256u);
  EXPECT_EQ(config.limits.history, 250'000u);
  EXPECT_EQ(config.limits.migrations, 10'000u);
  EXPECT_EQ(config.limits.handshakes, 1024u);
  EXPECT_EQ(config.limits.connections_per_address, 0u);
}

TEST(SidecarConfig, ThePackagedFileIsTheDefaultsButForTheRequiredKeys) {
  const std::string text = packaged("rollcall-sidecar.ini");
  ASSERT_FALSE(text.empty());
  EXPECT_THAT(sidecar_error(text), HasSubstr("[node] name is missing"));
  EXPECT_EQ(sidecar(text + kRequired), sidecar(kRequired));
}

TEST(SidecarConfig, ThePackagedFileWithItsOptionalKeysStillIsTheDefaults) {
  const std::string text = with_optional_keys(packaged("rollcall-sidecar.ini"));
  EXPECT_EQ(sidecar(text),
            sidecar("[node]\nname = worker-1\n[master]\naddress = master.example.org\n"
                    "[inspect]\nhosts = rollcall.example.org\n"));
  for (const char* key : {"name", "wazuh_db", "node_name", "address"}) {
    EXPECT_THAT(text, HasSubstr("\n" + std::string(key) + " = "));
  }
}

TEST(MasterConfig, ThePackagedFileIsTheDefaults) {
  const std::string text = packaged("rollcall-master.ini");
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(master(text), MasterConfig{});
  EXPECT_THAT(master(with_optional_keys(text)).allow, ElementsAre("worker-1", "worker-2"));
  EXPECT_EQ(master(with_optional_keys(text)).sink.own_node, "node01");
}

TEST(SidecarConfig, TakesEveryKey) {
  const SidecarConfig config = sidecar(
      "[node]\nname = w-1.a_B\ncluster = c2\n"
      "[source]\nwazuh_home = /opt/wazuh/\nwazuh_db = /run/wdb\npoll = 250ms\nkeepalive = 1m\n"
      "node_name = node01\nonly_node_name = true\nscan = 2m\nagent_timeout = 90s\n"
      "agent_socket = /run/ar\n"
      "[master]\naddress = m1, [::1]:1234 , 10.0.0.1:99\nname = boss\n"
      "[tls]\nca = /a\ncrl = /d\ncertificate = /b\nkey = /c\n"
      "[store]\npath = /s\nmax_events = 5000\nmax_bytes = 1GiB\n"
      "[handoff]\ngrace = 1m\nmanager_restart_grace = 30s\nback_within = 0s\n"
      "[inspect]\naddress = [::1]:0\nhosts = Rc.Example.org, 10.0.0.5\ntoken = /t\n"
      "[log]\nlevel = debug\nformat = json\n[limits]\nhttp_connections = 16\n");
  EXPECT_EQ(config.node, (SidecarConfig::Node{"w-1.a_B", "c2"}));
  SidecarConfig::Source source{"/opt/wazuh", "/run/wdb", 250ms, 1min, "node01", true, 2min, 90s};
  source.agent_socket = "/run/ar";
  EXPECT_EQ(config.source, source);
  EXPECT_THAT(config.master.addresses,
              ElementsAre(Address{"m1", 9471}, Address{"::1", 1234}, Address{"10.0.0.1", 99}));
  EXPECT_EQ(config.master.name, "boss");
  EXPECT_EQ(config.tls, (TlsConfig{"/a", "/b", "/c", "", "/d"}));
  EXPECT_EQ(config.store, (SidecarConfig::Store{"/s", 5000, 1ULL << 30}));
  EXPECT_EQ(config.handoff, (SidecarConfig::Handoff{1min, 30s, 0s}));
  EXPECT_EQ(config.inspect, (InspectConfig{{"::1", 0}, {"rc.example.org", "10.0.0.5"}, "/t"}));
  EXPECT_EQ(config.limits, (SidecarConfig::Limits{16}));
  EXPECT_EQ(config.log, (LogConfig{Level::Debug, LogFormat::Json}));
}

TEST(BothConfigs, TheTokenIsInTheStoreUnlessItIsElsewhere) {
  EXPECT_EQ(sidecar(kRequired + "[store]\npath = /s\n").inspect.token, "/s/token");
  EXPECT_EQ(master("[store]\npath = /m\n").inspect.token, "/m/token");
  EXPECT_EQ(master("[store]\npath = /m\n[inspect]\ntoken = /t\n").inspect.token, "/t");
  EXPECT_FALSE(master("").inspect.read_token);
  EXPECT_TRUE(master("[inspect]\nread_token = true\n").inspect.read_token);
}

TEST(MasterConfig, TheLogHasRoomForFourSegments) {
  EXPECT_EQ(master("[store]\nsegment = 4GiB\n").store.max_size, 16ULL << 30);
  EXPECT_EQ(master("[store]\nsegment = 1MiB\nmax_size = 4MiB\n").store.max_size, 4ULL << 20);
  EXPECT_THAT(master_error("[store]\nmax_size = 255MiB\n"),
              HasSubstr("m.ini:2: [store] max_size of 255MiB is too small for segments of 64MiB; "
                        "allowed is four segments and more"));
}

TEST(SidecarConfig, TakesTheKeysOfAnEventsSource) {
  const SidecarConfig config =
      sidecar(kRequired +
              "[source]\ntype = events\nevents_socket = /run/agents.sock\n"
              "[limits]\nevent_connections = 1\nevent_line = 1MiB\nevent_waiting = 500\n");
  EXPECT_EQ(config.source.type, SidecarConfig::SourceType::Events);
  EXPECT_EQ(config.source.events_socket, "/run/agents.sock");
  EXPECT_EQ(config.limits, (SidecarConfig::Limits{256, 1, 1 << 20, 500}));
}

TEST(MasterConfig, TakesEveryKey) {
  const MasterConfig config = master(
      "[node]\nname = m\ncluster = c\n[listen]\naddress = [::]:0\n"
      "[tls]\nca = /a\ncrl = /d\ncertificate = /b\nkey = /c\nallow = w1,w2 , w3\n"
      "[store]\npath = /s\nsnapshot_every = 1000\nsegment = 64KiB\n"
      "[inspect]\naddress = localhost\n[timing]\nheartbeat = 1s\nttl = 2s\n"
      "grace = 0ms\ninventory = 2h\ninventory_differs = 3m\nkeep_removed = 1h\n"
      "[log]\nlevel = error\nformat = json\n"
      "[limits]\nmax_connections = 5\nhttp_connections = 4096\nhistory = 0\nhandshakes = 7\n"
      "connections_per_address = 3\nfeed = 1000\nstreams = 0\nflapping = 2\n");
  EXPECT_EQ(config.node, (MasterConfig::Node{"m", "c"}));
  EXPECT_EQ(config.listen, (MasterConfig::Listen{{"::", 0}}));
  EXPECT_EQ(config.tls, (TlsConfig{"/a", "/b", "/c", "", "/d"}));
  EXPECT_THAT(config.allow, ElementsAre("w1", "w2", "w3"));
  EXPECT_EQ(config.store, (MasterConfig::Store{"/s", 1000, 64 << 10}));
  EXPECT_EQ(config.inspect.address, (Address{"localhost", 9472}));
  EXPECT_EQ(config.timing, (MasterConfig::Timing{1s, 2s, 0s, 2h, 3min, 1h}));
  EXPECT_EQ(config.log, (LogConfig{Level::Error, LogFormat::Json}));
  EXPECT_EQ(config.limits, (MasterConfig::Limits{5, 4096, 0, 7, 3, 4, 16'000'000, 1000, 0, 2}));
}

TEST(SidecarConfig, TheSocketsFollowTheHomeUnlessGiven) {
  const auto source = sidecar(kRequired + "[source]\nwazuh_home = /opt/w\n").source;
  EXPECT_EQ(source.wazuh_db, "/opt/w/queue/db/wdb");
  EXPECT_EQ(source.agent_socket, "/opt/w/queue/alerts/ar");
  EXPECT_EQ(sidecar(kRequired + "[source]\nagent_socket = /run/ar\n").source.agent_socket,
            "/run/ar");
}

TEST(SidecarConfig, AgentsMayBeOutOfReach) {
  EXPECT_EQ(sidecar(kRequired + "[source]\nagent_socket = none\n").source.agent_socket, "");
  EXPECT_THAT(sidecar_error(kRequired + "[source]\nagent_socket = ar\n"),
              ::testing::HasSubstr("or none"));
}

TEST(MasterConfig, TakesEveryKeyOfTheSink) {
  const MasterConfig config = master(
      "[sink]\nmode = correct\nwazuh_home = /opt/w\nwazuh_http = /run/http\nwrite = stream\n"
      "every = 1s\nsettle = 200ms\nnode_names = w1:worker-01, w2:node.2\nown_node = node01\n");
  using Sink = MasterConfig::Sink;
  EXPECT_EQ(config.sink, (Sink{MasterConfig::SinkMode::Correct,
                               "/opt/w",
                               "/opt/w/queue/db/wdb",
                               "/run/http",
                               MasterConfig::SinkWrite::Stream,
                               1s,
                               200ms,
                               {{"w1", "worker-01"}, {"w2", "node.2"}},
                               "node01"}));
  EXPECT_EQ(master("").sink.mode, MasterConfig::SinkMode::Observe) << "nothing is written unasked";
}

TEST(MasterConfig, WhatIsWrongWithTheSinkIsToldAtItsLine) {
  EXPECT_EQ(master_error("[sink]\nmode = on\n"),
            "m.ini:2: [sink] mode: \"on\" is not known here; allowed is off, observe or correct");
  EXPECT_THAT(master_error("[sink]\nnode_names = w1\n"),
              HasSubstr("m.ini:2: [sink] node_names: \"w1\" is not a pair of names; allowed is a "
                        "list with commas of NODE:NAME"));
  EXPECT_THAT(master_error("[sink]\nnode_names = w1:a, w1:b\n"), HasSubstr("there before"));
  EXPECT_THAT(master_error("[sink]\nnode_names = w1:a, w2:a\n"), HasSubstr("there before"));
  EXPECT_THAT(master_error("[sink]\nsettle = 50ms\n"), HasSubstr("is too short"));
  EXPECT_THAT(master_error("[sink]\nwazuh_home = /" + std::string(100, 'x') + "\n"),
              ::testing::StartsWith("m.ini:2: [sink] wazuh_home: "));
}

TEST(SidecarConfig, AHomeTooLongForItsSocketIsRefusedAtItsLine) {
  EXPECT_THAT(sidecar_error(kRequired + "[source]\nwazuh_home = /" + std::string(100, 'x') + "\n"),
              ::testing::StartsWith("s.ini:6: [source] wazuh_home: "));
}

TEST(ConfigFile, TakesCommentsBlankLinesIndentsAndCarriageReturns) {
  const SidecarConfig config = sidecar(
      "\xef\xbb\xbf# head\r\n\r\n[node]\r\n  name = w1   \r\n; note\r\n[master] ; where\r\n"
      "\taddress = m:1 ; comment\r\n[node]\r\ncluster = c");
  EXPECT_EQ(config.node, (SidecarConfig::Node{"w1", "c"}));
  EXPECT_THAT(config.master.addresses, ElementsAre(Address{"m", 1}));
}

TEST(ConfigFile, ACommentMayBeLongButTheLineAfterItKeepsItsNumber) {
  const std::string comment = "# " + std::string(1000, 'x') + "\n";
  EXPECT_THAT(sidecar_error(comment + comment + kRequired + "[log]\nlevel = loud\n"),
              ::testing::StartsWith("s.ini:8: [log] level: "));
}

struct Wrong {
  const char* name;
  const char* text;   // after kRequired, so that its first line is line 5; for the sidecar
  const char* error;  // the whole
};

class WrongSidecarConfig : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongSidecarConfig, IsRefusedInOneLineWithPlaceAndCure) {
  const std::string error = sidecar_error(kRequired + GetParam().text);
  EXPECT_EQ(error, GetParam().error);
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 0);
}

#define DURATION_FORM "as a whole number with a unit, such as 250ms, 10s, 15m or 2h"

INSTANTIATE_TEST_SUITE_P(
    Table, WrongSidecarConfig,
    ::testing::Values(
        Wrong{"UnknownSection", "[sourcee]\n",
              "s.ini:5: the section \"sourcee\" is not known; allowed is [node], [source], "
              "[master], [tls], [store], [handoff], [inspect], [log], [limits]"},
        Wrong{"UnknownKey", "[log]\nlevel = info\nlevle = info\n",
              "s.ini:7: the key \"levle\" is not known in [log]; allowed is level, format"},
        Wrong{"KeyOfTheOtherDaemon", "[timing]\nttl = 30s\n",
              "s.ini:5: the section \"timing\" is not known; allowed is [node], [source], "
              "[master], [tls], [store], [handoff], [inspect], [log], [limits]"},
        Wrong{"DuplicateKey", "[node]\nname = w2\n",
              "s.ini:6: [node] name was given in line 2 already; allowed is once"},
        Wrong{"NotAKey", "[log]\nlevel\n",
              "s.ini:6: this is neither a section nor a key with a value; allowed is [section], "
              "key = value, and comments that begin with # or ;"},
        Wrong{"OpenSection", "[log\n",
              "s.ini:5: this is neither a section nor a key with a value; allowed is [section], "
              "key = value, and comments that begin with # or ;"},
        Wrong{"TextAfterSection", "[log] level = info\n",
              "s.ini:5: there is text after the section; allowed is [section] alone on its line"},
        Wrong{"ControlCharacter", "[log]\nlevel = \x1b[2J\n",
              "s.ini:6: the line holds a control character; allowed is plain text"},
        Wrong{"Host", "[inspect]\nhosts = a, b:80\n",
              "s.ini:6: [inspect] hosts: \"b:80\" is not the name or address of a host; allowed is "
              "a list with commas, each without a port"},
        Wrong{"Level", "[log]\nlevel = loud\n",
              "s.ini:6: [log] level: \"loud\" is not known here; allowed is debug, info, warn or "
              "error"},
        Wrong{"EmptyValue", "[log]\nlevel =\n",
              "s.ini:6: [log] level: \"\" is not known here; allowed is debug, info, warn or "
              "error"},
        Wrong{"Flag", "[source]\nonly_node_name = yes\n",
              "s.ini:6: [source] only_node_name: \"yes\" is not a truth value; allowed is true or "
              "false"},
        Wrong{"SourceType", "[source]\ntype = files\n",
              "s.ini:6: [source] type: \"files\" is not known here; allowed is wazuh or events"},
        Wrong{"EventLine", "[limits]\nevent_line = 2MiB\n",
              "s.ini:6: [limits] event_line: \"2MiB\" is out of bounds; allowed is 1KiB to 1MiB, "
              "as a whole number with KiB, MiB or GiB"},
        Wrong{"Duration", "[source]\npoll = 1\n",
              "s.ini:6: [source] poll: \"1\" is not a duration; allowed is 100ms to "
              "1m, " DURATION_FORM},
        Wrong{"DurationWithHashComment", "[source]\npoll = 1s # fast\n",
              "s.ini:6: [source] poll: \"1s # fast\" is not a duration; allowed is 100ms to "
              "1m, " DURATION_FORM},
        Wrong{"DurationTooShort", "[source]\npoll = 99ms\n",
              "s.ini:6: [source] poll: \"99ms\" is too short; allowed is 100ms to "
              "1m, " DURATION_FORM},
        Wrong{"DurationTooLong", "[source]\nkeepalive = 2h\n",
              "s.ini:6: [source] keepalive: \"2h\" is too long; allowed is 10s to "
              "1h, " DURATION_FORM ", or auto"},
        Wrong{"DurationNorAuto", "[source]\nagent_timeout = never\n",
              "s.ini:6: [source] agent_timeout: \"never\" is not a duration; allowed is 30s to "
              "24h, " DURATION_FORM ", or auto"},
        Wrong{"RelativePath", "[store]\npath = store\n",
              "s.ini:6: [store] path: \"store\" is not a full path; allowed is a path that begins "
              "with / and has at most 4095 bytes"},
        Wrong{"Size", "[store]\nmax_bytes = 256MB\n",
              "s.ini:6: [store] max_bytes: \"256MB\" is not a size; allowed is 1MiB to 1GiB, as "
              "a whole number with KiB, MiB or GiB"},
        Wrong{"SizeTooSmall", "[store]\nmax_bytes = 64KiB\n",
              "s.ini:6: [store] max_bytes: \"64KiB\" is out of bounds; allowed is 1MiB to 1GiB, "
              "as a whole number with KiB, MiB or GiB"},
        Wrong{"Count", "[store]\nmax_events = -5\n",
              "s.ini:6: [store] max_events: \"-5\" is not a whole number; allowed is 1000 to "
              "100000000"},
        Wrong{"CountTooLarge", "[store]\nmax_events = 100000001\n",
              "s.ini:6: [store] max_events: \"100000001\" is out of bounds; allowed is 1000 to "
              "100000000"},
        Wrong{"Port", "[inspect]\naddress = 127.0.0.1:65536\n",
              "s.ini:6: [inspect] address: \"127.0.0.1:65536\" has no valid port; allowed is host "
              "or host:port, an IPv6 host in brackets, the port from 0 to 65535"}),
    [](const auto& each) { return each.param.name; });

TEST(SidecarConfig, EachRequiredKeyIsNamedWhenItIsMissing) {
  EXPECT_EQ(sidecar_error("[master]\naddress = m\n"),
            "s.ini:2: [node] name is missing; allowed is 1 to 64 of the characters A-Z a-z 0-9 . _ "
            "-");
  EXPECT_EQ(sidecar_error("\n[master]\nname = x\n[node]\nname = w1\n"),
            "s.ini:2: [master] address is missing; allowed is host or host:port, several with "
            "commas");
  EXPECT_THAT(sidecar_error(""), ::testing::StartsWith("s.ini:1: [node] name is missing"));
}

TEST(SidecarConfig, NamesAreBoundedAndPlain) {
  const auto with_name = [](const std::string& name) {
    return sidecar_error("[master]\naddress = m\n[node]\nname = " + name + "\n");
  };
  EXPECT_EQ(with_name(std::string(64, 'x')), "(accepted)");
  EXPECT_THAT(with_name(std::string(65, 'x')), ::testing::StartsWith("s.ini:4: [node] name: "));
  for (const char* name : {"", "a b", "a/b", "w\xc3\xbc", "a,b", "\"w1\""}) {
    EXPECT_THAT(with_name(name), HasSubstr("is not a name")) << name;
  }
}

TEST(ConfigFile, AKeyBeforeAnySectionIsRefused) {
  EXPECT_THAT(sidecar_error("name = w1\n"),
              ::testing::StartsWith("s.ini:1: the key \"name\" stands before any section; "));
}

TEST(ConfigFile, EachFaultIsToldInALineOfItsOwnInTheOrderOfTheFile) {
  EXPECT_EQ(
      sidecar_error("[node]\nname = a b\nbad\n[log]\nlevel = loud\nlevel = info\n"),
      "s.ini:2: [node] name: \"a b\" is not a name; allowed is 1 to 64 of the characters A-Z "
      "a-z 0-9 . _ -\n"
      "s.ini:3: this is neither a section nor a key with a value; allowed is [section], key = "
      "value, and comments that begin with # or ;\n"
      "s.ini:5: [log] level: \"loud\" is not known here; allowed is debug, info, warn or "
      "error\n"
      "s.ini:6: [log] level was given in line 5 already; allowed is once\n"
      "s.ini:6: [master] address is missing; allowed is host or host:port, several with "
      "commas");
}

TEST(ConfigFile, KeysBelowASectionThatIsNotKnownAreNotJudged) {
  const std::string error =
      sidecar_error(kRequired + "[logg]\nlevel = loud\nbad\n[log\nlevel = x\n");
  EXPECT_THAT(error, ::testing::StartsWith("s.ini:5: the section \"logg\" is not known; "));
  EXPECT_THAT(error, HasSubstr("\ns.ini:8: this is neither a section nor a key"));
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1);
}

TEST(ConfigFile, OfManyFaultsTheFirstTwentyAreTold) {
  std::string text = kRequired;
  for (int i = 0; i < 30; ++i) text += "bad\n";
  const std::string error = sidecar_error(text);
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 20);
  EXPECT_THAT(error, ::testing::EndsWith("\ns.ini: 10 more"));
}

TEST(ConfigFile, RemembersWhereItsKeysStood) {
  const Origin origin = sidecar(kRequired + "[tls]\n\nca = /a\n").origin;
  EXPECT_EQ(origin.of("tls", "ca"), "s.ini:7: [tls] ca: ");
  EXPECT_EQ(origin.of("tls", "key"), "s.ini: [tls] key (the default): ");
}

TEST(ConfigFile, ALineTooLongForTheReaderIsRefusedNotSplit) {
  EXPECT_THAT(sidecar_error(kRequired + "[store]\npath = /" + std::string(5000, 'x') + "\n"),
              ::testing::StartsWith("s.ini:6: the line is too long; allowed are "));
}

TEST(ConfigFile, ANulByteIsRefused) {
  EXPECT_EQ(sidecar_error(kRequired + std::string("[lo\0g]\n", 7)),
            "s.ini:5: the line holds a control character; allowed is plain text");
}

TEST(ConfigFile, AHugeFileIsRefused) {
  EXPECT_THAT(sidecar_error(std::string(2 << 20, '\n')),
              ::testing::StartsWith("s.ini:1: the file is too long; "));
}

TEST(MasterConfig, ATtlShorterThanTwoHeartbeatsIsRefusedAtItsLine) {
  EXPECT_EQ(master_error("[timing]\nheartbeat = 10s\nttl = 19s\n"),
            "m.ini:3: [timing] ttl of 19s is too short for a heartbeat of 10s; allowed is twice "
            "the heartbeat and more");
  EXPECT_THAT(master_error("\n[timing]\nheartbeat = 1m\n"), ::testing::StartsWith("m.ini:3: "));
  EXPECT_EQ(master_error("[timing]\nheartbeat = 10s\nttl = 20s\n"), "(accepted)");
}

TEST(MasterConfig, AnEmptyItemInTheAllowListIsRefused) {
  EXPECT_THAT(master_error("[tls]\nallow = w1,,w2\n"),
              ::testing::StartsWith("m.ini:2: [tls] allow: \"\" is not the name of a node; "));
  EXPECT_THAT(master_error("[tls]\nallow =\n"), ::testing::StartsWith("m.ini:2: "));
}

TEST(ConfigFile, AMissingFileIsToldByItsPath) {
  const auto config = load_sidecar_config("/nonexistent/rollcall.ini");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message,
            "/nonexistent/rollcall.ini: cannot be read: No such file or directory; needed is a "
            "configuration file that this user may read");
  EXPECT_THAT(load_master_config("/").error().message,
              ::testing::StartsWith("/: cannot be read: Is a directory; "));
}

TEST(ConfigFile, IsReadFromDisk) {
  char path[] = "/tmp/rollcall-config-XXXXXX";
  const int file = ::mkstemp(path);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::write(file, kRequired.data(), kRequired.size()),
            static_cast<ssize_t>(kRequired.size()));
  ::close(file);
  const auto config = load_sidecar_config(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, sidecar(kRequired));
}

struct AddressCase {
  const char* name;
  const char* text;
  const char* expected;  // as to_text; "" when refused
};

class Addresses : public ::testing::TestWithParam<AddressCase> {};

TEST_P(Addresses, AreReadOrRefused) {
  const auto address = parse_address(GetParam().text, 9471, AnyPort::No);
  EXPECT_EQ(address ? to_text(*address) : "", GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Addresses,
    ::testing::Values(AddressCase{"Name", "master.example.org", "master.example.org:9471"},
                      AddressCase{"NameAndPort", "m:1", "m:1"},
                      AddressCase{"V4", "10.0.0.1:65535", "10.0.0.1:65535"},
                      AddressCase{"V6", "[fe80::1]:5", "[fe80::1]:5"},
                      AddressCase{"V6WithoutPort", "[::1]", "[::1]:9471"},
                      AddressCase{"V6WithoutBrackets", "::1", ""},
                      AddressCase{"NotV6", "[host]:1", ""}, AddressCase{"OpenBracket", "[::1", ""},
                      AddressCase{"TextAfterBracket", "[::1]x", ""},
                      AddressCase{"BadV4", "300.0.0.1", ""}, AddressCase{"ShortV4", "10.1", ""},
                      AddressCase{"Port0", "m:0", ""}, AddressCase{"EmptyPort", "m:", ""},
                      AddressCase{"SignedPort", "m:-1", ""}, AddressCase{"LongPort", "m:65536", ""},
                      AddressCase{"Empty", "", ""}, AddressCase{"OnlyPort", ":1", ""},
                      AddressCase{"Space", "a b", ""}, AddressCase{"Url", "http://m", ""}),
    [](const auto& each) { return each.param.name; });

TEST(Addresses, WithoutADefaultThePortIsNeeded) {
  EXPECT_FALSE(parse_address("m", 0, AnyPort::No));
  EXPECT_TRUE(parse_address("m:1", 0, AnyPort::No));
  EXPECT_EQ(parse_address("m:0", 0, AnyPort::Yes)->port, 0);
}

TEST(Addresses, LoopbackIsKnown) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "localhost"}) {
    EXPECT_TRUE(is_loopback({host, 1})) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.example.org", "example.org"}) {
    EXPECT_FALSE(is_loopback({host, 1})) << host;
  }
}

TEST(Addresses, ThoseThatStandForAllAreKnown) {
  for (const char* host : {"0.0.0.0", "::", "0::0"}) EXPECT_TRUE(is_wildcard({host, 1})) << host;
  for (const char* host : {"127.0.0.1", "::1", "10.0.0.1", "localhost", "0.example.org"}) {
    EXPECT_FALSE(is_wildcard({host, 1})) << host;
  }
  EXPECT_EQ(local_address({"::", 1}), (Address{"127.0.0.1", 1}));
  EXPECT_EQ(local_address({"10.0.0.1", 1}), (Address{"10.0.0.1", 1}));
}

TEST(Sizes, AreReadExactlyOrRefused) {
  EXPECT_EQ(parse_size("64KiB").value(), 65536u);
  EXPECT_EQ(parse_size("256MiB").value(), 256u << 20);
  EXPECT_EQ(parse_size("1GiB").value(), 1u << 30);
  EXPECT_EQ(parse_size("0KiB").value(), 0u);
  for (const char* text : {"", "1", "KiB", "1kb", "1KB", "-1KiB", "1.5GiB", "1 GiB", "1GiBx",
                           "99999999999999999999GiB", "18014398509481984GiB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

}  // namespace
}  // namespace rollcall::app
