#pragma once
// remoted's statistics socket: one framed JSON request on a connection, one framed answer.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/unix_stream.h"
#include "sidecar/source/remoted_counters.h"

namespace rollcall::sidecar::test {

class FakeRemoted {
 public:
  FakeRemoted(net::Loop& loop, const std::string& path) {
    auto listener = net::UnixListener::listen(
        loop, path, 0660, [this](std::unique_ptr<net::UnixStream> s) { accept(std::move(s)); });
    if (listener) listener_ = std::move(*listener);
  }
  bool listening() const { return listener_ != nullptr; }

  std::map<std::uint32_t, Counts> counts;  // of each agent that it counts
  std::string says;                        // instead of an answer, if not empty
  bool mute = false;
  bool busy = false;  // every agent starts once more before each answer
  std::vector<std::string> asked;

  static std::string framed(const std::string& text) {
    std::string out;
    for (int shift = 0; shift < 32; shift += 8)
      out += static_cast<char>(static_cast<std::uint32_t>(text.size()) >> shift & 0xff);
    return out + text;
  }

 private:
  struct Connection {
    std::unique_ptr<net::UnixStream> stream;
    std::string in;
  };

  void accept(std::unique_ptr<net::UnixStream> stream) {
    auto connection = std::make_shared<Connection>();
    connection->stream = std::move(stream);
    connections_.push_back(connection);
    Connection* c = connection.get();
    c->stream->start({.on_data =
                          [this, c](std::span<const std::byte> bytes) {
                            c->in.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                            answer(*c);
                          },
                      .on_closed = [](const std::string&) {},
                      .on_drained = {}});
  }

  void answer(Connection& c) {
    const std::size_t length = c.in.empty() ? 0 : static_cast<unsigned char>(c.in[0]);
    if (c.in.size() < 4 + length) return;  // short requests only
    asked.push_back(c.in.substr(4));
    if (mute) return;
    for (auto& [id, count] : counts) count.startup += busy ? 1u : 0u;
    c.stream->write(says.empty() ? framed(counters()) : says);
  }

  std::string counters() const {
    std::string agents;
    for (const auto& [id, count] : counts) {
      agents += std::string(agents.empty() ? "" : ",") + R"({"uptime":1,"id":)" +
                std::to_string(id) +
                R"(,"metrics":{"messages":{"received_breakdown":{"control":9,"control_breakdown":)"
                R"({"keepalive":)" +
                std::to_string(count.keepalive) + R"(,"request":0,"shutdown":)" +
                std::to_string(count.shutdown) + R"(,"startup":)" + std::to_string(count.startup) +
                "}}}}}";
    }
    return R"({"error":0,"message":"ok","data":{"timestamp":1,"name":"wazuh-remoted","agents":[)" +
           agents + "]}}";
  }

  std::unique_ptr<net::UnixListener> listener_;
  std::vector<std::shared_ptr<Connection>> connections_;
};

}  // namespace rollcall::sidecar::test
