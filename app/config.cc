#include "app/config.h"

#include <arpa/inet.h>
#include <ini.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "app/durations.h"

namespace rollcall::app {
namespace {

constexpr std::size_t kLongestFile = 1 << 20;
constexpr std::size_t kMostProblems = 20;
constexpr std::string_view kNameForm = "1 to 64 of the characters A-Z a-z 0-9 . _ -";

// ---------------------------------------------------------------- single values

std::string quoted(std::string_view value) {
  // The reader lets no control character through; only the length needs a bound.
  constexpr std::size_t kShown = 80;
  if (value.size() <= kShown) return '"' + std::string(value) + '"';
  return '"' + std::string(value.substr(0, kShown)) + "...\"";
}

std::unexpected<Error> refuse(std::string_view value, std::string_view wrong,
                              std::string_view allowed) {
  return std::unexpected(
      Error{quoted(value) + " " + std::string(wrong) + "; allowed is " + std::string(allowed)});
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> items;
  for (;;) {
    const std::size_t comma = text.find(',');
    items.push_back(trim(text.substr(0, comma)));
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc{} || rest != end) return std::nullopt;
  return value;
}

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_host(const std::string& host) {
  if (host.empty() || host.size() > 253) return false;
  const bool only_digits =
      std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (only_digits) return is_ipv4(host);
  return std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

std::string size_text(std::uint64_t bytes) {
  if (bytes % (1ULL << 30) == 0) return std::to_string(bytes >> 30) + "GiB";
  if (bytes % (1ULL << 20) == 0) return std::to_string(bytes >> 20) + "MiB";
  return std::to_string(bytes >> 10) + "KiB";
}

std::string key_text(std::string_view section, std::string_view name) {
  return "[" + std::string(section) + "] " + std::string(name);
}

// ---------------------------------------------------------------- keys

using Outcome = std::expected<void, Error>;
using Setter = std::function<Outcome(std::string_view)>;

struct Key {
  std::string_view section;
  std::string_view name;
  Setter set;
  std::string_view required_form = {};  // not empty: the key must be given, and this is allowed
};

Setter name_into(std::string& to) {
  return [&to](std::string_view value) -> Outcome {
    if (!is_name(value)) return refuse(value, "is not a name", kNameForm);
    to = value;
    return {};
  };
}

Setter names_into(std::vector<std::string>& to) {
  return [&to](std::string_view value) -> Outcome {
    to.clear();
    for (const std::string_view item : split_list(value)) {
      if (!is_name(item)) {
        return refuse(item, "is not the name of a node",
                      "a list with commas, each " + std::string(kNameForm));
      }
      to.emplace_back(item);
    }
    return {};
  };
}

// "w1:worker-01, w2:worker-02"
Setter name_pairs_into(std::map<std::string, std::string>& to) {
  return [&to](std::string_view value) -> Outcome {
    constexpr std::string_view kForm = "a list with commas of NODE:NAME, each name once";
    to.clear();
    std::set<std::string_view> seen;
    for (const std::string_view item : split_list(value)) {
      const auto colon = std::min(item.find(':'), item.size());
      const std::string_view node = item.substr(0, colon);
      const std::string_view name = item.substr(std::min(colon + 1, item.size()));
      if (!is_name(node) || !is_name(name)) return refuse(item, "is not a pair of names", kForm);
      if (!to.emplace(node, name).second || !seen.insert(name).second)
        return refuse(item, "has a name that was there before", kForm);
    }
    return {};
  };
}

// What a Host header may name, so without a port.
Setter hosts_into(std::vector<std::string>& to) {
  return [&to](std::string_view value) -> Outcome {
    to.clear();
    for (const std::string_view item : split_list(value)) {
      std::string host(item);
      for (char& c : host) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      }
      if (!is_host(host) && !is_ipv6(host)) {
        return refuse(item, "is not the name or address of a host",
                      "a list with commas, each without a port");
      }
      to.push_back(std::move(host));
    }
    return {};
  };
}

constexpr std::size_t kLongestSocket = sizeof(sockaddr_un::sun_path) - 1;

Setter path_into(std::string& to, std::size_t longest = 4095) {
  return [&to, longest](std::string_view value) -> Outcome {
    if (value.empty() || value.front() != '/' || value.size() > longest) {
      return refuse(
          value, "is not a full path",
          "a path that begins with / and has at most " + std::to_string(longest) + " bytes");
    }
    to = value;
    while (to.size() > 1 && to.back() == '/') to.pop_back();
    return {};
  };
}

// "none" leaves it empty.
Setter path_or_none_into(std::string& to, std::size_t longest) {
  return [&to, path = path_into(to, longest), longest](std::string_view value) -> Outcome {
    if (value != "none" && (value.empty() || value.front() != '/')) {
      return refuse(value, "is not a full path",
                    "a path that begins with / and has at most " + std::to_string(longest) +
                        " bytes, or none");
    }
    if (value != "none") return path(value);
    to.clear();
    return {};
  };
}

Setter flag_into(bool& to) {
  return [&to](std::string_view value) -> Outcome {
    if (value != "true" && value != "false") {
      return refuse(value, "is not a truth value", "true or false");
    }
    to = value == "true";
    return {};
  };
}

Setter duration_into(std::chrono::microseconds& to, std::chrono::microseconds least,
                     std::chrono::microseconds most) {
  return [&to, least, most](std::string_view value) -> Outcome {
    const std::string bounds =
        to_text(least) + " to " + to_text(most) + ", as " + std::string(kDurationForm);
    const auto duration = parse_duration(value);
    if (!duration) return refuse(value, "is not a duration", bounds);
    if (*duration < least) return refuse(value, "is too short", bounds);
    if (*duration > most) return refuse(value, "is too long", bounds);
    to = *duration;
    return {};
  };
}

// "auto" is 0.
Setter duration_or_auto_into(std::chrono::microseconds& to, std::chrono::microseconds least,
                             std::chrono::microseconds most) {
  return [&to, set = duration_into(to, least, most)](std::string_view value) -> Outcome {
    if (value == "auto") {
      to = {};
      return {};
    }
    auto outcome = set(value);
    if (!outcome) outcome.error().message += ", or auto";
    return outcome;
  };
}

template <typename Number>
Setter count_into(Number& to, std::uint64_t least, std::uint64_t most) {
  return [&to, least, most](std::string_view value) -> Outcome {
    const auto number = whole_number(value);
    if (!number || *number < least || *number > most) {
      return refuse(value, number ? "is out of bounds" : "is not a whole number",
                    std::to_string(least) + " to " + std::to_string(most));
    }
    to = static_cast<Number>(*number);
    return {};
  };
}

Setter size_into(std::uint64_t& to, std::uint64_t least, std::uint64_t most) {
  return [&to, least, most](std::string_view value) -> Outcome {
    const auto size = parse_size(value);
    if (!size || *size < least || *size > most) {
      return refuse(
          value, size ? "is out of bounds" : "is not a size",
          size_text(least) + " to " + size_text(most) + ", as a whole number with KiB, MiB or GiB");
    }
    to = *size;
    return {};
  };
}

Setter address_into(Address& to, std::uint16_t default_port) {
  return [&to, default_port](std::string_view value) -> Outcome {
    auto address = parse_address(value, default_port, AnyPort::Yes);
    if (!address) return std::unexpected(address.error());
    to = *std::move(address);
    return {};
  };
}

Setter addresses_into(std::vector<Address>& to, std::uint16_t default_port) {
  return [&to, default_port](std::string_view value) -> Outcome {
    to.clear();
    for (const std::string_view item : split_list(value)) {
      auto address = parse_address(item, default_port, AnyPort::No);
      if (!address) return std::unexpected(address.error());
      to.push_back(*std::move(address));
    }
    return {};
  };
}

template <typename Value>
Setter choice_into(Value& to, std::vector<std::pair<std::string_view, Value>> choices) {
  return [&to, choices = std::move(choices)](std::string_view value) -> Outcome {
    std::string allowed;
    for (const auto& [name, meaning] : choices) {
      if (name == value) {
        to = meaning;
        return {};
      }
      if (!allowed.empty()) allowed += name == choices.back().first ? " or " : ", ";
      allowed += name;
    }
    return refuse(value, "is not known here", allowed);
  };
}

// ---------------------------------------------------------------- the file

// Feeds inih line by line, so that the line's number is known when a key arrives (inih as it is
// packaged does not tell), and what inih would take silently is refused: lines longer than its
// buffer, values that go on in the next line, NUL bytes, sections without keys. Reads on after a
// fault, to tell all of them at once.
class Reader {
 public:
  Reader(std::string_view text, std::string_view file, const std::vector<Key>& keys)
      : rest_(text), file_(file), keys_(keys) {}

