#include "tests/support/standin_wazuhdb.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

namespace rollcall::testing {
namespace {

using Json = nlohmann::json;

// Commands that answer in pages keep this much of the reply free.
constexpr std::size_t kPageLimitBytes = kWazuhReplyLimitBytes - 512;
constexpr std::size_t kQuotedBytes = 32;       // how much of a bad request an error text repeats
constexpr std::int64_t kNoEnd = 253402300799;  // the manager's own keepalive: the end of 9999
constexpr int kStatusNoKeepalive = 4;
constexpr int kStatusManagerRestart = 5;

// The text of the CHECK is part of the error that a client sees, hence the spelling.
constexpr const char* kSyncStates11 = "'synced', 'syncreq'";
constexpr const char* kSyncStates14 = "'synced', 'syncreq', 'syncreq_status', 'syncreq_keepalive'";

// Column order is the order of keys in every reply to SELECT *.
std::string schema(WazuhFlavour flavour) {
  std::string sql = "CREATE TABLE agent (id INTEGER PRIMARY KEY, name TEXT NOT NULL";
  for (const char* text : {"ip", "register_ip", "internal_key", "os_name", "os_version", "os_major",
                           "os_minor", "os_codename", "os_build", "os_platform", "os_uname",
                           "os_arch", "version", "config_sum", "merged_sum", "manager_host"}) {
    sql += std::string(", ") + text + " TEXT";
  }
  sql +=
      ", node_name TEXT DEFAULT 'unknown', date_add INTEGER NOT NULL, last_keepalive INTEGER"
      ", `group` TEXT DEFAULT 'default', group_hash TEXT DEFAULT NULL"
      ", group_sync_status TEXT NOT NULL CHECK (group_sync_status IN ('synced', 'syncreq'))"
      " DEFAULT 'synced'"
      ", sync_status TEXT NOT NULL CHECK (sync_status IN (";
  sql += flavour == WazuhFlavour::k4_11 ? kSyncStates11 : kSyncStates14;
  sql +=
      ")) DEFAULT 'synced'"
      ", connection_status TEXT NOT NULL CHECK (connection_status IN ('pending',"
      " 'never_connected', 'active', 'disconnected')) DEFAULT 'never_connected'"
      ", disconnection_time INTEGER DEFAULT 0"
      ", group_config_status TEXT NOT NULL CHECK (group_config_status IN ('synced',"
      " 'not synced')) DEFAULT 'not synced'"
      ", status_code INTEGER DEFAULT 0);"
      "CREATE INDEX agent_name ON agent (name);"
      "CREATE INDEX agent_ip ON agent (ip);"
      "CREATE TABLE labels (id INTEGER REFERENCES agent (id) ON DELETE CASCADE,"
      " key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (id, key));"
      "CREATE TABLE `group` (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, UNIQUE (name));"
      "CREATE TABLE belongs (id_agent INTEGER REFERENCES agent (id) ON DELETE CASCADE,"
      " id_group INTEGER REFERENCES `group` (id) ON DELETE CASCADE,"
      " priority INTEGER NOT NULL DEFAULT 0, UNIQUE (id_agent, priority),"
      " PRIMARY KEY (id_agent, id_group));"
      "CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT);";
  return sql;
}

// The columns that a worker's full row carries to the master, in the order of a reply.
constexpr const char* kFullRowColumns =
    "id, name, ip, os_name, os_version, os_major, os_minor, os_codename, os_build, os_platform,"
    " os_uname, os_arch, version, config_sum, merged_sum, manager_host, node_name, last_keepalive,"
    " connection_status, disconnection_time, group_config_status, status_code";

constexpr std::array kFullRowTexts = {"name",
                                      "ip",
                                      "os_name",
                                      "os_version",
                                      "os_major",
                                      "os_minor",
                                      "os_codename",
                                      "os_build",
                                      "os_platform",
                                      "os_uname",
                                      "os_arch",
                                      "version",
                                      "config_sum",
                                      "merged_sum",
                                      "manager_host",
                                      "node_name",
                                      "connection_status",
                                      "group_config_status"};
constexpr std::array kFullRowNumbers = {"last_keepalive", "disconnection_time", "status_code"};

// SQLite asks its VFS for the time; this one answers with the time that the caller passed in.
struct FixedClockVfs {
  sqlite3_vfs base;  // first, so that a pointer to it is a pointer to the whole
  std::int64_t now_seconds;
  std::string name;
  int milliseconds = 0;
};
constexpr std::int64_t kJulianMillisecondsAtUnixEpoch = 210866760000000;

int fixed_time_milliseconds(sqlite3_vfs* vfs, sqlite3_int64* julian_ms) {
  const auto* clock = reinterpret_cast<FixedClockVfs*>(vfs);
  *julian_ms = clock->now_seconds * 1000 + clock->milliseconds + kJulianMillisecondsAtUnixEpoch;
  return SQLITE_OK;
}

int fixed_time_days(sqlite3_vfs* vfs, double* julian_days) {
  sqlite3_int64 julian_ms = 0;
  fixed_time_milliseconds(vfs, &julian_ms);
  *julian_days = static_cast<double>(julian_ms) / 86400000.0;
  return SQLITE_OK;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          std::array<char, 8> hex{};
          std::snprintf(hex.data(), hex.size(), "\\u%04x", static_cast<unsigned>(c));
          out += hex.data();
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

// wazuh-db keeps every number as a double: 15 digits if they suffice, else 17.
void append_json_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 32> text{};
  if (value == std::trunc(value) && std::abs(value) <= INT_MAX) {
    std::snprintf(text.data(), text.size(), "%d", static_cast<int>(value));
  } else {
    std::snprintf(text.data(), text.size(), "%1.15g", value);
    if (std::strtod(text.data(), nullptr) != value) {
      std::snprintf(text.data(), text.size(), "%1.17g", value);
    }
  }
  out += text.data();
}

std::string column_text(sqlite3_stmt* row, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
  return text == nullptr ? std::string() : std::string(text);  // up to the first NUL, as in C
}

// 1, or what a column `c` says.
std::uint64_t rows_in(sqlite3_stmt* row) {
  for (int i = 0; i < sqlite3_column_count(row); ++i) {
    if (std::string_view(sqlite3_column_name(row, i)) == "c" &&
        sqlite3_column_type(row, i) == SQLITE_INTEGER) {
      return static_cast<std::uint64_t>(std::max<std::int64_t>(sqlite3_column_int64(row, i), 0));
    }
  }
  return 1;
}

// A row as a JSON object: columns in order, NULL columns left out, duplicate names kept.
std::string row_object(sqlite3_stmt* row) {
  std::string out = "{";
  for (int i = 0; i < sqlite3_column_count(row); ++i) {
    const int type = sqlite3_column_type(row, i);
    if (type == SQLITE_NULL) {
      continue;
    }
    if (out.size() > 1) {
      out += ',';
    }
    append_json_string(out, sqlite3_column_name(row, i));
    out += ':';
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
      append_json_number(out, sqlite3_column_double(row, i));
    } else {
      append_json_string(out, column_text(row, i));
    }
  }
  out += '}';
  return out;
}

std::string quoted_start(std::string_view text) {
  return "'" + std::string(text.substr(0, kQuotedBytes)) + "'";
}
std::string bad_syntax(std::string_view near) {
  return "err Invalid DB query syntax, near " + quoted_start(near);
}
std::string bad_json_syntax(std::string_view near) {
  return "err Invalid JSON syntax, near " + quoted_start(near);
}
std::string bad_json_data(std::string_view near) {
  return "err Invalid JSON data, near " + quoted_start(near);
}

// "first rest" -> {first, rest}; no rest at all is not the same as an empty one.
struct Words {
  std::string_view first;
  std::optional<std::string_view> rest;
};
Words split_first(std::string_view text) {
  const auto space = text.find(' ');
  if (space == std::string_view::npos) {
    return {text, std::nullopt};
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

int leading_int(std::string_view text) {
  const std::string copy(text);
  return static_cast<int>(
      std::clamp<long>(std::strtol(copy.c_str(), nullptr, 10), INT_MIN, INT_MAX));
}

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::optional<int> int_member(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_number()) {
    return std::nullopt;
  }
  return static_cast<int>(std::clamp<double>(value->get<double>(), INT_MIN, INT_MAX));
}

std::optional<std::string> string_member(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_string()) {
    return std::nullopt;
  }
  return value->get<std::string>();
}

Json parse(std::string_view text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// One value for a `?` of a statement.
using Bound = std::variant<std::nullptr_t, std::int64_t, std::string>;
Bound bound(const std::optional<std::string>& text) {
  return text ? Bound(*text) : nullptr;
}
Bound bound(const std::optional<int>& number) {
  return number ? Bound(std::int64_t{*number}) : nullptr;
}
Bound bound(std::int64_t number) {
  return number;
}

}  // namespace

class StandinWazuhDb::Impl {
 public:
  Impl(WazuhFlavour flavour, std::int64_t now_seconds) : flavour_(flavour) {
    vfs_.base = *sqlite3_vfs_find(nullptr);
    vfs_.name = "standin-" + std::to_string(reinterpret_cast<std::uintptr_t>(this));
    vfs_.base.zName = vfs_.name.c_str();
    vfs_.base.xCurrentTime = fixed_time_days;
    vfs_.base.xCurrentTimeInt64 = fixed_time_milliseconds;
    sqlite3_vfs_register(&vfs_.base, /*makeDflt=*/0);
    open(now_seconds);
  }
  ~Impl() {
    close();
    sqlite3_vfs_unregister(&vfs_.base);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void reset(std::int64_t now_seconds) {
    close();
    open(now_seconds);
  }

  std::string handle(std::string_view request, std::int64_t now_seconds) {
    seen_ = {};
    vfs_.now_seconds = now_seconds;
    const bool line = request.ends_with('\n');
    if (line) {
      request.remove_suffix(1);
    }
    request = request.substr(0, request.find('\0'));
    std::string reply = dispatch(request);
    if (reply.size() > reply_limit_) {
      reply.resize(reply_limit_);
    }
    if (line && reply.size() + 1 < reply_limit_) {
      reply += '\n';
    }
    return reply;
  }

  HttpReply handle_http(std::string_view method, std::string_view path, std::string_view body,
                        std::int64_t now_seconds) {
    seen_ = {};
    vfs_.now_seconds = now_seconds;
    path = path.substr(0, path.find('?'));
    seen_.command = std::string(method) + " " + std::string(path);
    if (flavour_ == WazuhFlavour::k4_11) {
      return {404, ""};
    }
    try {
      return dispatch_http(method, path, body);
    } catch (const std::exception&) {
      return {500, ""};
    }
  }

  std::size_t agents() {
    sqlite3_stmt* count = use("SELECT count(*) FROM agent WHERE id > 0", {});
    sqlite3_step(count);
    const auto rows = static_cast<std::size_t>(sqlite3_column_int64(count, 0));
    sqlite3_reset(count);
    return rows;
  }

  void set_milliseconds(int ms) { vfs_.milliseconds = ms; }

  void fill(std::int64_t first, std::int64_t count, const std::string& node,
            std::int64_t now_seconds) {
    vfs_.now_seconds = now_seconds;
    change_or_throw(
        "INSERT INTO agent (id, name, ip, register_ip, internal_key, os_name, os_version, os_major,"
        " os_minor, os_codename, os_build, os_platform, os_uname, os_arch, version, config_sum,"
        " merged_sum, manager_host, node_name, date_add, last_keepalive, sync_status,"
        " connection_status, group_config_status)"
        " WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1 + ?2)"
        " SELECT i, printf('agent-%06d', i), printf('10.%d.%d.%d', i >> 16 & 255, i >> 8 & 255,"
        " i & 255), 'any', lower(hex(randomblob(32))), 'Ubuntu', '22.04.3 LTS', '22', '04',"
        " 'Jammy Jellyfish', '', 'ubuntu', printf('Linux |agent-%06d |5.15.0-91-generic"
        " |#101-Ubuntu SMP |x86_64', i), 'x86_64', ?4, lower(hex(randomblob(16))), "
        "lower(hex(randomblob(16))),"
        " ?3 || '-host', ?3, 1700000000, strftime('%s','now'), 'syncreq', 'active', 'synced'"
        " FROM n",
        {bound(first), bound(count), Bound(node),
         Bound(std::string(flavour_ == WazuhFlavour::k4_11 ? "Wazuh v4.11.2" : "Wazuh v4.14.7"))});
  }

  void keepalives(std::int64_t first, std::int64_t last, std::int64_t now_seconds) {
    vfs_.now_seconds = now_seconds;
    const bool since_4_13 = flavour_ == WazuhFlavour::k4_14;
    change_or_throw(
        "UPDATE agent SET last_keepalive = strftime('%s','now'), connection_status = 'active',"
        " sync_status = CASE sync_status WHEN 'synced' THEN ?3 ELSE sync_status END,"
        " disconnection_time = 0, status_code = 0 WHERE id BETWEEN ?1 AND ?2",
        {bound(first), bound(last),
         Bound(std::string(since_4_13 ? "syncreq_keepalive" : "syncreq"))});
  }

  void set_reply_limit(std::size_t bytes) { reply_limit_ = std::min(bytes, kWazuhReplyLimitBytes); }
  void set_read_only(bool read_only) {
    const char* sql = read_only ? "PRAGMA query_only=ON" : "PRAGMA query_only=OFF";
    sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  }
  const SeenRequest& seen() const { return seen_; }
  WazuhFlavour flavour() const { return flavour_; }

 private:
  void open(std::int64_t now_seconds) {
    vfs_.now_seconds = now_seconds;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
    if (sqlite3_open_v2(":memory:", &db_, flags, vfs_.base.zName) != SQLITE_OK) {
      std::fprintf(stderr, "stand-in: cannot open a database in memory\n");
      std::abort();
    }
    const std::string sql = "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;" + schema(flavour_) +
                            "INSERT INTO agent (id, ip, register_ip, name, date_add,"
                            " last_keepalive, `group`, connection_status) VALUES (0, '127.0.0.1',"
                            " '127.0.0.1', 'localhost', strftime('%s','now'), " +
                            std::to_string(kNoEnd) +
                            ", NULL, 'active');"
                            "INSERT INTO metadata (key, value) VALUES ('db_version', '" +
                            (flavour_ == WazuhFlavour::k4_11 ? "6" : "7") + "');";
    char* error = nullptr;
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error) != SQLITE_OK) {
      std::fprintf(stderr, "stand-in: %s\n", error);
      std::abort();
    }
    sqlite3_set_authorizer(db_, &Impl::on_access, this);
    sync_last_id_ = 0;
  }

