#pragma once
// What goes to a terminal of 80 columns. What agents say of themselves is made harmless first.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/page_tools.h"

namespace rollcall::cli {

using inspect::Json;

inline constexpr std::size_t kColumns = 80;

// Without control characters, which could steer the terminal.
std::string harmless(std::string_view text);

// Lines of at most 80 columns, broken between words.
std::string wrapped(std::string_view text);

// Columns as wide as what is in them; the last one is cut at the edge.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row);
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "name       value", the value wrapped behind its column.
void print_field(std::string_view name, std::string_view value);

// A field of an answer; null if it is not there, as in those of another version.
const Json& field(const Json& of, std::string_view name);

// A field of an answer as text: "-" for null and for what is not there.
std::string shown(const Json& value);
std::string shown_time(const Json& us);
std::string shown_length(const Json& us);

// The table of agents that a page of the master, or of a log, holds.
Table agents_table();
void add_agents(Table& table, const Json& agents);

// The same of /contested: a row for each worker that can have the agent. "*": its newest session is
// there.
Table contested_table();
void add_contested(Table& table, const Json& agents);

}  // namespace rollcall::cli