  void read() {
    if (rest_.size() > kLongestFile) {
      return fail(1, "the file is too long; allowed is up to " + size_text(kLongestFile));
    }
    const int unread = ::ini_parse_stream(
        [](char* buffer, int size, void* self) {
          return static_cast<Reader*>(self)->next_line(buffer, size);
        },
        this,
        [](void* self, const char* section, const char* name, const char* value) {
          static_cast<Reader*>(self)->take(section, name, value == nullptr ? "" : value);
          return 1;
        },
        this);
    if (unread != 0) not_understood(unread > 0 ? unread : line_);
    for (const Key& key : keys_) {
      if (key.required_form.empty() || given(key.section, key.name)) continue;
      const auto section = sections_.find(std::string(key.section));
      fail(section == sections_.end() ? std::max(line_, 1) : section->second,
           key_text(key.section, key.name) + " is missing; allowed is " +
               std::string(key.required_form));
    }
  }

  // For rules about more than one key: where this key, or else the end of the file, stands.
  int line_of(std::string_view section, std::string_view name) const {
    const auto key = seen_.find(key_text(section, name));
    return key == seen_.end() ? std::max(line_, 1) : key->second;
  }
  bool given(std::string_view section, std::string_view name) const {
    return seen_.contains(key_text(section, name));
  }
  void fail(int line, std::string message) {
    problems_.emplace(line, file_ + ":" + std::to_string(line) + ": " + std::move(message));
  }
  bool good() const { return problems_.empty(); }

