#pragma once
// What goes to a terminal. What agents say of themselves is made harmless first.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/table.h"
#include "inspect/page_tools.h"

namespace rollcall::cli {

using inspect::Json;

// Sentences are no wider than this, however wide the screen is.
inline constexpr std::size_t kProse = 100;

// Without control characters, which could steer the terminal.
std::string harmless(std::string_view text);

// Lines of at most so many columns, broken between words; as standard output has room, without.
std::string wrapped(std::string_view text, std::size_t columns);
std::string wrapped(std::string_view text);

// "name       value", the value wrapped behind its column.
void print_field(std::string_view name, std::string_view value, Tone tone = Tone::plain);

// On a line of its own; what is not UTF-8 is replaced.
void print_json(const Json& json);

// A field of an answer; null if it is not there, as in those of another version.
const Json& field(const Json& of, std::string_view name);

// A field of an answer as text: "-" for null and for what is not there.
std::string shown(const Json& value);
std::string shown_time(const Json& us);
std::string shown_length(const Json& us);
// "10:00:00" of what shown_time() made; "-" stays.
std::string clock_of(const std::string& time);
// A number that is not there is 0.
std::int64_t number_of(const Json& value);
// "a, b"
std::string list_of(const Json& values);
// "50,000"
std::string grouped(std::int64_t number);

// The table of agents that a page of the master, or of a log, holds.
Table agents_table();
void add_agents(Table& table, const Json& agents);

// The same of /contested: a row for each worker that can have the agent. "*": its newest session is
// there.
Table contested_table();
void add_contested(Table& table, const Json& agents);

}  // namespace rollcall::cli
