#include "sidecar/source/agent_socket.h"

#include <utility>

namespace rollcall::sidecar {
namespace {

using Outcome = net::UnixDatagram::Outcome;

// So many in one turn, then the others on the loop have theirs.
constexpr int kMaxBurst = 500;

}  // namespace

AgentSocket::AgentSocket(net::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)), timer_(loop) {
  stop();
}

void AgentSocket::send(std::string datagram, std::chrono::milliseconds patience, Done done) {
  Waiting waiting{std::move(datagram), Clock::now() + patience, std::move(done)};
  if (queue_.size() >= options_.waiting) {
    end(waiting, Error{std::to_string(queue_.size()) + " messages wait for " + options_.path +
                       " already: ask again when they are through"});
  } else {
    queue_.push_back(std::move(waiting));
  }
  if (!timer_.active()) flush_later({});
}

void AgentSocket::stop() {
  running_ = std::make_shared<char>();
  queue_.clear();
  ended_.clear();
  timer_.stop();
  socket_ = std::make_unique<net::UnixDatagram>(loop_, options_.path);
  trouble_.reset();
}

AgentSocket::Status AgentSocket::status() const {
  return {queue_.size(), sent_, failed_, trouble_};
}

void AgentSocket::flush_later(std::chrono::milliseconds delay) {
  timer_.start(delay, [this] { flush(); });
}

void AgentSocket::flush() {
  timer_.stop();
  send_some();
  if (trouble_) expire();
  if (!queue_.empty()) flush_later(trouble_ ? options_.retry : std::chrono::milliseconds(0));
  tell();
}

void AgentSocket::send_some() {
  trouble_.reset();
  for (int i = 0; i < kMaxBurst && !queue_.empty(); ++i) {
    const auto [outcome, why] = socket_->send(queue_.front().datagram);
    if (outcome == Outcome::kFull) socket_->when_room([this] { flush(); });
    if (outcome == Outcome::kFull || outcome == Outcome::kAway) {
      trouble_ = why;
      return;
    }
    end(queue_.front(), outcome == Outcome::kSent ? std::nullopt : std::optional(Error{why}));
    queue_.pop_front();
  }
}

void AgentSocket::expire() {
  const auto now = Clock::now();
  std::deque<Waiting> patient;
  for (Waiting& waiting : queue_) {
    if (waiting.until > now) {
      patient.push_back(std::move(waiting));
    } else {
      end(waiting, Error{*trouble_});
    }
  }
  queue_ = std::move(patient);
}

void AgentSocket::end(Waiting& waiting, std::optional<Error> failure) {
  ++(failure ? failed_ : sent_);
  ended_.push_back({std::move(waiting.done), std::move(failure)});
}

// What is told may stop this object, or end it.
void AgentSocket::tell() {
  const std::weak_ptr<char> running = running_;
  const auto ended = std::exchange(ended_, {});
  for (const auto& [done, failure] : ended) {
    if (running.expired()) return;
    if (done) done(failure);
  }
}

}  // namespace rollcall::sidecar
