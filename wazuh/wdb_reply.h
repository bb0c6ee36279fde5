// What wazuh-db's replies mean. It cuts a reply at kReplyLimitBytes without a sign, so one of that
// length, or one that is no JSON, is taken as cut: the same is asked again with half as many rows.
// No I/O; any thread.
#pragma once
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/error.h"

namespace rollcall::wazuh {

// The start of what the other side said, in one printable line.
std::string quoted(std::string_view text);

// wazuh-db keeps numbers as doubles, so a whole one may come as either.
std::optional<std::uint64_t> whole(simdjson::simdjson_result<simdjson::dom::element> value);
// A value as a field's text; nothing for what a column never is.
std::optional<std::string> field_text(simdjson::dom::element value);

struct Cut {
  std::string why;
};

// The array of a reply. The parser owns it.
std::variant<simdjson::dom::array, Cut, Error> array_of(std::string_view reply,
                                                        simdjson::dom::parser& parser);

// Rows that were packed into one text by group_concat: `r` the rows with ';' between, `c` how many,
// `m` the highest id of them. The parser owns what is seen here.
struct PackedPage {
  simdjson::dom::object all;  // with whatever else was asked for
  std::string_view rows;
  std::uint64_t count = 0;
  std::optional<std::uint64_t> highest;
};
std::variant<PackedPage, Cut, Error> packed_page(std::string_view reply, std::size_t asked,
                                                 simdjson::dom::parser& parser);

}  // namespace rollcall::wazuh
