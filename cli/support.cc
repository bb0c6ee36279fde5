#include "cli/support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "cli/check_parts.h"
#include "cli/local_page.h"
#include "cli/secrets.h"
#include "cli/tar.h"
#include "net/pki.h"

namespace rollcall::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostOutput = std::size_t{16} << 20;  // of one command

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return path + ": " + std::strerror(errno) + "\n";
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string time_text(std::time_t now) {
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return text.data();
}

// Names, modes, owners and sizes; what is in the files stays there.
std::string listing(const std::string& folder) {
  std::string text = folder + "\n";
  std::error_code error;
  for (fs::recursive_directory_iterator
           entry(folder, fs::directory_options::skip_permission_denied, error),
       end;
       !error && entry != end; entry.increment(error)) {
    struct stat status{};
    if (::lstat(entry->path().c_str(), &status) != 0) continue;
    char line[96];
    std::snprintf(line, sizeof line, "%06o %6u %6u %14lld %12lld  ", status.st_mode, status.st_uid,
                  status.st_gid, static_cast<long long>(status.st_size),
                  static_cast<long long>(status.st_mtime));
    text += line + entry->path().string() + "\n";
  }
  return error ? text + error.message() + "\n" : text;
}

std::string about(const std::string& version) {
  utsname kernel{};
  ::uname(&kernel);
  return "rollcall " + version + "\n" + kernel.sysname + " " + kernel.release + " " +
         kernel.version + " " + kernel.machine + "\nhost " + kernel.nodename + "\n\n" +
         read_text("/etc/os-release") + "\n" + read_text("/proc/uptime") +
         read_text("/proc/loadavg") + read_text("/proc/meminfo");
}

// JSON for a file; what is not UTF-8 is replaced.
std::string json_text(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

constexpr std::array kPages = {"status", "readyz", "healthz",    "sync",      "handoffs",
                               "nodes",  "sink",   "migrations", "contested", "balance"};
constexpr std::uint64_t kMachineSteps = 5;

class Pack {
 public:
  explicit Pack(std::string root) : root_(std::move(root)) {}
  void add(const std::string& name, std::string content) {
    files_.push_back({root_ + "/" + name, without_secrets(std::move(content))});
  }
  void add_daemon(const std::string& file, const std::string& user, Steps& steps);
  const std::vector<PackedFile>& files() const { return files_; }

 private:
  std::string root_;
  std::vector<PackedFile> files_;
};

void Pack::add_daemon(const std::string& file, const std::string& user, Steps& steps) {
  const std::string name = fs::path(file).stem();
  add(name + ".ini", read_text(file));
  add(name + "/check.json", json_text(findings_json(check_daemon(file, user, steps))));
  const auto config = load_any_config(file);
  if (!config) return;
  std::visit(
      [&](const auto& one) {
        add(name + "/certificates.json", certificates_of(one.tls));
        add(name + "/files.txt",
            listing(fs::path(one.tls.ca).parent_path()) + "\n" + listing(one.store.path));
        for (const char* page : kPages) {
          if (const auto answer = local_json(one.inspect, std::string("/") + page))
            add(name + "/" + page + ".json", json_text(*answer));
        }
        if (auto text = local_page(one.inspect, "/metrics"))
          add(name + "/metrics.txt", *std::move(text));
      },
      *config);
  steps.add_done();
}

std::expected<void, Error> write_private(const std::string& path, const std::string& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0)
    return std::unexpected(
        Error{path + " cannot be made (" + std::strerror(errno) + "): name another with --out"});
  std::size_t written = 0;
  while (written < bytes.size()) {
    const auto count = ::write(file, bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<std::size_t>(count);
  }
  const int error = errno;
  const bool closed = ::close(file) == 0;
  if (written == bytes.size() && closed) return {};
  ::unlink(path.c_str());
  return std::unexpected(Error{path + " cannot be written (" + std::strerror(error) + ")"});
}

}  // namespace

std::string said_by(const std::string& command, std::size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(
      ::popen((command + " 2>&1").c_str(), "re"), ::pclose);
  std::string text;
  std::array<char, 4096> buffer;
  bool cut = false;
  // What is too much is dropped at twice the size, so that it is moved seldom.
  const auto keep_newest = [&] {
    cut = true;
    text.erase(0, text.size() - most);
  };
  while (pipe) {
    const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get());
    if (count == 0) break;
    text.append(buffer.data(), count);
    if (text.size() >= 2 * most) keep_newest();
  }
  if (text.size() > most) keep_newest();
  if (!cut) return text;
  text.erase(0, text.find('\n') + 1);  // the rest of a line
  return "[what is older is left out]\n" + text;
}

std::string certificates_of(const app::TlsConfig& tls) {
  Json all = Json::array();
  for (const auto& path : {tls.ca, tls.certificate}) {
    const auto read = net::pki_read(path);
    if (!read) {
      all.push_back({{"file", path}, {"error", read.error().message}});
      continue;
    }
    for (const auto& one : *read) {
      all.push_back({{"file", path},
                     {"subject", one.info.subject},
                     {"names", one.info.names},
                     {"serial", one.info.serial},
                     {"not_before_s", std::chrono::system_clock::to_time_t(one.info.not_before)},
                     {"not_after_s", std::chrono::system_clock::to_time_t(one.info.not_after)},
                     {"revoked_by", one.revoked_by}});
    }
  }
  return json_text(all);
}

std::uint64_t support_steps(std::size_t daemons) {
  return kMachineSteps + daemons * (kCheckSteps + 1);
}

std::expected<std::string, Error> write_support(const std::vector<std::string>& configs,
                                                const std::string& user, const std::string& out,
                                                const std::string& version, Steps& steps) {
  const std::time_t now = std::time(nullptr);
  const std::string root = "rollcall-support-" + time_text(now);
  Pack pack(root);
  const auto add = [&](const char* name, std::string content) {
    pack.add(name, std::move(content));
    steps.add_done();
  };
  add("about.txt", about(version));
  add("disk.txt", said_by("df -h; mount", kMostOutput));
  add("time.txt", said_by("timedatectl", kMostOutput));
  add("units.txt",
      said_by("systemctl status --no-pager rollcall-master rollcall-sidecar wazuh-manager",
              kMostOutput));
  add("journal.txt", said_by("journalctl --no-pager -o short-iso-precise -n 20000 "
                             "-u rollcall-master -u rollcall-sidecar",
                             kMostOutput));
  for (const auto& file : configs) pack.add_daemon(file, user, steps);
  const auto packed = gzip(tar_of(pack.files(), now));
  if (!packed) return std::unexpected(packed.error());
  const std::string path = out.empty() ? root + ".tar.gz" : out;
  if (auto written = write_private(path, *packed); !written)
    return std::unexpected(written.error());
  return path;
}

}  // namespace rollcall::cli
