#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/stream.h"
#include "net/tls.h"
#include "protocol/error.h"

namespace rollcall::net {

class Loop;

// Who is at the other end, proven by its certificate.
struct Peer {
  std::vector<std::string> names;  // DNS names of the certificate
  std::string serial;              // of the certificate; upper-case hex
  std::string address;             // "192.0.2.1:40312", "[2001:db8::1]:40312"
};

// A TLS connection whose handshake has succeeded: TlsListener and TlsConnector hand it over, so
// there is no stream without a verified peer. Loop thread only.
//
// On the client's side the server may still refuse our certificate afterwards; on_closed then
// says so, before any data has come.
class TlsStream {
 public:
  struct Impl;
  explicit TlsStream(std::shared_ptr<Impl> impl);
  // Cuts the connection and drops what is queued, unless close() was called; then the goodbye
  // goes on in the background. No callback comes any more.
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Nothing is read, and no callback comes, before this. Once.
  void start(StreamEvents events);

  // Small writes of one turn travel in one TLS record. After close() or the peer's end: dropped.
  void write(std::string bytes);
  // Written, but not yet taken by the kernel. There is no bound here: whoever writes looks at
  // this number, stops above a bound of its own, and goes on at on_drained.
  std::size_t pending_bytes() const;

  // While paused no on_data comes, the peer is slowed down by TCP, and its end goes unnoticed.
  void pause_reading();
  void resume_reading();

  // Sends what is queued and says goodbye; a peer that takes nothing for a second is cut off, any
  // after five. on_closed(reason) comes in a later turn, on_data no more.
  void close(std::string reason);

  const Peer& peer() const;
  // Whether `context` would let this peer in too, dates aside; the error says why not.
  std::expected<void, Error> check_peer(const TlsContext& context) const;

 private:
  std::shared_ptr<Impl> impl_;
};

// Waits for TLS connections. Loop thread only. Destroying it ends listening and unfinished
// handshakes; streams that were handed over stay.
//
// Whoever can reach the port can begin handshakes, so these have a limit of their own, and the
// oldest gives way to the newest: a flood must finish its connections faster than a worker needs
// for one handshake to keep it out. What has proven who it is never gives way.
class TlsListener {
 public:
  struct Options {
    std::string address = "127.0.0.1";  // IPv4 or IPv6, not a name; "::" takes both families
    std::uint16_t port = 0;             // 0: any free one, see port()
    // Streams; above it connections are refused at once. Handshakes take no place from a stream.
    std::size_t max_connections = 1'024;
    // Unfinished ones; one more ends the oldest. As many failed ones may say goodbye beside them.
    std::size_t max_handshakes = 1'024;
    // Streams and handshakes of one IP address; 0: no limit.
    std::size_t max_per_address = 0;
    std::chrono::milliseconds handshake_deadline{10'000};
  };
  struct Events {
    std::function<void(std::unique_ptr<TlsStream>)> on_accepted;
    // A connection that ended before it was accepted. `address` may be empty.
    std::function<void(const std::string& address, const std::string& reason)> on_refused;
  };

  static std::expected<std::unique_ptr<TlsListener>, Error> listen(Loop& loop, TlsContext context,
                                                                   const Options& options,
                                                                   Events events);
  ~TlsListener();
  TlsListener(const TlsListener&) = delete;
  TlsListener& operator=(const TlsListener&) = delete;

  std::uint16_t port() const;
  // Since it listens; what was not accepted, by why.
  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t over_limit = 0;    // max_connections
    std::uint64_t over_address = 0;  // max_per_address
    std::uint64_t gave_way = 0;      // max_handshakes
    std::uint64_t too_slow = 0;      // handshake_deadline
    std::uint64_t failed = 0;        // no TLS, no certificate, a wrong one, gone
  };
  const Counters& counters() const;
  // From now on new connections use these certificates. A handshake that is under way goes on with
  // those that it began with, but at its end the peer has to count by these too.
  void set_context(TlsContext context);

 private:
  struct Impl;
  explicit TlsListener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// Connects to a TLS server, one attempt at a time: looks the name up, tries each of its addresses
// up to a finished handshake. Loop thread only. Trying again is the caller's (see backoff.h).
class TlsConnector {
 public:
  struct Target {
    std::string host;  // name or address
    std::uint16_t port = 0;
    // Must be in the server's certificate; empty: any certificate of the CA will do.
    std::string expected_name;
    // For the whole attempt; each address gets an even share of what is left.
    std::chrono::milliseconds deadline{10'000};
  };
  using Done = std::function<void(std::expected<std::unique_ptr<TlsStream>, Error>)>;

  TlsConnector(Loop& loop, TlsContext context);
  ~TlsConnector();  // cancels
  TlsConnector(const TlsConnector&) = delete;
  TlsConnector& operator=(const TlsConnector&) = delete;

  // `done` is called once, in a later turn, unless the attempt is cancelled. An attempt that is
  // under way is cancelled first.
  void connect(const Target& target, Done done);
  void cancel();
  // From now on these certificates; an attempt that is under way begins anew with them.
  void set_context(TlsContext context);

 private:
  struct Attempt;
  Loop& loop_;
  TlsContext context_;
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace rollcall::net
