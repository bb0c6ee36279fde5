// The ini files of the two daemons. A file is read at start, and anew while they run (reload.h); a
// key that is not known, a value out of its bounds or a key given twice is refused, so that a
// typing error never passes for a default. The defaults are the initial values below;
// packaging/*.ini show them all.
//
// An error has one line for each thing that is wrong, "file:line: what is wrong; what is allowed"
// (without the line if the file cannot be read). A program that gets one prints it and exits with
// kExitConfig. docs/configuration.md has all keys.
#pragma once
#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app/logging.h"
#include "protocol/error.h"

namespace rollcall::app {

inline constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h

struct Address {
  std::string host;  // a name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 0;
  bool operator==(const Address&) const = default;
};
std::string to_text(const Address& address);  // "host:port", "[::1]:port"

// Reads "host:port", "[v6]:port", or without a port when `default_port` is not 0.
// `AnyPort::Yes` takes port 0, which lets the system choose one; it is for listening only.
enum class AnyPort { No, Yes };
std::expected<Address, Error> parse_address(std::string_view text, std::uint16_t default_port,
                                            AnyPort any_port);

// True if `address` can be reached from this machine only. Unless `read_token` the HTTP side shows
// its pages to everybody, so a main warns when this is false.
bool is_loopback(const Address& address);
// 0.0.0.0 or ::, which stand for every address of this machine.
bool is_wildcard(const Address& address);
// Where programs of this machine reach whoever listens on `address`.
Address local_address(Address address);

// Reads "64KiB", "256MiB", "1GiB": a whole number with one of these units.
std::expected<std::uint64_t, Error> parse_size(std::string_view text);

// protocol.md section 11; PEM files. The ca file may hold two certificates during a change.
struct TlsConfig {
  std::string ca;
  std::string certificate;
  std::string key;
  std::string revoked = {};  // file of revoked serials, see net/revocation.h; empty: none
  std::string crl = {};      // lists of revoked certificates; ca.crl beside `ca` unless given
  bool operator==(const TlsConfig&) const = default;
};

struct LogConfig {
  Level level = Level::Info;
  LogFormat format = LogFormat::Auto;
  bool operator==(const LogConfig&) const = default;
};

// Of the HTTP side.
struct InspectConfig {
  Address address;
  std::vector<std::string> hosts = {};  // further names by which it may be asked, in lower case
  std::string token = {};   // file of the token, see inspect/token.h; in [store] path unless given
  bool read_token = false;  // reading asks for it too, health excepted
  bool operator==(const InspectConfig&) const = default;
};

// Where in the file each key stood, for what is found wrong later. Configurations that say the same
// are equal wherever they say it.
struct Origin {
  std::string file;
  std::map<std::string, int> lines = {};           // "[section] key"
  std::map<std::string, std::string> values = {};  // as they were written
  // "file:line: [section] key: "; without a line if it is the default that is meant.
  std::string of(std::string_view section, std::string_view key) const;
  bool operator==(const Origin&) const { return true; }
};

struct SidecarConfig {
  struct Node {
    std::string name;  // required
    std::string cluster = "wazuh";
    bool operator==(const Node&) const = default;
  } node;
  enum class SourceType { Wazuh, Events };
  struct Source {
    std::string wazuh_home = "/var/ossec";
    std::string wazuh_db = "/var/ossec/queue/db/wdb";  // follows wazuh_home unless given
    std::chrono::microseconds poll = std::chrono::seconds(1);
    std::chrono::microseconds keepalive{0};  // 0: as this Wazuh has it
    std::string node_name;        // this node in Wazuh's own tables; node.name unless given
    bool only_node_name = false;  // take only rows of node_name: for the master's own table
    std::chrono::microseconds scan = std::chrono::minutes(1);
    std::chrono::microseconds agent_timeout{0};  // 0: as this Wazuh has it
    SourceType type = SourceType::Wazuh;
    std::string events_socket = "/run/rollcall/events.sock";
    // Where remoted takes messages to agents; follows wazuh_home unless given; empty: nowhere.
    std::string agent_socket = "/var/ossec/queue/alerts/ar";
    bool operator==(const Source&) const = default;
  } source;
  struct Master {
    std::vector<Address> addresses;  // required; tried in this order
    std::string name = "master";
    bool operator==(const Master&) const = default;
  } master;
  TlsConfig tls{"/etc/rollcall/ca.crt", "/etc/rollcall/node.crt", "/etc/rollcall/node.key", "",
                "/etc/rollcall/ca.crl"};
  struct Store {
    std::string path = "/var/lib/rollcall/sidecar";
    std::uint64_t max_events = 1'000'000;
    std::uint64_t max_bytes = 256ULL << 20;
    bool operator==(const Store&) const = default;
  } store;
  struct Handoff {
    std::chrono::microseconds grace = std::chrono::minutes(5);  // of a drain
    std::chrono::microseconds manager_restart_grace = std::chrono::minutes(5);
    std::chrono::microseconds back_within = std::chrono::minutes(2);  // after a planned stop
    bool operator==(const Handoff&) const = default;
  } handoff;
  InspectConfig inspect{{"127.0.0.1", 9470}, {}, "/var/lib/rollcall/sidecar/token"};
  LogConfig log;
  struct Limits {
    std::uint32_t http_connections = 256;
    std::uint32_t event_connections = 16;
    std::uint64_t event_line = 64ULL << 10;  // bytes
    std::uint32_t event_waiting = 5'000;     // lines that are not stored yet
    bool operator==(const Limits&) const = default;
  } limits;
  Origin origin;
  bool operator==(const SidecarConfig&) const = default;
};

struct MasterConfig {
  struct Node {
    std::string name = "master";
    std::string cluster = "wazuh";
    bool operator==(const Node&) const = default;
  } node;
  struct Listen {
    Address address{"0.0.0.0", 9471};
    bool operator==(const Listen&) const = default;
  } listen;
  TlsConfig tls{"/etc/rollcall/ca.crt", "/etc/rollcall/master.crt", "/etc/rollcall/master.key", "",
                "/etc/rollcall/ca.crl"};
  std::vector<std::string> allow;  // [tls] allow: node names; empty allows every certified node
  struct Store {
    std::string path = "/var/lib/rollcall/master";
    std::uint64_t snapshot_every = 100'000;  // records
    std::uint64_t segment = 64ULL << 20;     // bytes
    std::chrono::microseconds retention = std::chrono::hours(30 * 24);
    std::uint64_t max_size = 8ULL << 30;  // bytes of the log and its snapshots
    bool operator==(const Store&) const = default;
  } store;
  InspectConfig inspect{{"127.0.0.1", 9472}, {}, "/var/lib/rollcall/master/token"};
  struct Timing {
    std::chrono::microseconds heartbeat = std::chrono::seconds(10);
    std::chrono::microseconds ttl = std::chrono::seconds(30);  // at least twice the heartbeat
    std::chrono::microseconds grace = std::chrono::minutes(10);
    std::chrono::microseconds inventory = std::chrono::hours(1);
    std::chrono::microseconds inventory_differs = std::chrono::minutes(10);
    std::chrono::microseconds keep_removed = std::chrono::hours(7 * 24);
    bool operator==(const Timing&) const = default;
  } timing;
  // Wazuh's own table beside this master (docs/wazuh.md).
  enum class SinkMode { Off, Observe, Correct };
  enum class SinkWrite { Auto, Http, Stream };
  struct Sink {
    SinkMode mode = SinkMode::Observe;
    std::string wazuh_home = "/var/ossec";
    std::string wazuh_db = "/var/ossec/queue/db/wdb";  // these two follow wazuh_home unless given
    std::string wazuh_http = "/var/ossec/queue/sockets/wdb-http.sock";
    SinkWrite write = SinkWrite::Auto;
    std::chrono::microseconds every = std::chrono::seconds(5);
    std::chrono::microseconds settle = std::chrono::seconds(3);
    std::map<std::string, std::string> node_names = {};  // of a worker: in Wazuh's tables
    std::string own_node = {};  // of this Wazuh in its tables; empty: as the table says
    bool operator==(const Sink&) const = default;
  } sink;
  LogConfig log;
  struct Limits {
    std::uint32_t max_connections = 4096;  // of workers
    std::uint32_t http_connections = 256;
    std::uint32_t history = 250'000;  // decisions kept in memory for /agents/{id}/history
    std::uint32_t handshakes = 1024;  // of workers, unfinished
    std::uint32_t connections_per_address = 0;
    std::uint32_t inventories = 4;                 // full ones under way
    std::uint64_t inventory_entries = 16'000'000;  // of one
    std::uint32_t feed = 250'000;                  // entries kept in memory for /events
    std::uint32_t streams = 32;         // readers of /events at once, those that wait included
    std::uint32_t flapping = 6;         // moves within an hour from which an agent is listed
    std::uint32_t migrations = 10'000;  // kept for /migrations
    bool operator==(const Limits&) const = default;
  } limits;
  Origin origin;
  bool operator==(const MasterConfig&) const = default;
};

std::expected<SidecarConfig, Error> load_sidecar_config(const std::string& path);
std::expected<MasterConfig, Error> load_master_config(const std::string& path);

// The same from the text of a file; `file` is only what the errors call it.
std::expected<SidecarConfig, Error> parse_sidecar_config(std::string_view text,
                                                         std::string_view file);
std::expected<MasterConfig, Error> parse_master_config(std::string_view text,
                                                       std::string_view file);

}  // namespace rollcall::app
