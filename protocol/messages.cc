#include "protocol/messages.h"

namespace rollcall {

std::string_view to_string(ExceptionKind kind) {
  switch (kind) {
    case ExceptionKind::superseded:
      return "superseded";
    case ExceptionKind::need_info:
      return "need_info";
    case ExceptionKind::future_epoch:
      return "future_epoch";
  }
  return "?";
}

std::string_view to_string(Agreement agreement) {
  switch (agreement) {
    case Agreement::unknown:
      return "unknown";
    case Agreement::equal:
      return "equal";
    case Agreement::differs:
      return "differs";
  }
  return "?";
}

std::string_view to_string(CommandKind kind) {
  switch (kind) {
    case CommandKind::restart:
      return "restart";
  }
  return "?";
}

std::string_view to_string(ByeReason reason) {
  switch (reason) {
    case ByeReason::shutdown:
      return "shutdown";
    case ByeReason::drain:
      return "drain";
    case ByeReason::restart:
      return "restart";
  }
  return "?";
}

// As of a node: what may stand in a name may stand in a path.
bool is_valid_command_id(std::string_view id) {
  return is_valid_node_name(id);
}

std::string_view to_string(CommandOutcome outcome) {
  switch (outcome) {
    case CommandOutcome::sent:
      return "sent";
    case CommandOutcome::not_here:
      return "not_here";
    case CommandOutcome::unknown_version:
      return "unknown_version";
    case CommandOutcome::socket:
      return "socket";
    case CommandOutcome::late:
      return "late";
    case CommandOutcome::uncertain:
      return "uncertain";
  }
  return "?";
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::malformed:
      return "malformed";
    case ErrorCode::protocol:
      return "protocol";
    case ErrorCode::version:
      return "version";
    case ErrorCode::cluster:
      return "cluster";
    case ErrorCode::name:
      return "name";
    case ErrorCode::node_in_use:
      return "node_in_use";
    case ErrorCode::sequence:
      return "sequence";
    case ErrorCode::unknown_type:
      return "unknown_type";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::new_term:
      return "new_term";
    case ErrorCode::shutting_down:
      return "shutting_down";
    case ErrorCode::reserved_change:
      return "reserved_change";
    case ErrorCode::inventory:
      return "inventory";
  }
  return "?";
}

namespace {

struct NameOf {
  std::string_view operator()(const Hello&) const { return "HELLO"; }
  std::string_view operator()(const Welcome&) const { return "WELCOME"; }
  std::string_view operator()(const Delta&) const { return "DELTA"; }
  std::string_view operator()(const Ack&) const { return "ACK"; }
  std::string_view operator()(const Superseded&) const { return "SUPERSEDED"; }
  std::string_view operator()(const Challenge&) const { return "CHALLENGE"; }
  std::string_view operator()(const Heartbeat&) const { return "HEARTBEAT"; }
  std::string_view operator()(const HeartbeatAck&) const { return "HEARTBEAT_ACK"; }
  std::string_view operator()(const ErrorMessage&) const { return "ERROR"; }
  std::string_view operator()(const UnknownMessage&) const { return "UNKNOWN"; }
  std::string_view operator()(const Want&) const { return "WANT"; }
  std::string_view operator()(const Digests&) const { return "DIGESTS"; }
  std::string_view operator()(const InventoryBegin&) const { return "INVENTORY_BEGIN"; }
  std::string_view operator()(const InventoryChunk&) const { return "INVENTORY_CHUNK"; }
  std::string_view operator()(const InventoryEnd&) const { return "INVENTORY_END"; }
  std::string_view operator()(const InventoryAck&) const { return "INVENTORY_ACK"; }
  std::string_view operator()(const Command&) const { return "COMMAND"; }
  std::string_view operator()(const Result&) const { return "RESULT"; }
  std::string_view operator()(const Bye&) const { return "BYE"; }
};

}  // namespace

std::string_view name_of(const Message& message) {
  return std::visit(NameOf{}, message);
}

}  // namespace rollcall
