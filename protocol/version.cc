#include "protocol/version.h"

namespace rollcall {

std::string to_string(const Version& v) {
  return std::to_string(static_cast<std::uint64_t>(v.epoch)) + "@" + v.node + "+" +
         std::to_string(v.change);
}

}  // namespace rollcall
