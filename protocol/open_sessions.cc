#include "protocol/open_sessions.h"

namespace rollcall {

void OpenSessions::take(AgentId agent, EventKind kind, Epoch epoch, std::uint32_t change) {
  if (kind == EventKind::contact) return;
  const Session said{epoch, change};
  if (leaves_open(kind)) {
    Session& own = table_.edit(agent);  // a new one is below all
    if (own >= said) return;
    if (own.epoch != kUnstamped) digest_ -= digest_of(agent, own.epoch, own.change);
    digest_ += digest_of(agent, said.epoch, said.change);
    own = said;
  } else if (const Session* own = table_.find(agent); own && said >= *own) {
    erase(agent);
  }
}

void OpenSessions::set(AgentId agent, Session session) {
  erase(agent);
  table_.edit(agent) = session;
  digest_ += digest_of(agent, session.epoch, session.change);
}

void OpenSessions::erase(AgentId agent) {
  const Session* own = table_.find(agent);
  if (!own) return;
  digest_ -= digest_of(agent, own->epoch, own->change);
  table_.erase(agent);
}

std::array<Digest, kTreeFanout> OpenSessions::children(TreeNode node) const {
  std::array<Digest, kTreeFanout> digests{};
  const AgentRange range = range_of(node);
  const std::uint64_t span = (std::uint64_t{range.last} - range.first + 1) / kTreeFanout;
  for_each(range, [&](AgentId agent, const Session& session) {
    const std::uint64_t offset = static_cast<std::uint32_t>(agent) - range.first;
    digests[offset / span] += digest_of(agent, session.epoch, session.change);
  });
  return digests;
}

}  // namespace rollcall