  void close() {
    for (const auto& [sql, statement] : prepared_) {
      sqlite3_finalize(statement);
    }
    prepared_.clear();
    sqlite3_close(db_);
    db_ = nullptr;
  }

  // SQLite calls this for each column that a statement it prepares will read.
  static int on_access(void* self, int action, const char* table, const char* column, const char*,
                       const char*) {
    if (action == SQLITE_READ && std::string_view(table) == "agent" &&
        std::string_view(column) == "internal_key") {
      static_cast<Impl*>(self)->seen_.reads_secret = true;
    }
    return SQLITE_OK;
  }

  // A prepared statement with its values, ready to step. `sql` must be a literal.
  sqlite3_stmt* use(std::string_view sql, const std::vector<Bound>& values) {
    sqlite3_stmt*& statement = prepared_[sql];
    if (statement == nullptr) {
      if (sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
          SQLITE_OK) {
        std::fprintf(stderr, "stand-in: %s: %s\n", std::string(sql).c_str(), sqlite3_errmsg(db_));
        std::abort();
      }
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int index = static_cast<int>(i) + 1;
      if (const auto* number = std::get_if<std::int64_t>(&values[i])) {
        sqlite3_bind_int64(statement, index, *number);
      } else if (const auto* text = std::get_if<std::string>(&values[i])) {
        sqlite3_bind_text(statement, index, text->c_str(), -1, SQLITE_TRANSIENT);
      }
    }
    return statement;
  }

