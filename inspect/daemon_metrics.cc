#include "inspect/daemon_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace rollcall::inspect {
namespace {

namespace fs = std::filesystem;

// As proc(5) counts the fields of /proc/self/stat, from 1; the second may hold anything.
constexpr int kFirstBehindName = 3, kStartTicks = 22, kResidentPages = 24;

struct Process {
  double started_s = 0, resident_bytes = 0;
};

double boot_time_s() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;) {
    double value = 0;
    if (word == "btime" && file >> value) return value;
  }
  return 0;
}

Process read_process() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_ends = line.rfind(')');
  if (name_ends == std::string::npos) return {};
  std::istringstream fields(line.substr(name_ends + 1));
  Process process;
  std::string field;
  for (int number = kFirstBehindName; number <= kResidentPages && fields >> field; ++number) {
    if (number == kStartTicks) {
      const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
      process.started_s = boot_time_s() + std::stod(field) / ticks;
    }
    if (number == kResidentPages)
      process.resident_bytes = std::stod(field) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  }
  return process;
}

double cpu_s() {
  struct rusage used {};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + seconds_of(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double open_files() {
  std::error_code failed;
  double count = 0;
  for (fs::directory_iterator it("/proc/self/fd", failed), end; !failed && it != end;
       it.increment(failed)) {
    ++count;
  }
  return count;
}

void add_process(MetricsText& text) {
  const Process process = read_process();
  text.gauge("process_start_time_seconds", "When this process began, since 1970",
             process.started_s);
  text.gauge("process_resident_memory_bytes", "Resident memory", process.resident_bytes);
  text.counter("process_cpu_seconds_total", "User and system time", cpu_s());
  text.gauge("process_open_fds", "Open file descriptors", open_files());
  struct rlimit files {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  text.gauge("process_max_fds", "How many file descriptors may be open",
             static_cast<double>(files.rlim_cur));
}

// The node's own certificate comes first, then those of the CAs.
void add_upkeep(MetricsText& text, const Upkeep& upkeep) {
  for (std::size_t i = 0; i < upkeep.certificates.size(); ++i) {
    const auto since_1970 = upkeep.certificates[i].not_after.time_since_epoch();
    const std::string name = i == 0 ? "own" : i == 1 ? "ca" : "ca" + std::to_string(i);
    text.gauge("rollcall_certificate_expiry_timestamp_seconds",
               "Until when a certificate in use is valid, since 1970",
               std::chrono::duration<double>(since_1970).count(), {{"certificate", name}});
  }
  const auto reloads = [&](const char* result, std::uint64_t n) {
    text.counter("rollcall_reloads_total",
                 "How often certificates and configuration were read anew, by result",
                 static_cast<double>(n), {{"result", result}});
  };
  reloads("done", upkeep.reload.done);
  reloads("failed", upkeep.reload.failed);
  text.gauge("rollcall_reload_failing",
             "1 while changed files are not taken, because something in them is wrong",
             upkeep.reload.error.empty() ? 0 : 1);
}

}  // namespace

double bytes_in(const std::string& folder) {
  std::error_code failed;
  double bytes = 0;
  for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    std::error_code gone;
    const auto size = it->is_regular_file(gone) ? it->file_size(gone) : 0;
    if (!gone) bytes += static_cast<double>(size);
  }
  return bytes;
}

void add_daemon_metrics(MetricsText& text, const DaemonMetrics& daemon) {
  text.gauge("rollcall_build_info", "1, with the version of the program", 1,
             {{"version", daemon.version}});
  add_process(text);
  text.gauge("rollcall_store_failing", "1 while the log or the store cannot be written",
             daemon.store_failing ? 1 : 0);
  text.histogram("rollcall_commit_duration_seconds",
                 "How long commits to the log or the store took, until durable", daemon.commits);
  add_upkeep(text, daemon.upkeep);
  if (daemon.store.empty()) return;
  std::error_code failed;
  const auto space = fs::space(daemon.store, failed);
  text.gauge("rollcall_store_size_bytes", "Files under [store] path", bytes_in(daemon.store));
  if (!failed) {
    text.gauge("rollcall_store_free_bytes", "Free on the file system of [store] path",
               static_cast<double>(space.available));
  }
}

}  // namespace rollcall::inspect
