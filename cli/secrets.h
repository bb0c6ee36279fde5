#pragma once
// What must not leave this machine.
#include <string>

namespace rollcall::cli {

// `text` without private keys, and without whatever looks like a token: 64 hexadecimal digits, as
// the daemons' are, and what follows "Bearer".
std::string without_secrets(std::string text);

}  // namespace rollcall::cli
