#pragma once
// A sidecar's core and a master's core in one process. Every message goes between them as bytes,
// every commit is durable at once, and time passes only when told.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "master/core/master_core.h"
#include "protocol/framing.h"
#include "sidecar/core/sidecar_core.h"

namespace rollcall::bench {

class Pair {
 public:
  // Agents 1 to `agents` are connected to the sidecar's worker; the master does not know yet.
  explicit Pair(std::uint32_t agents);

  struct Traffic {
    std::uint64_t up = 0, down = 0;  // bytes of whole frames, before TLS
    std::uint64_t frames = 0;
    std::uint64_t turns = 0;  // of both sides, one answering the other
  };
  // From now on.
  void count_anew() { traffic_ = {}; }
  const Traffic& traffic() const { return traffic_; }

  // Each goes on until neither side has anything to say.
  void connect();
  void disconnect();
  void pass(std::int64_t us);
  // These agents spoke and are there or not, which the source shows now.
  void look(const std::vector<std::uint32_t>& agents, bool there);
  // What the master says when it wants a full inventory.
  void want_inventory();

  // Makes the master forget the sessions of some agents and remember others wrongly, as damage
  // would, and start again from that. The link is down after it.
  void plant(const std::vector<std::uint32_t>& forgotten,
             const std::vector<std::uint32_t>& invented);

  const sidecar::SidecarCore& sidecar() const { return *sidecar_; }
  const master::MasterCore& master() const { return *master_; }
  bool agree() const;  // on what is open, and with the same digest
  bool lease_is_valid() const;
  Now now() const { return now_; }

 private:
  static constexpr master::ConnId kConn{1};

  void take(sidecar::Output out);
  void take(master::Output out);
  void exchange();

  Now now_;
  std::unique_ptr<sidecar::SidecarCore> sidecar_;
  std::unique_ptr<master::MasterCore> master_;
  bool connected_ = false;
  std::string up_, down_;  // on the way
  FrameReader at_master_{kMaxFrame}, at_sidecar_{kMaxFrame};
  std::uint64_t sidecar_ticket_ = 0, master_ticket_ = 0;  // to be told as stored
  Traffic traffic_;
};

}  // namespace rollcall::bench
