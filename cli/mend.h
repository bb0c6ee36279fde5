#pragma once
// Commands that mend what `rollcall check` finds, with names filled in. What one has to know of
// them stands behind a "#", so that the line can be pasted as it is.
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"

namespace rollcall::cli {

// The CA's folder, unless told otherwise.
inline constexpr const char* kPkiFolder = "/etc/rollcall/pki";

// The user that the daemon runs as. Whoever calls as root looks with that user's rights.
struct DaemonUser {
  std::string name;
  std::string group;
  bool is_other = false;  // than the one who calls
};

struct CheckedDaemon {
  std::string program;  // "rollcalld"
  std::string unit;     // of systemd
  std::string file;     // its configuration
  std::string node;     // its name there
  app::TlsConfig tls;
  std::string state;             // the folder that its unit makes at its first start
  std::string pki = kPkiFolder;  // the CA's folder, on whichever machine it is
  DaemonUser user;
};

// `text` as one word of a shell.
std::string shell_word(std::string_view text);
std::string noted(const std::string& command, const std::string& note);

// Opens a file, at this line if it is not 0.
std::string edit(const std::string& file, const std::string& note, int line = 0);
// Opens the daemon's configuration, and starts it anew.
std::string edit_and_restart(const CheckedDaemon& daemon, const std::string& note);

// Fetches files from the CA's folder.
struct FromCa {
  std::string name;  // "ca.crt"
  std::string to;
};
std::string fetch(const CheckedDaemon& daemon, const std::vector<FromCa>& files,
                  const std::string& note = "");
std::string fetch_authorities(const CheckedDaemon& daemon);  // ca.crt
std::string fetch_pair(const CheckedDaemon& daemon, const std::string& note = "");
// Makes a new pair where the CA is, by `pki renew` or `pki issue`, and fetches it; another node's
// has to be brought there.
std::string renew(const CheckedDaemon& daemon, const std::string& node);
std::string issue(const CheckedDaemon& daemon, const std::string& note);
std::string change_ca(const CheckedDaemon& daemon);

}  // namespace rollcall::cli