  // All that was wrong, in the order of the lines; where the keys stood if nothing was.
  std::expected<Origin, Error> outcome() {
    if (problems_.empty()) return Origin{file_, std::move(seen_), std::move(values_)};
    std::string text;
    std::size_t told = 0;
    for (const auto& [line, problem] : problems_) {
      if (told++ == kMostProblems) {
        text += '\n' + file_ + ": " + std::to_string(problems_.size() - kMostProblems) + " more";
        break;
      }
      text += (text.empty() ? "" : "\n") + problem;
    }
    return std::unexpected(Error{std::move(text)});
  }

 private:
  char* next_line(char* buffer, int size) {
    if (rest_.empty()) return nullptr;
    ++line_;
    const std::size_t newline = rest_.find('\n');
    std::string_view line = rest_.substr(0, newline);
    rest_.remove_prefix(newline == std::string_view::npos ? rest_.size() : newline + 1);
    if (line_ == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trim(line);  // inih takes a line that begins with a space as more of the value before
    if (!may_pass(line, static_cast<std::size_t>(size) - 2)) line = {};
    line.copy(buffer, line.size());
    buffer[line.size()] = '\n';
    buffer[line.size() + 1] = '\0';
    return buffer;
  }

  // Whether inih is to see this line; what is wrong with it has been told.
  bool may_pass(std::string_view line, std::size_t longest) {
    if (line.empty() || line.starts_with('#') || line.starts_with(';')) return false;
    if (line.size() > longest) {
      fail(line_, "the line is too long; allowed are " + std::to_string(longest) + " bytes");
      return false;
    }
    for (const char c : line) {
      if ((c >= 0 && c < 0x20 && c != '\t') || c == 0x7f) {
        fail(line_, "the line holds a control character; allowed is plain text");
        return false;
      }
    }
    if (line.starts_with('[')) return enter_section(line);
    if (skipping_) return false;
    if (line.find_first_of("=:") != std::string_view::npos) return true;
    not_understood(line_);
    return false;
  }

  bool enter_section(std::string_view line) {
    skipping_ = true;  // the keys below a section that is not known cannot be judged
    const std::size_t end = line.find(']');
    if (end == std::string_view::npos) {
      not_understood(line_);
      return false;
    }
    const std::string_view after = trim(line.substr(end + 1));
    if (!after.empty() && !after.starts_with(';')) {
      fail(line_, "there is text after the section; allowed is [section] alone on its line");
      return false;
    }
    const std::string_view section = line.substr(1, end - 1);
    if (std::ranges::none_of(keys_, [&](const Key& key) { return key.section == section; })) {
      fail(line_,
           "the section " + quoted(section) + " is not known; allowed is " + section_names());
      return false;
    }
    sections_.try_emplace(std::string(section), line_);
    skipping_ = false;
    return true;
  }

  void not_understood(int line) {
    fail(line,
         "this is neither a section nor a key with a value; allowed is [section], key = value, and "
         "comments that begin with # or ;");
  }

  void take(std::string_view section, std::string_view name, std::string_view value) {
    if (section.empty()) {
      return fail(line_, "the key " + quoted(name) + " stands before any section; allowed is " +
                             section_names() + " above it");
    }
    const auto key = std::ranges::find_if(
        keys_, [&](const Key& k) { return k.section == section && k.name == name; });
    if (key == keys_.end()) {
      return fail(line_, "the key " + quoted(name) + " is not known in [" + std::string(section) +
                             "]; allowed is " + key_names(section));
    }
    const auto [before, is_new] = seen_.try_emplace(key_text(section, name), line_);
    if (!is_new) {
      return fail(line_, before->first + " was given in line " + std::to_string(before->second) +
                             " already; allowed is once");
    }
    values_.emplace(before->first, value);
    if (const Outcome outcome = key->set(value); !outcome) {
      fail(line_, before->first + ": " + outcome.error().message);
    }
  }

  std::string section_names() const {
    std::string names;
    std::string_view last;
    for (const Key& key : keys_) {
      if (key.section == last) continue;
      last = key.section;
      names += (names.empty() ? "[" : ", [") + std::string(last) + "]";
    }
    return names;
  }

  std::string key_names(std::string_view section) const {
    std::string names;
    for (const Key& key : keys_) {
      if (key.section == section) names += (names.empty() ? "" : ", ") + std::string(key.name);
    }
    return names;
  }

  std::string_view rest_;
  const std::string file_;
  const std::vector<Key>& keys_;
  int line_ = 0;
  bool skipping_ = false;
  std::map<std::string, int> seen_;  // "[section] key" -> line
  std::map<std::string, std::string> values_;
  std::map<std::string, int> sections_;       // -> line of its first header
  std::multimap<int, std::string> problems_;  // by line
};

std::expected<std::string, Error> read_file(const std::string& path) {
  const auto failed = [&] {
    return std::unexpected(Error{path + ": cannot be read: " + std::strerror(errno) +
                                 "; needed is a configuration file that this user may read"});
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  if (!file) return failed();
  std::string text;
  char buffer[4096];
  // One byte past the bound is enough for the reader to refuse it.
  while (text.size() <= kLongestFile) {
    const std::size_t got = std::fread(buffer, 1, sizeof buffer, file.get());
    text.append(buffer, got);
    if (got < sizeof buffer) break;
  }
  if (std::ferror(file.get()) != 0) return failed();
  return text;
}

void add_log_keys(std::vector<Key>& keys, LogConfig& log) {
  keys.push_back({"log", "level",
                  choice_into<Level>(log.level, {{"debug", Level::Debug},
                                                 {"info", Level::Info},
                                                 {"warn", Level::Warn},
                                                 {"error", Level::Error}})});
  keys.push_back({"log", "format",
                  choice_into<LogFormat>(log.format, {{"auto", LogFormat::Auto},
                                                      {"text", LogFormat::Text},
                                                      {"json", LogFormat::Json},
                                                      {"journal", LogFormat::Journal}})});
}

void add_sink_keys(std::vector<Key>& keys, MasterConfig::Sink& sink) {
  using namespace std::chrono_literals;
  using Mode = MasterConfig::SinkMode;
  using Write = MasterConfig::SinkWrite;
  const std::initializer_list<Key> more = {
      {"sink", "mode",
       choice_into<Mode>(
           sink.mode,
           {{"off", Mode::Off}, {"observe", Mode::Observe}, {"correct", Mode::Correct}})},
      {"sink", "wazuh_home", path_into(sink.wazuh_home)},
      {"sink", "wazuh_db", path_into(sink.wazuh_db, kLongestSocket)},
      {"sink", "wazuh_http", path_into(sink.wazuh_http, kLongestSocket)},
      {"sink", "write",
       choice_into<Write>(
           sink.write, {{"auto", Write::Auto}, {"http", Write::Http}, {"stream", Write::Stream}})},
      {"sink", "every", duration_into(sink.every, 100ms, 5min)},
      {"sink", "settle", duration_into(sink.settle, 100ms, 1h)},
      {"sink", "node_names", name_pairs_into(sink.node_names)},
      {"sink", "own_node", name_into(sink.own_node)}};
  keys.insert(keys.end(), more);
}

void add_inspect_keys(std::vector<Key>& keys, InspectConfig& inspect, std::uint16_t port) {
  keys.push_back({"inspect", "address", address_into(inspect.address, port)});
  keys.push_back({"inspect", "hosts", hosts_into(inspect.hosts)});
  keys.push_back({"inspect", "token", path_into(inspect.token)});
  keys.push_back({"inspect", "read_token", flag_into(inspect.read_token)});
}

void add_tls_keys(std::vector<Key>& keys, TlsConfig& tls) {
  keys.push_back({"tls", "ca", path_into(tls.ca)});
  keys.push_back({"tls", "certificate", path_into(tls.certificate)});
  keys.push_back({"tls", "key", path_into(tls.key)});
  keys.push_back({"tls", "revoked", path_into(tls.revoked)});
  keys.push_back({"tls", "crl", path_into(tls.crl)});
}

}  // namespace

std::string Origin::of(std::string_view section, std::string_view key) const {
  const std::string name = key_text(section, key);
  const auto line = lines.find(name);
  if (line == lines.end()) return file + ": " + name + " (the default): ";
  return file + ":" + std::to_string(line->second) + ": " + name + ": ";
}

std::string to_text(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? '[' + address.host + ']' : address.host) + ":" + std::to_string(address.port);
}

std::expected<Address, Error> parse_address(std::string_view text, std::uint16_t default_port,
                                            AnyPort any_port) {
  const std::string allowed = std::string(default_port == 0 ? "host:port" : "host or host:port") +
                              ", an IPv6 host in brackets, the port from " +
                              (any_port == AnyPort::Yes ? "0" : "1") + " to 65535";
  std::string host;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return refuse(text, "has no closing bracket", allowed);
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!is_ipv6(host)) return refuse(text, "has no IPv6 address in its brackets", allowed);
  } else {
    const std::size_t colon = text.find(':');
    host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    if (!is_host(host)) return refuse(text, "is not an address", allowed);
  }
  std::uint64_t port = default_port;
  if (rest.empty()) {
    if (default_port == 0) return refuse(text, "has no port", allowed);
  } else {
    const auto number = rest.front() == ':' ? whole_number(rest.substr(1)) : std::nullopt;
    if (!number || *number > 65535 || (*number == 0 && any_port == AnyPort::No)) {
      return refuse(text, "has no valid port", allowed);
    }
    port = *number;
  }
  return Address{std::move(host), static_cast<std::uint16_t>(port)};
}