  // Changes the table; an empty answer means that it did, else it is the whole error reply.
  std::string change(std::string_view sql, const std::vector<Bound>& values) {
    sqlite3_stmt* statement = use(sql, values);
    const int status = sqlite3_step(statement);
    std::string error;
    if (status != SQLITE_DONE && status != SQLITE_ROW) {
      error = query_error();
    }
    sqlite3_reset(statement);
    return error;
  }
  void change_or_throw(std::string_view sql, const std::vector<Bound>& values) {
    if (const std::string error = change(sql, values); !error.empty()) {
      throw std::runtime_error(error);
    }
  }

  std::string query_error() const {
    return std::string("err Cannot execute Global database query; ") + sqlite3_errmsg(db_);
  }

  // All rows as a JSON array; nothing if SQLite fails on the way.
  std::optional<std::string> all_rows(sqlite3_stmt* statement, std::uint64_t* found = nullptr) {
    std::string out = "[";
    int status = SQLITE_ERROR;
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
      if (out.size() > 1) {
        out += ',';
      }
      out += row_object(statement);
      if (found != nullptr) {
        *found += rows_in(statement);
      }
    }
    if (status != SQLITE_DONE) {
      return std::nullopt;
    }
    out += ']';
    return out;
  }

  // As many rows as fit a page: `ok [..]`, or `due [..]` when there are more.
  struct Page {
    std::string reply;
    std::vector<std::int64_t> ids;
  };
  Page page(sqlite3_stmt* statement) {
    Page result;
    std::string rows = "[";
    std::size_t size = 2;
    const char* status = "ok ";
    while (sqlite3_step(statement) == SQLITE_ROW) {
      const std::string row = row_object(statement);
      if (size + row.size() + 1 >= kPageLimitBytes) {
        status = "due ";
        break;
      }
      size += row.size() + 1;
      if (rows.size() > 1) {
        rows += ',';
      }
      rows += row;
      result.ids.push_back(sqlite3_column_int64(statement, 0));
    }
    sqlite3_reset(statement);
    result.reply = status + rows + "]";
    return result;
  }

  std::string dispatch(std::string_view request) {
    request.remove_prefix(std::min(request.find_first_not_of(" \n"), request.size()));
    const Words actor = split_first(request);
    if (!actor.rest) {
      return bad_syntax(request);
    }
    if (actor.first != "global") {
      return "err Invalid DB query actor: " + quoted_start(actor.first);
    }
    const auto [command, input] = split_first(*actor.rest);
    seen_.command = command;

    using Handler = std::string (Impl::*)(std::string_view);
    struct Entry {
      Handler handler;
      bool needs_input;
    };
    static const std::map<std::string_view, Entry> kCommands = {
        {"sql", {&Impl::sql, true}},
        {"insert-agent", {&Impl::insert_agent, true}},
        {"update-agent-name", {&Impl::update_agent_name, true}},
        {"update-agent-data", {&Impl::update_agent_data, true}},
        {"update-keepalive", {&Impl::update_keepalive, true}},
        {"update-connection-status", {&Impl::update_connection_status, true}},
        {"update-status-code", {&Impl::update_status_code, true}},
        {"delete-agent", {&Impl::delete_agent, true}},
        {"disconnect-agents", {&Impl::disconnect_agents, true}},
        {"reset-agents-connection", {&Impl::reset_agents_connection, true}},
        {"get-agent-info", {&Impl::get_agent_info, true}},
        {"get-labels", {&Impl::get_labels, true}},
        {"get-all-agents", {&Impl::get_all_agents, true}},
        {"get-agents-by-connection-status", {&Impl::get_agents_by_connection_status, true}},
        {"sync-agent-info-get", {&Impl::sync_agent_info_get, false}},
        {"sync-agent-info-set", {&Impl::sync_agent_info_set, true}},
    };
    const auto entry = kCommands.find(command);
    if (entry == kCommands.end() || (entry->second.needs_input && !input)) {
      return bad_syntax(command);
    }
    return (this->*entry->second.handler)(input.value_or(""));
  }

  std::string sql(std::string_view text) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, text.data(), static_cast<int>(text.size()), &statement, nullptr) !=
        SQLITE_OK) {
      return query_error();
    }
    if (statement == nullptr) {
      return query_error();  // "not an error", as the real one says to an empty statement
    }
    seen_.sql_changes = sqlite3_stmt_readonly(statement) == 0;
    const auto rows = all_rows(statement, &seen_.rows);
    const std::string reply = rows ? "ok " + *rows : query_error();
    sqlite3_finalize(statement);
    return reply;
  }

  std::string insert_agent(std::string_view input) {
    const Json agent = parse(input);
    if (agent.is_discarded()) {
      return bad_json_syntax(input);
    }
    const auto id = int_member(agent, "id");
    const auto name = string_member(agent, "name");
    const auto date_add = int_member(agent, "date_add");
    if (!id || !name || !date_add) {
      return bad_json_data(input);
    }
    return ok_unless(change(
        "INSERT INTO agent (id, name, date_add, ip, register_ip, internal_key, `group`)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        {bound(id), bound(name), bound(date_add), bound(string_member(agent, "ip")),
         bound(string_member(agent, "register_ip")), bound(string_member(agent, "internal_key")),
         bound(string_member(agent, "group"))}));
  }

  std::string update_agent_name(std::string_view input) {
    const Json agent = parse(input);
    if (agent.is_discarded()) {
      return bad_json_syntax(input);
    }
    const auto id = int_member(agent, "id");
    const auto name = string_member(agent, "name");
    if (!id || !name) {
      return bad_json_data(input);
    }
    return ok_unless(change("UPDATE agent SET name = ? WHERE id = ?", {bound(name), bound(id)}));
  }

  std::string update_agent_data(std::string_view input) {
    const Json agent = parse(input);
    if (agent.is_discarded()) {
      return bad_json_syntax(input);
    }
    const auto id = int_member(agent, "id");
    if (!id) {
      return bad_json_data(input);
    }
    const auto text = [&agent](const char* key) { return bound(string_member(agent, key)); };
    const std::string sync = mark(*id, string_member(agent, "sync_status").value_or("synced"));
    std::string error = change(
        "UPDATE agent SET os_name = ?, os_version = ?, os_major = ?, os_minor = ?,"
        " os_codename = ?, os_platform = ?, os_build = ?, os_uname = ?, os_arch = ?, version = ?,"
        " config_sum = ?, merged_sum = ?, manager_host = ?, node_name = ?, ip = ifnull(?, ip),"
        " connection_status = ?, sync_status = ?, group_config_status = ?, last_keepalive = ?"
        " WHERE id = ?",
        {text("os_name"),
         text("os_version"),
         text("os_major"),
         text("os_minor"),
         text("os_codename"),
         text("os_platform"),
         text("os_build"),
         text("os_uname"),
         text("os_arch"),
         text("version"),
         text("config_sum"),
         text("merged_sum"),
         text("manager_host"),
         text("node_name"),
         text("agent_ip"),
         text("connection_status"),
         sync,
         text("group_config_status"),
         bound(*id == 0 ? kNoEnd : vfs_.now_seconds),
         bound(id)});
    if (!error.empty()) {
      return error;
    }
    return set_labels(*id, string_member(agent, "labels").value_or(""));
  }

  // "key:value" lines; a line without a colon is skipped. They replace all labels of the agent.
  std::string set_labels(int id, std::string_view lines) {
    std::string error = change("DELETE FROM labels WHERE id = ?", {bound(id)});
    while (!lines.empty() && error.empty()) {
      const std::string_view line = lines.substr(0, lines.find('\n'));
      lines.remove_prefix(std::min(line.size() + 1, lines.size()));
      if (const auto colon = line.find(':'); colon != std::string_view::npos) {
        error = insert_label(id, std::string(line.substr(0, colon)),
                             std::string(line.substr(colon + 1)));
      }
    }
    return ok_unless(error);
  }

  std::string insert_label(std::int64_t id, const std::string& key, const std::string& value) {
    return change("INSERT INTO labels (id, key, value) VALUES (?, ?, ?)",
                  {bound(id), Bound(key), Bound(value)});
  }

  std::string update_keepalive(std::string_view input) {
    const Json agent = parse(input);
    if (agent.is_discarded()) {
      return bad_json_syntax(input);
    }
    const auto id = int_member(agent, "id");
    const auto status = string_member(agent, "connection_status");
    const auto sync = string_member(agent, "sync_status");
    if (!id || !status || !sync) {
      return bad_json_data(input);
    }
    return ok_unless(
        change("UPDATE agent SET last_keepalive = ?, connection_status = ?, sync_status = ?,"
               " disconnection_time = 0, status_code = 0 WHERE id = ?",
               {bound(vfs_.now_seconds), bound(status), mark(*id, *sync), bound(id)}));
  }

  std::string update_connection_status(std::string_view input) {
    const Json agent = parse(input);
    if (agent.is_discarded()) {
      return bad_json_syntax(input);
    }
    const auto id = int_member(agent, "id");
    const auto status = string_member(agent, "connection_status");
    const auto sync = string_member(agent, "sync_status");
    const auto code = int_member(agent, "status_code");
    if (!id || !status || !sync || !code) {
      return bad_json_data(input);
    }
    return ok_unless(set_connection_status(*id, *status, mark(*id, *sync), *code));
  }

  std::string set_connection_status(std::int64_t id, const std::string& status,
                                    const std::string& sync, int code) {
    return change(
        "UPDATE agent SET connection_status = ?, sync_status = ?, disconnection_time = ?,"
        " status_code = ? WHERE id = ?",
        {status, sync, bound(status == "disconnected" ? vfs_.now_seconds : std::int64_t{0}),
         bound(code), bound(id)});
  }

  std::string update_status_code(std::string_view input) {
    const Json agent = parse(input);
    if (agent.is_discarded()) {
      return bad_json_syntax(input);
    }
    const auto id = int_member(agent, "id");
    const auto code = int_member(agent, "status_code");
    const auto version = string_member(agent, "version");
    const auto sync = string_member(agent, "sync_status");
    if (!id || !code || !sync || (member(agent, "version") != nullptr && !version)) {
      return bad_json_data(input);
    }
    return ok_unless(
        change("UPDATE agent SET status_code = ?, version = ?, sync_status = ? WHERE id = ?",
               {bound(code), bound(version), mark(*id, *sync), bound(id)}));
  }

  std::string delete_agent(std::string_view input) {
    const std::string error = change("DELETE FROM agent WHERE id = ?", {bound(leading_int(input))});
    return error.empty() ? "ok" : "err Error deleting agent from agent table in global.db.";
  }

  // "LAST_ID KEEPALIVE SYNC_STATUS": what the reaper sends. It does not heed a stronger mark.
  std::string disconnect_agents(std::string_view input) {
    const auto words = split_words(input);
    if (words.empty()) {
      return "err Invalid arguments last id not found";
    }
    if (words.size() < 2) {
      return "err Invalid arguments keepalive not found";
    }
    if (words.size() < 3) {
      return "err Invalid arguments sync_status not found";
    }
    const Page silent =
        page(use("SELECT id FROM agent WHERE id > ? AND connection_status IN ('active', 'pending')"
                 " AND last_keepalive < ?",
                 {bound(leading_int(words[0])), bound(leading_int(words[1]))}));
    for (const std::int64_t id : silent.ids) {
      if (!set_connection_status(id, "disconnected", words[2], kStatusNoKeepalive).empty()) {
        return "err" + silent.reply.substr(silent.reply.find(' '));
      }
    }
    return silent.reply;
  }

  std::string reset_agents_connection(std::string_view input) {
    return ok_unless(
        change("UPDATE agent SET connection_status = 'disconnected', status_code = ?,"
               " sync_status = ?, disconnection_time = ?"
               " WHERE connection_status IN ('active', 'pending') AND id <> 0",
               {bound(kStatusManagerRestart), std::string(input), bound(vfs_.now_seconds)}));
  }

  std::string get_agent_info(std::string_view input) {
    // Not through the cache: preparing it is what notices that the secret is read.
    return sql("SELECT * FROM agent WHERE id = " + std::to_string(leading_int(input)));
  }

  std::string labels_of(std::int64_t id) {
    return all_rows(use("SELECT * FROM labels WHERE id = ?", {bound(id)})).value_or("[]");
  }
  std::string get_labels(std::string_view input) { return "ok " + labels_of(leading_int(input)); }

  std::string get_all_agents(std::string_view input) {
    const auto words = split_words(input);
    if (words.empty() || words[0] != "last_id") {
      return "err Invalid arguments 'last_id' or 'context' not found";
    }
    if (words.size() < 2) {
      return "err Invalid arguments 'last_id' not found";
    }
    return page(use("SELECT id FROM agent WHERE id > ?", {bound(leading_int(words[1]))})).reply;
  }

  // "LAST_ID STATUS [NODE LIMIT]"
  std::string get_agents_by_connection_status(std::string_view input) {
    const auto words = split_words(input);
    if (words.empty()) {
      return "err Invalid arguments 'last_id' not found";
    }
    if (words.size() < 2) {
      return "err Invalid arguments 'connection_status' not found";
    }
    if (words.size() == 3) {
      return "err Invalid arguments 'limit' not found";
    }
    if (words.size() == 2) {
      return page(use("SELECT id FROM agent WHERE id > ? AND connection_status = ?",
                      {bound(leading_int(words[0])), words[1]}))
          .reply;
    }
    return page(use("SELECT id FROM agent WHERE id > ? AND connection_status = ?"
                    " AND node_name = ? ORDER BY id LIMIT ?",
                    {bound(leading_int(words[0])), words[1], words[2],
                     bound(leading_int(words[3]))}))
        .reply;
  }

  // What the cluster daemon takes: pending rows, each marked as synced in the same breath.
  std::string sync_agent_info_get(std::string_view input) {
    if (const auto [key, value] = split_first(input); key == "last_id" && value) {
      sync_last_id_ = leading_int(*value);
    }
    const std::string_view full = "syncreq";
    std::vector<std::pair<std::string_view, const char*>> kinds = {{full, kFullRowColumns}};
    if (flavour_ == WazuhFlavour::k4_14) {
      kinds.emplace_back("syncreq_status",
                         "id, last_keepalive, connection_status, disconnection_time, status_code");
      kinds.emplace_back("syncreq_keepalive", "id, last_keepalive");
    }
    std::string rows = "[";
    std::size_t size = 2;
    const int first_id = sync_last_id_;
    for (const auto& [pending, columns] : kinds) {
      sync_last_id_ = first_id;
      while (true) {
        const std::string text = std::string("SELECT ") + columns +
                                 " FROM agent WHERE id > ? AND sync_status = ? LIMIT 1";
        sqlite3_stmt* statement = nullptr;
        sqlite3_prepare_v2(db_, text.c_str(), -1, &statement, nullptr);
        sqlite3_bind_int(statement, 1, sync_last_id_);
        sqlite3_bind_text(statement, 2, pending.data(), static_cast<int>(pending.size()),
                          SQLITE_STATIC);
        const bool found = sqlite3_step(statement) == SQLITE_ROW;
        std::string row = found ? row_object(statement) : std::string();
        const int id = found ? sqlite3_column_int(statement, 0) : 0;
        sqlite3_finalize(statement);
        if (!found) {
          break;
        }
        if (pending == full) {
          if (const std::string labels = labels_of(id); labels != "[]") {
            row.insert(row.size() - 1, ",\"labels\":" + labels);
          }
        }
        if (size + row.size() + 1 >= kPageLimitBytes) {
          return "due " + rows + "]";
        }
        size += row.size() + 1;
        rows += (rows.size() > 1 ? "," : "") + row;
        change("UPDATE agent SET sync_status = 'synced' WHERE id = ?", {bound(id)});
        sync_last_id_ = id;
      }
    }
    sync_last_id_ = 0;
    return "ok " + rows + "]";
  }

  // Full rows from a worker. A field left out becomes NULL; rows are updated, never inserted.
  std::string sync_agent_info_set(std::string_view input) {
    const Json root = parse(input);
    if (root.is_discarded()) {
      return bad_json_syntax(input);
    }
    if (!root.is_structured()) {
      return "ok";
    }
    for (const Json& agent : root) {
      const auto id = int_member(agent, "id");
      const auto either = [&agent](const char* key) {
        const auto text = string_member(agent, key);
        return text ? bound(text) : bound(int_member(agent, key));
      };
      if (const std::string error = set_full_row(either, either, bound(id)); !error.empty()) {
        return error;
      }
      const Json* labels = member(agent, "labels");
      if (labels == nullptr || !labels->is_array()) {
        continue;
      }
      if (!id || *id == -1) {
        return "err Cannot update labels due to invalid id.";
      }
      change("DELETE FROM labels WHERE id = ?", {bound(id)});
      for (const Json& label : *labels) {
        const auto owner = int_member(label, "id");
        const auto key = string_member(label, "key");
        const auto value = string_member(label, "value");
        if (owner && key && value) {
          if (const std::string error = insert_label(*owner, *key, *value); !error.empty()) {
            return error;
          }
        }
      }
    }
    return "ok";
  }

  template <typename TextOf, typename NumberOf>
  std::string set_full_row(const TextOf& text_of, const NumberOf& number_of, Bound id) {
    static const std::string kUpdate = [] {
      std::string sql = "UPDATE agent SET sync_status = 'synced'";
      for (const char* column : kFullRowTexts) {
        sql += std::string(", ") + column + " = ?";
      }
      for (const char* column : kFullRowNumbers) {
        sql += std::string(", ") + column + " = ?";
      }
      return sql + " WHERE id = ?";
    }();
    std::vector<Bound> values;
    for (const char* column : kFullRowTexts) {
      values.push_back(text_of(column));
    }
    for (const char* column : kFullRowNumbers) {
      values.push_back(number_of(column));
    }
    values.push_back(std::move(id));
    return change(kUpdate, values);
  }

  // The pending-sync mark that a write leaves. Since 4.13 a mark only grows until it is taken:
  // keepalive < status < whole row; "synced" always wins.
  std::string mark(int id, const std::string& wanted) {
    if (flavour_ == WazuhFlavour::k4_11) {
      return wanted;
    }
    sqlite3_stmt* statement = use("SELECT sync_status FROM agent WHERE id = ?", {bound(id)});
    const std::string old =
        sqlite3_step(statement) == SQLITE_ROW ? column_text(statement, 0) : std::string();
    sqlite3_reset(statement);
    const auto rank = [](std::string_view sync) {
      return sync == "syncreq" ? 3 : sync == "syncreq_status" ? 2 : sync == "syncreq_keepalive";
    };
    return rank(wanted) > 0 && rank(wanted) < rank(old) ? old : wanted;
  }

  HttpReply dispatch_http(std::string_view method, std::string_view path, std::string_view body) {
    constexpr std::string_view kOfGroup = "/v1/agents/ids/groups/";
    constexpr std::string_view kAgents = "/v1/agents/";
    constexpr std::string_view kGroups = "/groups";
    if (method == "GET") {
      if (path == "/v1/agents/ids") {
        return {200, ids(use("SELECT id FROM agent WHERE id > 0", {}))};
      }
      if (path == "/v1/agents/ids/groups") {
        return {200, http_groups_by_agent()};
      }
      if (path.starts_with(kOfGroup) && path.find('/', kOfGroup.size()) == path.npos) {
        return {200, ids(use("SELECT id_agent FROM belongs WHERE id_agent > 0 AND id_group ="
                             " (SELECT id FROM `group` WHERE name = ?)",
                             {std::string(path.substr(kOfGroup.size()))}))};
      }
      if (path == "/v1/agents/sync") {
        return {200, http_sync_take()};
      }
      if (path.starts_with(kAgents) && path.ends_with(kGroups) &&
          path.size() > kAgents.size() + kGroups.size()) {
        return {200, http_groups_of(std::stoi(std::string(path.substr(kAgents.size()))))};
      }
    } else if (method == "POST") {
      if (path == "/v1/agents/summary") {
        return {200, http_summary(body)};
      }
      if (path == "/v1/agents/sync") {
        http_sync_put(Json::parse(body));
        return {200, ""};
      }
      if (path == "/v1/agents/restartinfo") {
        return {200, http_restart_info(body.empty() ? Json::object() : Json::parse(body))};
      }
    }
    return {404, ""};
  }

  std::string ids(sqlite3_stmt* statement) {
    std::string out = "[";
    while (sqlite3_step(statement) == SQLITE_ROW) {
      out += (out.size() > 1 ? "," : "") + std::to_string(sqlite3_column_int64(statement, 0));
    }
    sqlite3_reset(statement);
    return out + "]";
  }

  static std::string strings(const std::vector<std::string>& texts) {
    std::string out = "[";
    for (const std::string& text : texts) {
      if (out.size() > 1) {
        out += ',';
      }
      append_json_string(out, text);
    }
    return out + "]";
  }

  std::string http_groups_of(int id) {
    sqlite3_stmt* statement =
        use("SELECT name FROM belongs JOIN `group` ON id = id_group WHERE id_agent = ?"
            " ORDER BY priority",
            {bound(id)});
    std::vector<std::string> names;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      names.push_back(column_text(statement, 0));
    }
    sqlite3_reset(statement);
    return strings(names);
  }

  std::string http_groups_by_agent() {
    sqlite3_stmt* statement = use(
        "SELECT id_agent, name FROM belongs JOIN `group` ON id = id_group WHERE id_agent > 0", {});
    std::map<std::string, std::vector<std::string>> groups;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      groups[column_text(statement, 0)].push_back(column_text(statement, 1));
    }
    sqlite3_reset(statement);
    std::string out;
    for (const auto& [id, names] : groups) {
      out += (out.empty() ? "{\"data\":{\"" : ",\"") + id + "\":" + strings(names);
    }
    return out.empty() ? "{}" : out + "}}";
  }

  std::string http_restart_info(const Json& body) {
    std::string text = "SELECT id, version FROM agent WHERE connection_status = 'active'";
    const Json* wanted = member(body, "ids");
    if (wanted != nullptr && wanted->is_array() && !wanted->empty()) {
      const Json* negate = member(body, "negate");
      const bool others = negate != nullptr && negate->is_boolean() && negate->get<bool>();
      std::string list;
      for (const Json& id : *wanted) {
        list += (list.empty() ? "" : ",") + std::to_string(id.get<std::int64_t>());
      }
      text += std::string(" AND id ") + (others ? "NOT " : "") + "IN (" + list + ")";
    }
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(db_, text.c_str(), -1, &statement, nullptr);
    std::string out = "{\"items\":[";
    bool first = true;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      out += std::string(std::exchange(first, false) ? "" : ",") +
             "{\"id\":" + std::to_string(sqlite3_column_int64(statement, 0)) + ",\"version\":";
      append_json_string(out, column_text(statement, 1));
      out += '}';
    }
    sqlite3_finalize(statement);
    return out + "]}";
  }

  // No body: the whole table. Any body: only the ids whose digits stand in it, JSON or not.
  std::string http_summary(std::string_view body) {
    std::optional<std::set<std::int64_t>> wanted;
    if (!body.empty()) {
      wanted.emplace();
      constexpr std::string_view kNumber = "0123456789-";
      for (std::size_t at = body.find_first_of(kNumber); at != body.npos;) {
        const std::size_t end = std::min(body.find_first_not_of(kNumber, at), body.size());
        int id = 0;
        if (std::from_chars(body.data() + at, body.data() + end, id).ec == std::errc()) {
          wanted->insert(id);
        }
        at = body.find_first_of(kNumber, end);
      }
    }
    std::string out = "{";
    const auto add = [&](std::string_view key, sqlite3_stmt* statement) {
      std::map<std::string, std::int64_t> counts;
      while (sqlite3_step(statement) == SQLITE_ROW) {
        if (!wanted || wanted->contains(sqlite3_column_int64(statement, 0))) {
          ++counts[column_text(statement, 1)];
        }
      }
      sqlite3_reset(statement);
      if (!wanted) {  // the whole table's summary names the five largest only
        while (counts.size() > 5) {
          counts.erase(
              std::min_element(counts.begin(), counts.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; }));
        }
      }
      if (counts.empty()) {
        return;
      }
      out += std::string(out.size() > 1 ? "," : "") + "\"" + std::string(key) + "\":{";
      for (bool first = true; const auto& [name, count] : counts) {
        out += std::string(std::exchange(first, false) ? "" : ",") + "\"" + name +
               "\":" + std::to_string(count);
      }
      out += '}';
    };
    add("agents_by_status", use("SELECT id, connection_status FROM agent WHERE id > 0", {}));
    add("agents_by_groups", use("SELECT id_agent, name FROM belongs JOIN `group` ON id = id_group"
                                " WHERE id_agent > 0 AND name <> ''",
                                {}));
    add("agents_by_os",
        use("SELECT id, os_platform FROM agent WHERE id > 0 AND os_platform <> ''", {}));
    return out + "}";
  }

  // All pending rows of a worker at once; then every row is marked as synced.
  std::string http_sync_take() {
    std::string out = "{";
    const auto add = [&](const char* kind, sqlite3_stmt* statement) {
      std::string rows;
      while (sqlite3_step(statement) == SQLITE_ROW) {
        rows += rows.empty() ? "" : ",";
        rows += http_sync_row(statement, std::string_view(kind) == "syncreq");
      }
      sqlite3_reset(statement);
      if (!rows.empty()) {
        out += std::string(out.size() > 1 ? "," : "") + "\"" + kind + "\":[" + rows + "]";
      }
    };
    static const std::string kFullRows = std::string("SELECT ") + kFullRowColumns +
                                         " FROM agent WHERE id > 0 AND sync_status = 'syncreq'";
    add("syncreq", use(kFullRows, {}));
    add("syncreq_keepalive",
        use("SELECT id, version FROM agent WHERE id > 0 AND sync_status = 'syncreq_keepalive'",
            {}));
    add("syncreq_status",
        use("SELECT id, version, connection_status, disconnection_time, status_code FROM agent"
            " WHERE id > 0 AND sync_status = 'syncreq_status'",
            {}));
    change_or_throw("UPDATE agent SET sync_status = 'synced' WHERE id > 0", {});
    return out + "}";
  }

  // Unlike `global sql`: empty texts are left out too, and a number that is NULL is 0.
  std::string http_sync_row(sqlite3_stmt* row, bool with_labels) {
    std::string out = "{";
    for (int i = 0; i < sqlite3_column_count(row); ++i) {
      const std::string_view column = sqlite3_column_name(row, i);
      const bool number =
          column == "id" || std::ranges::find(kFullRowNumbers, column) != kFullRowNumbers.end();
      const std::string text = column_text(row, i);
      if (!number && text.empty()) {
        continue;
      }
      out += std::string(out.size() > 1 ? "," : "") + "\"" + std::string(column) + "\":";
      if (number) {
        out += std::to_string(sqlite3_column_int64(row, i));
      } else {
        append_json_string(out, text);
      }
    }
    if (with_labels) {
      sqlite3_stmt* statement =
          use("SELECT key, value FROM labels WHERE id = ?", {bound(sqlite3_column_int64(row, 0))});
      std::string labels;
      while (sqlite3_step(statement) == SQLITE_ROW) {
        labels += (labels.empty() ? "" : ",") + row_object(statement);
      }
      sqlite3_reset(statement);
      if (!labels.empty()) {
        out += ",\"labels\":[" + labels + "]";
      }
    }
    return out + "}";
  }

  // What the master's cluster daemon writes. A field left out is written as empty or 0. An error
  // on the way leaves what was written before it.
  void http_sync_put(const Json& body) {
    const auto text = [](const Json& object, const char* key) -> Bound {
      const Json* value = member(object, key);
      return value == nullptr ? Bound(std::string()) : Bound(value->get<std::string>());
    };
    const auto number = [](const Json& object, const char* key) -> Bound {
      const Json* value = member(object, key);
      return value == nullptr ? Bound(std::int64_t{0}) : Bound(value->get<std::int64_t>());
    };
    const auto rows = [&body](const char* kind) {
      const Json* value = member(body, kind);
      return value == nullptr ? Json::array() : *value;
    };
    for (const Json& agent : rows("syncreq")) {
      const auto id = agent.at("id").get<std::int64_t>();
      const std::string error =
          set_full_row([&](const char* key) { return text(agent, key); },
                       [&](const char* key) { return number(agent, key); }, bound(id));
      if (!error.empty()) {
        throw std::runtime_error(error);
      }
      change_or_throw("DELETE FROM labels WHERE id = ?", {bound(id)});
      for (const Json& label : agent.value("labels", Json::array())) {
        const auto key = std::get<std::string>(text(label, "key"));
        const auto value = std::get<std::string>(text(label, "value"));
        if (!insert_label(id, key, value).empty()) {
          break;
        }
      }
    }
    for (const Json& agent : rows("syncreq_keepalive")) {
      change_or_throw(
          "UPDATE agent SET last_keepalive = ?, sync_status = 'synced',"
          " connection_status = 'active', disconnection_time = 0, status_code = 0, version = ?"
          " WHERE id = ?",
          {bound(vfs_.now_seconds), text(agent, "version"),
           bound(agent.at("id").get<std::int64_t>())});
    }
    for (const Json& agent : rows("syncreq_status")) {
      change_or_throw(
          "UPDATE agent SET connection_status = ?, sync_status = 'synced',"
          " disconnection_time = ?, status_code = ?, version = ? WHERE id = ?",
          {text(agent, "connection_status"), number(agent, "disconnection_time"),
           number(agent, "status_code"), text(agent, "version"),
           bound(agent.at("id").get<std::int64_t>())});
    }
  }

  static std::string ok_unless(const std::string& error) { return error.empty() ? "ok" : error; }

  static std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> words;
    while (true) {
      text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
      if (text.empty()) {
        return words;
      }
      const std::string_view word = text.substr(0, text.find(' '));
      words.emplace_back(word);
      text.remove_prefix(word.size());
    }
  }

  const WazuhFlavour flavour_;
  FixedClockVfs vfs_{};
  sqlite3* db_ = nullptr;
  std::map<std::string_view, sqlite3_stmt*> prepared_;
  std::size_t reply_limit_ = kWazuhReplyLimitBytes;
  int sync_last_id_ = 0;  // one for all clients, as in the real daemon
  SeenRequest seen_;
};

