#pragma once
// What the pages of both daemons share: parameters, JSON, questions to the loop. HTTP threads.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inspect/http_server.h"
#include "inspect/loop_call.h"
#include "protocol/ids.h"

namespace rollcall::inspect {

using Json = nlohmann::ordered_json;  // fields stay in the order in which they are written down

Response json(const Json& body, int status = 200);
Response busy();  // the loop does not answer

// The answer of /readyz: 503 with all the reasons if there are any.
Response readiness(const std::vector<std::string>& why_not);

// A text that says nothing, and what is not known, are null.
Json or_null(const std::string& text);
Json id_or_null(std::uint64_t id);  // 16 hexadecimal digits
template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// What may stand behind the '?' of a page.
struct Parameter {
  std::string name;
  std::string form;  // what it takes, for the error
  std::function<bool(const std::string&)> take;
};
Parameter whole_number(std::string name, std::uint64_t& into, std::uint64_t least,
                       std::uint64_t most);
// One of some words; the first of each pair is the word.
template <typename Value>
Parameter one_of(std::string name, std::optional<Value>& into,
                 std::vector<std::pair<std::string_view, Value>> words) {
  std::string form = "one of";
  for (const auto& [word, value] : words)
    form += (form == "one of" ? " " : ", ") + std::string(word);
  return {std::move(name), std::move(form), [&into, words = std::move(words)](const auto& text) {
            for (const auto& [word, value] : words) {
              if (word == text) into = value;
            }
            return into.has_value();
          }};
}

// Reads them; an answer if one is not allowed here, or says something that is not.
std::optional<Response> read_parameters(const Request& request,
                                        const std::vector<Parameter>& allowed);

// One server-sent event.
std::string event_text(std::string_view name, const Json& data);
// What a live stream says while the loop does not answer: what was told before may be over.
std::string busy_event();
// A stream's last words: what has begun is ended, what has not is for the next stream.
std::string whole_events(std::string_view unsent, std::string_view why);
// The answer that begins a stream of events; `begin`: its first ones.
Response live_response(std::shared_ptr<Stream> stream, const std::string& begin = "");

// A page that takes no parameters.
void add_page(HttpServer& server, std::string pattern, std::function<Response()> page);

// Lists of agents come in pages, ordered by id.
struct Paging {
  std::uint64_t after = 0;
  std::uint64_t limit = 500;
};
std::vector<Parameter> paging(Paging& into);
// The agent that a path names.
std::optional<AgentId> agent_of(const std::string& text);
Response not_an_agent();

inline std::uint64_t id_of(AgentId agent) {
  return static_cast<std::uint64_t>(agent);
}

// `question` is asked on the loop; a page made of its answer here.
template <typename Question, typename Page>
Response answered(const Post& post, Question question, Page page) {
  auto answer = ask(post, std::move(question));
  return answer ? page(*answer) : busy();
}

}  // namespace rollcall::inspect