bool is_loopback(const Address& address) {
  if (address.host == "localhost") return true;
  if (is_ipv4(address.host)) return address.host.starts_with("127.");
  in6_addr v6{};
  return ::inet_pton(AF_INET6, address.host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool is_wildcard(const Address& address) {
  in_addr v4{};
  in6_addr v6{};
  const char* host = address.host.c_str();
  return (::inet_pton(AF_INET, host, &v4) == 1 && v4.s_addr == INADDR_ANY) ||
         (::inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
}

Address local_address(Address address) {
  if (is_wildcard(address)) address.host = "127.0.0.1";
  return address;
}

std::expected<std::uint64_t, Error> parse_size(std::string_view text) {
  constexpr std::string_view kForm = "a whole number with KiB, MiB or GiB, such as 256MiB";
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = whole_number(text.substr(0, digits));
  const std::string_view unit = text.substr(digits);
  const int shift = unit == "KiB" ? 10 : unit == "MiB" ? 20 : unit == "GiB" ? 30 : 0;
  if (!count || shift == 0) return refuse(text, "is not a size", kForm);
  if (*count > (std::uint64_t{1} << 50) >> shift) return refuse(text, "is too large", kForm);
  return *count << shift;
}

namespace {

// A socket in Wazuh's home, unless it was given.
void follow_home(Reader& reader, std::string_view section, std::string_view key, std::string& to,
                 const std::string& path) {
  if (reader.given(section, key)) return;
  const auto outcome = path_into(to, kLongestSocket)(path);
  if (outcome) return;
  reader.fail(reader.line_of(section, "wazuh_home"),
              key_text(section, "wazuh_home") + ": " + outcome.error().message);
}

void finish_tls(const Reader& reader, TlsConfig& tls) {
  if (!reader.given("tls", "crl")) tls.crl = tls.ca.substr(0, tls.ca.rfind('/')) + "/ca.crl";
}

// The line of whichever of two keys was given last.
int later_line(const Reader& reader, const char* section, const char* one, const char* other) {
  const auto line = [&](const char* key) {
    return reader.given(section, key) ? reader.line_of(section, key) : 1;
  };
  return std::max(line(one), line(other));
}

void check_ttl(Reader& reader, const MasterConfig::Timing& timing) {
  // One lost heartbeat must not end a lease.
  if (!reader.good() || timing.ttl >= 2 * timing.heartbeat) return;
  reader.fail(later_line(reader, "timing", "ttl", "heartbeat"),
              "[timing] ttl of " + to_text(timing.ttl) + " is too short for a heartbeat of " +
                  to_text(timing.heartbeat) + "; allowed is twice the heartbeat and more");
}

void check_log_size(Reader& reader, MasterConfig::Store& store) {
  // Only whole segments can go, and those behind the older snapshot stay.
  const std::uint64_t least = 4 * store.segment;
  if (!reader.given("store", "max_size")) store.max_size = std::max(store.max_size, least);
  if (!reader.good() || store.max_size >= least) return;
  reader.fail(later_line(reader, "store", "max_size", "segment"),
              "[store] max_size of " + size_text(store.max_size) +
                  " is too small for segments of " + size_text(store.segment) +
                  "; allowed is four segments and more");
}

}  // namespace

std::expected<SidecarConfig, Error> parse_sidecar_config(std::string_view text,
                                                         std::string_view file) {
  using namespace std::chrono_literals;
  SidecarConfig config;
  std::vector<Key> keys = {
      {"node", "name", name_into(config.node.name), kNameForm},
      {"node", "cluster", name_into(config.node.cluster)},
      {"source", "type",
       choice_into<SidecarConfig::SourceType>(config.source.type,
                                              {{"wazuh", SidecarConfig::SourceType::Wazuh},
                                               {"events", SidecarConfig::SourceType::Events}})},
      {"source", "wazuh_home", path_into(config.source.wazuh_home)},
      {"source", "wazuh_db", path_into(config.source.wazuh_db, kLongestSocket)},
      {"source", "poll", duration_into(config.source.poll, 100ms, 1min)},
      {"source", "scan", duration_into(config.source.scan, 1s, 1h)},
      {"source", "keepalive", duration_or_auto_into(config.source.keepalive, 10s, 1h)},
      {"source", "agent_timeout", duration_or_auto_into(config.source.agent_timeout, 30s, 24h)},
      {"source", "node_name", name_into(config.source.node_name)},
      {"source", "only_node_name", flag_into(config.source.only_node_name)},
      {"source", "events_socket", path_into(config.source.events_socket, kLongestSocket)},
      {"source", "agent_socket", path_or_none_into(config.source.agent_socket, kLongestSocket)},
      {"master", "address", addresses_into(config.master.addresses, 9471),
       "host or host:port, several with commas"},
      {"master", "name", name_into(config.master.name)},
  };
  add_tls_keys(keys, config.tls);
  keys.push_back({"store", "path", path_into(config.store.path)});
  keys.push_back({"store", "max_events", count_into(config.store.max_events, 1'000, 100'000'000)});
  keys.push_back({"store", "max_bytes", size_into(config.store.max_bytes, 1ULL << 20, 1ULL << 30)});
  keys.push_back({"handoff", "grace", duration_into(config.handoff.grace, 1s, 24h)});
  keys.push_back({"handoff", "manager_restart_grace",
                  duration_into(config.handoff.manager_restart_grace, 1s, 24h)});
  keys.push_back({"handoff", "back_within", duration_into(config.handoff.back_within, 0s, 24h)});
  add_inspect_keys(keys, config.inspect, 9470);
  add_log_keys(keys, config.log);
  keys.push_back(
      {"limits", "http_connections", count_into(config.limits.http_connections, 16, 4'096)});
  keys.push_back(
      {"limits", "event_connections", count_into(config.limits.event_connections, 1, 1'000)});
  keys.push_back(
      {"limits", "event_line", size_into(config.limits.event_line, 1ULL << 10, 1 << 20)});
  keys.push_back(
      {"limits", "event_waiting", count_into(config.limits.event_waiting, 1, 1'000'000)});

  Reader reader(text, file, keys);
  reader.read();
  follow_home(reader, "source", "wazuh_db", config.source.wazuh_db,
              config.source.wazuh_home + "/queue/db/wdb");
  follow_home(reader, "source", "agent_socket", config.source.agent_socket,
              config.source.wazuh_home + "/queue/alerts/ar");
  if (!reader.given("source", "node_name")) config.source.node_name = config.node.name;
  finish_tls(reader, config.tls);
  if (!reader.given("inspect", "token")) config.inspect.token = config.store.path + "/token";
  auto origin = reader.outcome();
  if (!origin) return std::unexpected(origin.error());
  config.origin = *std::move(origin);
  return config;
}

std::expected<MasterConfig, Error> parse_master_config(std::string_view text,
                                                       std::string_view file) {
  using namespace std::chrono_literals;
  MasterConfig config;
  std::vector<Key> keys = {
      {"node", "name", name_into(config.node.name)},
      {"node", "cluster", name_into(config.node.cluster)},
      {"listen", "address", address_into(config.listen.address, 9471)},
  };
  add_tls_keys(keys, config.tls);
  keys.push_back({"tls", "allow", names_into(config.allow)});
  keys.push_back({"store", "path", path_into(config.store.path)});
  keys.push_back(
      {"store", "snapshot_every", count_into(config.store.snapshot_every, 100, 1'000'000'000)});
  keys.push_back({"store", "segment", size_into(config.store.segment, 64ULL << 10, 4ULL << 30)});
  keys.push_back({"store", "retention", duration_into(config.store.retention, 1h, 8784h)});
  keys.push_back(
      {"store", "max_size", size_into(config.store.max_size, 1ULL << 20, 1024ULL << 30)});
  add_inspect_keys(keys, config.inspect, 9472);
  keys.push_back({"timing", "heartbeat", duration_into(config.timing.heartbeat, 100ms, 5min)});
  keys.push_back({"timing", "ttl", duration_into(config.timing.ttl, 200ms, 1h)});
  keys.push_back({"timing", "grace", duration_into(config.timing.grace, 0ms, 24h)});
  keys.push_back({"timing", "inventory", duration_into(config.timing.inventory, 1s, 24h)});
  keys.push_back(
      {"timing", "inventory_differs", duration_into(config.timing.inventory_differs, 1s, 24h)});
  keys.push_back({"timing", "keep_removed", duration_into(config.timing.keep_removed, 1h, 8784h)});
  add_sink_keys(keys, config.sink);
  add_log_keys(keys, config.log);
  keys.push_back(
      {"limits", "max_connections", count_into(config.limits.max_connections, 1, 65'536)});
  keys.push_back(
      {"limits", "http_connections", count_into(config.limits.http_connections, 16, 4'096)});
  keys.push_back({"limits", "history", count_into(config.limits.history, 0, 100'000'000)});
  keys.push_back({"limits", "migrations", count_into(config.limits.migrations, 0, 1'000'000)});
  keys.push_back({"limits", "feed", count_into(config.limits.feed, 1'000, 100'000'000)});
  keys.push_back({"limits", "streams", count_into(config.limits.streams, 0, 1'000)});
  keys.push_back({"limits", "flapping", count_into(config.limits.flapping, 2, 16)});
  keys.push_back({"limits", "handshakes", count_into(config.limits.handshakes, 1, 65'536)});
  keys.push_back({"limits", "connections_per_address",
                  count_into(config.limits.connections_per_address, 0, 65'536)});
  keys.push_back({"limits", "inventories", count_into(config.limits.inventories, 1, 1'000)});
  keys.push_back({"limits", "inventory_entries",
                  count_into(config.limits.inventory_entries, 1'000, 1'000'000'000)});

  Reader reader(text, file, keys);
  reader.read();
  check_ttl(reader, config.timing);
  follow_home(reader, "sink", "wazuh_db", config.sink.wazuh_db,
              config.sink.wazuh_home + "/queue/db/wdb");
  follow_home(reader, "sink", "wazuh_http", config.sink.wazuh_http,
              config.sink.wazuh_home + "/queue/sockets/wdb-http.sock");
  check_log_size(reader, config.store);
  finish_tls(reader, config.tls);
  if (!reader.given("inspect", "token")) config.inspect.token = config.store.path + "/token";
  auto origin = reader.outcome();
  if (!origin) return std::unexpected(origin.error());
  config.origin = *std::move(origin);
  return config;
}

std::expected<SidecarConfig, Error> load_sidecar_config(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  return parse_sidecar_config(*text, path);
}

std::expected<MasterConfig, Error> load_master_config(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  return parse_master_config(*text, path);
}

}  // namespace rollcall::app
