#include "protocol/event.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rollcall {

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::opened:
      return "opened";
    case EventKind::info:
      return "info";
    case EventKind::confirmed:
      return "confirmed";
    case EventKind::closed:
      return "closed";
    case EventKind::removed:
      return "removed";
    case EventKind::offered:
      return "offered";
    case EventKind::withdrawn:
      return "withdrawn";
    case EventKind::released:
      return "released";
    case EventKind::contact:
      return "contact";
  }
  return "?";
}

bool leaves_open(EventKind kind) {
  switch (kind) {
    case EventKind::opened:
    case EventKind::info:
    case EventKind::confirmed:
    case EventKind::offered:
    case EventKind::withdrawn:
      return true;
    case EventKind::closed:
    case EventKind::removed:
    case EventKind::released:
    case EventKind::contact:
      return false;
  }
  return false;
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::shutdown:
      return "shutdown";
    case Reason::no_keepalive:
      return "no_keepalive";
    case Reason::worker_restart:
      return "worker_restart";
    case Reason::unconfirmed:
      return "unconfirmed";
    case Reason::handoff_expired:
      return "handoff_expired";
    case Reason::absent_from_inventory:
      return "absent_from_inventory";
    case Reason::lease_expired:
      return "lease_expired";
    case Reason::removed:
      return "removed";
    case Reason::invalid_version:
      return "invalid_version";
    case Reason::version_error:
      return "version_error";
    case Reason::moved:
      return "moved";
    case Reason::unknown:
      return "unknown";
    case Reason::node_forgotten:
      return "node_forgotten";
  }
  return "?";
}

InfoHash hash_of(const AgentInfo& info) {
  // Lengths are part of the bytes, so that no two different lists of fields feed the same ones.
  const std::uint64_t h = XXH3_64bits(info.bytes().data(), info.bytes().size());
  return InfoHash{h == 0 ? 1 : h};
}

bool operator==(const Event& a, const Event& b) {
  const bool same_info = (a.info == b.info) || (a.info && b.info && *a.info == *b.info);
  return same_info && a.agent == b.agent && a.epoch == b.epoch && a.change == b.change &&
         a.kind == b.kind && a.evidence == b.evidence && a.reason == b.reason &&
         a.info_hash == b.info_hash && a.from == b.from && a.folded == b.folded &&
         a.grace_us == b.grace_us;
}

}  // namespace rollcall
