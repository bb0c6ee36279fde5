#include "sidecar/source/remoted_counters.h"

#include <simdjson.h>

#include <limits>
#include <utility>

namespace rollcall::sidecar {
namespace {

namespace dom = simdjson::dom;

}  // namespace

std::string starts_request(std::span<const AgentId> agents) {
  std::string ids;
  for (const AgentId agent : agents)
    ids += (ids.empty() ? "" : ",") + std::to_string(static_cast<std::uint32_t>(agent));
  return R"({"command":"getagentsstats","parameters":{"agents":[)" + ids + "]}}";
}

std::expected<Starts, Error> take_starts(std::string_view reply) {
  dom::parser parser;
  dom::element root;
  std::uint64_t error = 0;
  dom::array agents;
  if (parser.parse(reply.data(), reply.size()).get(root) != simdjson::SUCCESS ||
      root["error"].get(error) != simdjson::SUCCESS || error != 0 ||
      root["data"]["agents"].get(agents) != simdjson::SUCCESS) {
    return fail("remoted's answer has no counters of agents");
  }
  Starts starts;
  for (const dom::element agent : agents) {
    std::uint64_t id = 0;
    std::uint64_t count = 0;
    if (agent["id"].get(id) != simdjson::SUCCESS || id == 0 ||
        id > std::numeric_limits<std::uint32_t>::max() ||
        agent["metrics"]["messages"]["received_breakdown"]["control_breakdown"]["startup"].get(
            count) != simdjson::SUCCESS) {
      return fail("remoted's answer has an agent without its counters");
    }
    starts[AgentId{static_cast<std::uint32_t>(id)}] = count;
  }
  return starts;
}

RemotedCounters::RemotedCounters(net::Loop& loop, Options options)
    : options_(std::move(options)),
      loop_(loop),
      timeout_(loop),
      put_off_(loop),
      backoff_(options_.seed, options_.put_off) {}

void RemotedCounters::ask(std::span<const AgentId> agents, Done done) {
  done_ = std::move(done);
  reader_.reset();
  stream_ = std::make_unique<net::UnixStream>(loop_);
  timeout_.start(options_.timeout, [this] { finish(std::nullopt); });
  stream_->connect(options_.socket_path,
                   {.on_data =
                        [this](std::span<const std::byte> bytes) {
                          const auto reply = reader_.feed(bytes);
                          if (!reply) return finish(std::nullopt);
                          if (!*reply) return;
                          auto starts = take_starts(**reply);
                          finish(starts ? std::optional(std::move(*starts)) : std::nullopt);
                        },
                    .on_closed = [this](const std::string&) { finish(std::nullopt); },
                    .on_drained = {}},
                   [this, request = frame_request(starts_request(agents))] {
                     if (request) stream_->write(*request);
                   });
}

void RemotedCounters::stop() {
  stream_.reset();
  timeout_.stop();
  done_ = {};
}

void RemotedCounters::finish(std::optional<Starts> starts) {
  const Done done = std::exchange(done_, {});
  stop();
  answers_ = starts.has_value();
  if (starts) {
    backoff_.reset();
  } else {
    put_off_.start(backoff_.next(), [] {});
  }
  if (done) done(std::move(starts));
}

}  // namespace rollcall::sidecar
