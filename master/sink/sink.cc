#include "master/sink/sink.h"

#include <utility>
#include <variant>

namespace rollcall::master {
namespace {

constexpr std::string_view kSyncPath = "/v1/agents/sync";

}  // namespace

Sink::Sink(net::Loop& loop, SinkCore::Config config, Options options, Ports ports)
    : ports_(std::move(ports)),
      mode_(config.mode),
      core_(std::move(config)),
      client_(loop,
              {.socket_path = options.socket_path,
               .request_timeout = options.request_timeout,
               .seed = options.seed},
              {.on_connected = [this] { core_.connected(ports_.now()); },
               .on_reply =
                   [this](const std::string& reply) {
                     client_.works();
                     carry_out(core_.replied(reply, ports_.view(), ports_.now()));
                   },
               .on_lost =
                   [this](const std::string& reason) {
                     post_.stop();
                     core_.lost(reason, ports_.now());
                     tell();
                   }}),
      post_(loop, {.socket_path = options.http_socket_path, .timeout = options.request_timeout}) {}

void Sink::start() {
  if (mode_ == SinkMode::off || std::exchange(running_, true)) return;
  client_.start();
}

void Sink::stop() {
  running_ = false;
  client_.stop();
  post_.stop();
}

void Sink::tick() {
  if (running_) carry_out(core_.tick(ports_.view(), ports_.now()));
}

void Sink::carry_out(SinkCore::Order order) {
  tell();
  if (const auto* ask = std::get_if<SinkCore::Ask>(&order)) return client_.ask(ask->text);
  const auto* post = std::get_if<SinkCore::Post>(&order);
  if (post == nullptr) return;
  post_.post(kSyncPath, post->body, [this](std::expected<void, Error> outcome) {
    carry_out(core_.posted(outcome, ports_.view(), ports_.now()));
  });
}

void Sink::tell() {
  for (const Note& note : core_.take_notes()) ports_.on_note(note);
}

}  // namespace rollcall::master
