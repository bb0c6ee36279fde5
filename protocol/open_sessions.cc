#include "protocol/open_sessions.h"

namespace rollcall {

void OpenSessions::take(AgentId agent, EventKind kind, Epoch epoch, std::uint32_t change) {
  if (kind == EventKind::contact) return;
  const Session said{epoch, change};
  if (leaves_open(kind)) {
    Session& own = table_.edit(agent);  // a new one is below all
    if (own >= said) return;
    if (own.epoch != kUnstamped) take_away(agent, own);
    add(agent, said);
    own = said;
  } else if (const Session* own = table_.find(agent); own && said >= *own) {
    erase(agent);
  }
}

void OpenSessions::set(AgentId agent, Session session) {
  erase(agent);
  table_.edit(agent) = session;
  add(agent, session);
}

void OpenSessions::erase(AgentId agent) {
  const Session* own = table_.find(agent);
  if (!own) return;
  take_away(agent, *own);
  table_.erase(agent);
}

void OpenSessions::add(AgentId agent, const Session& session) {
  const Digest digest = digest_of(agent, session.epoch, session.change);
  Part& part = parts_[part_of(agent)];
  part.digest += digest;
  ++part.sessions;
  digest_ += digest;
}

void OpenSessions::take_away(AgentId agent, const Session& session) {
  const Digest digest = digest_of(agent, session.epoch, session.change);
  const auto part = parts_.find(part_of(agent));
  part->second.digest -= digest;
  if (--part->second.sessions == 0) parts_.erase(part);
  digest_ -= digest;
}

std::array<Digest, kTreeFanout> OpenSessions::children(TreeNode node) const {
  std::array<Digest, kTreeFanout> digests{};
  const AgentRange range = range_of(node);
  const std::uint64_t span = (std::uint64_t{range.last} - range.first + 1) / kTreeFanout;
  const auto child_with = [&](std::uint32_t id) -> Digest& {
    return digests[(id - range.first) / span];
  };
  if (span >= std::uint64_t{1} << kPartBits) {
    for (auto part = parts_.lower_bound(range.first >> kPartBits);
         part != parts_.end() && part->first <= range.last >> kPartBits; ++part)
      child_with(part->first << kPartBits) += part->second.digest;
    return digests;
  }
  for_each(range, [&](AgentId agent, const Session& session) {
    child_with(static_cast<std::uint32_t>(agent)) +=
        digest_of(agent, session.epoch, session.change);
  });
  return digests;
}

}  // namespace rollcall
