// SidecarCore's part in commands to agents.
#include <utility>

#include "sidecar/core/sidecar_core.h"

namespace rollcall::sidecar {

void SidecarCore::on(const Command& m, const Now& now, Output& out) {
  note(out, NoteLevel::info, "a command to agents has come",
       {{"command", m.id},
        {"kind", std::string(to_string(m.kind))},
        {"agents", std::to_string(m.entries.size())}});
  if (commands_.take(m, ticket_ + 1, now)) urgent_ = true;
}

Output SidecarCore::datagram_sent(std::uint64_t number, const std::optional<std::string>& why_not,
                                  const Now& now) {
  commands_.sent(number, why_not);
  return finish(now, {});
}

// Before the commit of this turn.
void SidecarCore::remember_commands() {
  if (auto memory = commands_.take_memory()) meta_["commands"] = std::move(*memory);
}

void SidecarCore::carry_out_commands(const Now& now, Output& out) {
  if (commands_.idle()) return;
  commands_.advance(stored_ticket_, now);
  out.datagrams = commands_.take_datagrams();
  for (Result& result : commands_.take_results()) {
    // Whoever asked over a connection that is gone asks again.
    if (link_ == Link::streaming && !out.close) out.send.emplace_back(std::move(result));
  }
}

}  // namespace rollcall::sidecar
