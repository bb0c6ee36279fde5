// The two ini files and the values in them: a configuration within its bounds, or what is wrong
// with it and where.
#include "app/config.h"
#include "app/durations.h"
#include "net/revocation.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using namespace rollcall::app;
using fuzz::must;
using net::RevokedSerials;

namespace {

void check_refusal(const Error& error) {
  std::string_view left = error.message;
  do {
    must(left.starts_with("f.ini"), "each line of a refusal names the file");
    left.remove_prefix(std::min(left.find('\n'), left.size() - 1) + 1);
  } while (!left.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = parse_sidecar_config(text, "f.ini"); !config) {
    check_refusal(config.error());
  } else {
    must(!config->node.name.empty() && !config->master.addresses.empty(),
         "what is required is there");
  }
  if (const auto config = parse_master_config(text, "f.ini"); !config) {
    check_refusal(config.error());
  } else {
    must(config->timing.ttl >= 2 * config->timing.heartbeat, "the bounds hold");
  }

  if (const auto address = parse_address(text, 9471, AnyPort::Yes)) {
    const auto again = parse_address(to_text(*address), 0, AnyPort::Yes);
    must(again && *again == *address, "an address can be written and read again");
    (void)is_loopback(*address);
  }
  if (const auto duration = parse_duration(text)) {
    const auto again = parse_duration(to_text(*duration));
    must(again && *again == *duration, "a duration can be written and read again");
  }
  (void)parse_size(text);

  if (const auto revoked = RevokedSerials::parse(text, "f.ini")) {
    must(revoked->size() <= size, "a serial takes at least a byte");
    (void)revoked->contains(text);
  } else {
    check_refusal(revoked.error());
  }
  return 0;
}
