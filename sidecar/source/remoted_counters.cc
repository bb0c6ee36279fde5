#include "sidecar/source/remoted_counters.h"

#include <simdjson.h>

#include <limits>
#include <utility>

namespace rollcall::sidecar {
namespace {

namespace dom = simdjson::dom;

}  // namespace

std::string counts_request(std::span<const AgentId> agents) {
  std::string ids;
  for (const AgentId agent : agents)
    ids += (ids.empty() ? "" : ",") + std::to_string(static_cast<std::uint32_t>(agent));
  return R"({"command":"getagentsstats","parameters":{"agents":[)" + ids + "]}}";
}

std::expected<CountsOf, Error> take_counts(std::string_view reply) {
  dom::parser parser;
  dom::element root;
  std::uint64_t error = 0;
  dom::array agents;
  if (parser.parse(reply.data(), reply.size()).get(root) != simdjson::SUCCESS ||
      root["error"].get(error) != simdjson::SUCCESS || error != 0 ||
      root["data"]["agents"].get(agents) != simdjson::SUCCESS) {
    return fail("remoted's answer has no counters of agents");
  }
  CountsOf counts;
  for (const dom::element agent : agents) {
    std::uint64_t id = 0;
    Counts c;
    dom::element control;
    if (agent["id"].get(id) != simdjson::SUCCESS || id == 0 ||
        id > std::numeric_limits<std::uint32_t>::max() ||
        agent["metrics"]["messages"]["received_breakdown"]["control_breakdown"].get(control) !=
            simdjson::SUCCESS ||
        control["startup"].get(c.startup) != simdjson::SUCCESS ||
        control["keepalive"].get(c.keepalive) != simdjson::SUCCESS ||
        control["shutdown"].get(c.shutdown) != simdjson::SUCCESS) {
      return fail("remoted's answer has an agent without its counters");
    }
    if (agent["uptime"].get(c.since) != simdjson::SUCCESS) c.since = 0;
    counts[AgentId{static_cast<std::uint32_t>(id)}] = c;
  }
  return counts;
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
                          auto counts = take_counts(**reply);
                          finish(counts ? std::optional(std::move(*counts)) : std::nullopt);
                        },
                    .on_closed = [this](const std::string&) { finish(std::nullopt); },
                    .on_drained = {}},
                   [this, request = frame_request(counts_request(agents))] {
                     if (request) stream_->write(*request);
                   });
}

void RemotedCounters::stop() {
  stream_.reset();
  timeout_.stop();
  done_ = {};
}

void RemotedCounters::finish(std::optional<CountsOf> counts) {
  const Done done = std::exchange(done_, {});
  stop();
  answers_ = counts.has_value();
  if (counts) {
    backoff_.reset();
  } else {
    put_off_.start(backoff_.next(), [] {});
  }
  if (done) done(std::move(counts));
}

}  // namespace rollcall::sidecar
