#include "wazuh/http_post.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "wazuh/wdb_client.h"

namespace rollcall::wazuh {
namespace {

constexpr std::size_t kShownBytes = 160;

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// Of a head in lower case.
std::optional<std::string_view> header(std::string_view head, std::string_view name) {
  const auto at = head.find("\r\n" + std::string(name) + ":");
  if (at == head.npos) return std::nullopt;
  std::string_view value = head.substr(at + name.size() + 3);
  value = value.substr(0, value.find("\r\n"));
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  return value;
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kShownBytes));
  std::ranges::replace_if(
      out, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return out;
}

}  // namespace

std::expected<std::optional<HttpReply>, Error> HttpReplyReader::feed(
    std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kMostBytes) return fail("the answer is too long");
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return read(false);
}

std::expected<HttpReply, Error> HttpReplyReader::end() {
  auto reply = read(true);
  if (!reply) return std::unexpected(std::move(reply).error());
  if (!*reply) return fail("the connection ended inside an answer");
  return **std::move(reply);
}

std::expected<std::optional<HttpReply>, Error> HttpReplyReader::read(bool ended) const {
  constexpr std::string_view kVersion = "HTTP/1.";
  const std::string_view all = buffer_;
  const std::string_view start = all.substr(0, kVersion.size());
  if (start != kVersion.substr(0, start.size())) return fail("the answer is no HTTP");
  const auto head_end = all.find("\r\n\r\n");
  if (head_end == all.npos) return std::nullopt;
  std::string head(all.substr(0, head_end + 2));
  std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto status = number(std::string_view(head).substr(std::min<std::size_t>(9, head.size())));
  if (!status || *status < 100 || *status > 599) return fail("the answer has no status");
  const std::string_view body = all.substr(head_end + 4);
  const auto length = header(head, "content-length");
  if (!length) {
    if (!ended) return std::nullopt;
    return HttpReply{static_cast<int>(*status), std::string(body)};
  }
  const auto bytes = number(*length);
  if (!bytes || *bytes > kMostBytes) return fail("the answer is too long");
  if (body.size() < *bytes) return std::nullopt;
  return HttpReply{static_cast<int>(*status), std::string(body.substr(0, *bytes))};
}

HttpPost::HttpPost(net::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)), timeout_(loop) {}

void HttpPost::post(std::string_view path, std::string_view json, Done done) {
  done_ = std::move(done);
  reader_ = {};
  connected_ = false;
  std::string request = "POST " + std::string(path) +
                        " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Connection: close\r\nContent-Length: " +
                        std::to_string(json.size()) + "\r\n\r\n" + std::string(json);
  timeout_.start(options_.timeout, [this] {
    finish(about_socket("no answer within " + seconds_text(options_.timeout) +
                        "; wazuh-db may be overloaded or stuck, see its log"));
  });
  stream_ = std::make_unique<net::UnixStream>(loop_);
  stream_->connect(
      options_.socket_path,
      {.on_data = [this](std::span<const std::byte> bytes) { take(reader_.feed(bytes)); },
       .on_closed =
           [this](const std::string& reason) {
             if (!connected_)
               return finish(about_socket(why_no_connection(options_.socket_path, reason).text));
             take(reader_.end());
           },
       .on_drained = {}},
      [this, request = std::move(request)] {
        connected_ = true;
        stream_->write(request);
      });
}

void HttpPost::stop() {
  stream_.reset();
  timeout_.stop();
  done_ = {};
}

void HttpPost::take(std::expected<std::optional<HttpReply>, Error> reply) {
  if (!reply) return finish(about_socket(reply.error().message));
  if (!*reply) return;
  const HttpReply& whole = **reply;
  if (whole.status == 200) return finish({});
  finish(about_socket("the answer is " + std::to_string(whole.status) +
                      (whole.body.empty() ? "" : " \"" + printable(whole.body) + "\"") +
                      "; wazuh-db's log says more"));
}

void HttpPost::finish(std::expected<void, Error> outcome) {
  const Done done = std::exchange(done_, {});
  stop();
  if (done) done(std::move(outcome));
}

std::unexpected<Error> HttpPost::about_socket(const std::string& what) const {
  return fail("wazuh-db's HTTP socket " + options_.socket_path + ": " + what);
}

}  // namespace rollcall::wazuh
