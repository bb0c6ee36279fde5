#include "wazuh/wdb_client.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace rollcall::wazuh {

std::string seconds_text(std::chrono::milliseconds time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

NoConnection why_no_connection(const std::string& path, const std::string& reason) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return {reason};
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return {
          "there is no such socket; start wazuh-manager, or correct the path in the "
          "configuration",
          true};
    }
    if (errno == EACCES) return {"permission denied; add the rollcall user to group wazuh"};
    return {reason};
  }
  if (!S_ISSOCK(file.st_mode)) {
    return {"this is not a socket; correct the path in the configuration"};
  }
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) != 0 && errno == EACCES) {
    return {"permission denied; add the rollcall user to group wazuh"};
  }
  return {"nobody answers there (" + reason +
              "); check that wazuh-db runs, and start wazuh-manager if not",
          true};
}

WdbClient::WdbClient(net::Loop& loop, Options options, Events events)
    : loop_(loop),
      options_(std::move(options)),
      events_(std::move(events)),
      request_timer_(loop),
      reconnect_timer_(loop),
      backoff_(options_.seed, options_.backoff) {}

void WdbClient::start() {
  backoff_.reset();
  connect();
}

void WdbClient::stop() {
  stream_.reset();
  connected_ = false;
  awaiting_reply_ = false;
  request_timer_.stop();
  reconnect_timer_.stop();
}

void WdbClient::connect() {
  reader_.reset();
  stream_ = std::make_unique<net::UnixStream>(loop_);
  stream_->connect(options_.socket_path,
                   {.on_data = [this](std::span<const std::byte> bytes) { on_bytes(bytes); },
                    .on_closed = [this](const std::string& reason) { closed(reason); },
                    .on_drained = {}},
                   [this] {
                     connected_ = true;
                     unserved_ = false;
                     events_.on_connected();
                   });
}

void WdbClient::closed(const std::string& reason) {
  if (connected_) {
    return give_up(
        about_socket("the connection was lost (" + reason + "); is wazuh-manager restarting?"));
  }
  const NoConnection why = why_no_connection(options_.socket_path, reason);
  unserved_ = why.unserved;
  give_up(about_socket(why.text));
}

void WdbClient::ask(const std::string& text) {
  auto frame = frame_request(text);
  if (!frame) return give_up(about_socket(frame.error().message));
  awaiting_reply_ = true;
  request_timer_.start(options_.request_timeout, [this] {
    give_up(about_socket("no answer within " + seconds_text(options_.request_timeout) +
                         "; wazuh-db may be overloaded or stuck, see its log"));
  });
  stream_->write(std::move(*frame));
}

void WdbClient::on_bytes(std::span<const std::byte> bytes) {
  if (!awaiting_reply_) return give_up(about_socket("bytes came that nobody asked for"));
  const auto reply = reader_.feed(bytes);
  if (!reply) return give_up(about_socket(reply.error().message));
  if (!*reply) return;
  awaiting_reply_ = false;
  request_timer_.stop();
  if (!is_reply(**reply)) {
    return give_up(about_socket(
        "the answer is not one of wazuh-db's; is another program behind this socket?"));
  }
  events_.on_reply(**reply);
}

void WdbClient::give_up(const std::string& reason) {
  stop();
  reconnect_timer_.start(backoff_.next(), [this] { connect(); });
  events_.on_lost(reason);
}

std::string WdbClient::about_socket(const std::string& what) const {
  return "wazuh-db socket " + options_.socket_path + ": " + what;
}

}  // namespace rollcall::wazuh