StandinWazuhDb::StandinWazuhDb(WazuhFlavour flavour, std::int64_t now_seconds)
    : impl_(std::make_unique<Impl>(flavour, now_seconds)) {}
StandinWazuhDb::~StandinWazuhDb() = default;

std::string StandinWazuhDb::handle(std::string_view request, std::int64_t now_seconds) {
  return impl_->handle(request, now_seconds);
}
HttpReply StandinWazuhDb::handle_http(std::string_view method, std::string_view path,
                                      std::string_view body, std::int64_t now_seconds) {
  return impl_->handle_http(method, path, body, now_seconds);
}
void StandinWazuhDb::reset(std::int64_t now_seconds) {
  impl_->reset(now_seconds);
}
void StandinWazuhDb::set_milliseconds(int ms) {
  impl_->set_milliseconds(ms);
}
void StandinWazuhDb::fill(std::int64_t first, std::int64_t count, const std::string& node,
                          std::int64_t now_seconds) {
  impl_->fill(first, count, node, now_seconds);
}
void StandinWazuhDb::keepalives(std::int64_t first, std::int64_t last, std::int64_t now_seconds) {
  impl_->keepalives(first, last, now_seconds);
}
void StandinWazuhDb::set_reply_limit(std::size_t bytes) {
  impl_->set_reply_limit(bytes);
}
void StandinWazuhDb::set_read_only(bool read_only) {
  impl_->set_read_only(read_only);
}
std::size_t StandinWazuhDb::agents() const {
  return impl_->agents();
}
const SeenRequest& StandinWazuhDb::seen() const {
  return impl_->seen();
}
WazuhFlavour StandinWazuhDb::flavour() const {
  return impl_->flavour();
}

}  // namespace rollcall::testing
