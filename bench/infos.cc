#include "bench/infos.h"

#include <array>
#include <random>

namespace rollcall::bench {
namespace {

struct System {
  const char *name, *version, *major, *minor, *codename, *platform, *uname;
};
constexpr std::array<System, 6> kSystems{{
    {"Ubuntu", "22.04.4 LTS", "22", "04", "Jammy Jellyfish", "ubuntu",
     "Linux |%s |5.15.0-105-generic |#115-Ubuntu SMP Mon Apr 15 09:52:04 UTC 2024 |x86_64"},
    {"Debian GNU/Linux", "12", "12", "", "bookworm", "debian",
     "Linux |%s |6.1.0-21-amd64 |#1 SMP PREEMPT_DYNAMIC Debian 6.1.90-1 (2024-05-03) |x86_64"},
    {"Red Hat Enterprise Linux", "9.4", "9", "4", "Plow", "rhel",
     "Linux |%s |5.14.0-427.18.1.el9_4.x86_64 |#1 SMP PREEMPT_DYNAMIC Tue May 28 2024 |x86_64"},
    {"Microsoft Windows Server 2022 Standard", "10.0.20348.2461", "10", "0", "", "windows",
     "Microsoft Windows Server 2022 Standard [Ver: 10.0.20348.2461]"},
    {"Microsoft Windows 11 Pro", "10.0.22631.3593", "10", "0", "", "windows",
     "Microsoft Windows 11 Pro [Ver: 10.0.22631.3593]"},
    {"macOS", "14.5", "14", "5", "Sonoma", "darwin",
     "Darwin |%s |23.5.0 |Darwin Kernel Version 23.5.0: Wed May  1 20:12:58 PDT 2024 |arm64"},
}};
constexpr std::array<const char*, 5> kGroups{"default", "default,linux", "default,windows", "dmz",
                                             "default,databases"};

std::string hex(std::mt19937_64& random, std::size_t digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < digits; ++i) out += kDigits[random() & 15];
  return out;
}

std::string with_host(std::string text, const std::string& host) {
  const auto at = text.find("%s");
  return at == text.npos ? text : text.replace(at, 2, host);
}

}  // namespace

AgentInfo info_of(std::uint32_t agent, std::uint64_t seed) {
  std::mt19937_64 random(seed * 1'000'003 + agent);
  const System& system = kSystems[random() % kSystems.size()];
  const std::string name = "srv-" + hex(random, 8);
  std::string ip = "10";
  for (int i = 0; i < 3; ++i) ip += "." + std::to_string(random() % 256);
  AgentInfo info;
  info["config_sum"] = hex(random, 32);
  info["date_add"] = std::to_string(1'700'000'000 + random() % 10'000'000);
  info["group"] = kGroups[random() % kGroups.size()];
  info["group_config_status"] = "synced";
  info["ip"] = ip;
  info["merged_sum"] = hex(random, 32);
  info["name"] = name;
  info["os_arch"] = std::string_view(system.platform) == "darwin" ? "arm64" : "x86_64";
  if (*system.codename) info["os_codename"] = system.codename;
  info["os_major"] = system.major;
  if (*system.minor) info["os_minor"] = system.minor;
  info["os_name"] = system.name;
  info["os_platform"] = system.platform;
  info["os_uname"] = with_host(system.uname, name);
  info["os_version"] = system.version;
  info["version"] = random() % 4 == 0 ? "Wazuh v4.14.1" : "Wazuh v4.14.7";
  return info;
}

std::string event_line(std::uint32_t agent, const char* event, std::int64_t at_us,
                       const AgentInfo* info) {
  std::string line = "{\"agent\":" + std::to_string(agent) + ",\"event\":\"" + event +
                     "\",\"at_us\":" + std::to_string(at_us);
  if (info) {
    line += ",\"info\":{";
    for (const auto& [name, value] : *info) {
      if (line.back() != '{') line += ',';
      // None of them has a character that JSON escapes.
      line.append("\"").append(name).append("\":\"").append(value).append("\"");
    }
    line += '}';
  }
  return line + "}\n";
}

}  // namespace rollcall::bench
