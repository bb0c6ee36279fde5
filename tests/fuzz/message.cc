// The payload of one frame, as it comes from a peer: refused, or a message that can be said again.
#include "protocol/codec.h"
#include "protocol/wire.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using fuzz::must;

namespace {

// Every value that the view offers, as a reader with any table of keys would ask for it.
std::size_t walk(const wire::Value& v) {
  std::size_t values = 1 + v.as_str().value_or("").size() + v.as_bin().value_or("").size();
  values += v.as_u64().has_value() + v.as_i64().has_value() + v.as_bool().has_value();
  if (v.is_array()) {
    for (std::size_t i = 0; i < v.size(); ++i) values += walk(v.at(i));
  } else if (v.is_map()) {
    for (std::size_t i = 0; i < v.size(); ++i) {
      values += walk(v.key_at(i)) + walk(v.value_at(i));
      if (const auto key = v.key_at(i).as_u64()) (void)v.get(*key);
    }
  }
  return values;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  if (auto document = wire::Document::parse(payload)) walk(document->root());

  const auto message = decode(payload);
  if (!message) {
    must(!message.error().message.empty(), "a refusal says why");
    return 0;
  }
  if (std::holds_alternative<UnknownMessage>(*message)) return 0;  // has no bytes of its own
  std::string frame;
  encode_frame(*message, frame);
  const auto again = decode(std::string_view(frame).substr(kFrameHeader));
  must(again.has_value(), "what was read can be written and read again");
  must(*again == *message, "and it is the same");
  return 0;
}
