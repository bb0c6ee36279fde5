// codec and apply: what one core does in one process, without sockets.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <numeric>
#include <random>

#include "app/clock.h"
#include "app/disk_thread.h"
#include "app/master_driver.h"
#include "bench/figures.h"
#include "persist/file_event_log.h"
#include "protocol/codec.h"

namespace rollcall::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFrameEvents = 1000;
constexpr std::size_t kAgents = 50'000;

// One worker's news: its agents in any order, each opened and closed in turn. No info.
class News {
 public:
  explicit News(std::int64_t now_us) : now_us_(now_us), order_(kAgents) {
    std::iota(order_.begin(), order_.end(), 1u);
    std::ranges::shuffle(order_, random_);
  }

  Delta frame() {
    Delta m;
    m.first_seq = seq_;
    for (std::size_t i = 0; i < kFrameEvents; ++i) m.events.push_back(next());
    seq_ += kFrameEvents;
    m.position = seq_ - 1;
    return m;
  }

 private:
  Event next() {
    const std::size_t round = made_ / kAgents;
    Event e;
    e.agent = AgentId{order_[made_ % kAgents]};
    // The second round closes what the first one opened, and so on.
    e.epoch = Epoch{static_cast<std::uint64_t>(now_us_ - 60'000'000) + made_ % kAgents * 7 +
                    round / 2 * 1'000'000};
    e.change = round % 2 == 0 ? 0 : 1;
    e.kind = round % 2 == 0 ? EventKind::opened : EventKind::closed;
    const std::int64_t error = 300 + static_cast<std::int64_t>(random_() % 200);
    e.evidence = {{time_of(e.epoch).us - error}, {time_of(e.epoch).us + 1'000'000 + error}};
    if (e.kind == EventKind::closed) e.reason = Reason::shutdown;
    ++made_;
    return e;
  }

  std::mt19937_64 random_{1};
  std::int64_t now_us_;
  std::vector<std::uint32_t> order_;
  std::uint64_t seq_ = 1;
  std::size_t made_ = 0;
};

// Both daemons' threads on one core: the figures are for one.
void stay_on_one_core() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(sched_getcpu(), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) print_remark("not bound to one core");
}

// The best of some rounds: other work on the machine only ever makes one slower.
double best_rate(std::size_t count, const std::function<void()>& round) {
  double best = 0;
  for (int i = 0; i < 15; ++i) {
    const Stopwatch watch;
    round();
    best = std::max(best, static_cast<double>(count) / watch.seconds());
  }
  return best;
}

volatile std::uint64_t sink;

// ---- codec -----------------------------------------------------------------------------------

void codec() {
  constexpr std::size_t kFrames = 200;
  constexpr std::size_t kCount = kFrames * kFrameEvents;
  News news(1'700'000'000'000'000);
  std::vector<Delta> deltas;
  for (std::size_t i = 0; i < kFrames; ++i) deltas.push_back(news.frame());

  std::vector<std::string> frames(kFrames);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < kFrames; ++i) {
    encode_frame(deltas[i], frames[i]);
    bytes += frames[i].size();
  }
  print_remark("codec: " + std::to_string(bytes / kCount) +
               " bytes a delta (agent, epoch, change, kind, evidence, reason; no info)");

  std::string out;
  const double encoded = best_rate(kCount, [&] {
    for (const Delta& d : deltas) {
      out.clear();
      encode_frame(d, out);
      sink = out.size();
    }
  });
  const std::size_t piece = bytes / kCount;
  const double copied = best_rate(kCount, [&] {
    for (const std::string& f : frames) {
      char* to = out.data();
      for (std::size_t at = 0; at + piece <= f.size() && at + piece <= out.size(); at += piece)
        std::memcpy(to + at, f.data() + at, piece);
      sink = static_cast<unsigned char>(out[out.size() / 2]);
    }
  });
  print_figure("codec", encoded / 1e6, "M deltas/s", copied / 1e6);

  const double decoded = best_rate(kCount, [&] {
    for (const std::string& f : frames) {
      const auto message = decode(std::string_view(f).substr(kFrameHeader));
      if (!message) fail("a frame does not decode: " + message.error().message);
      sink = std::get<Delta>(*message).events.size();
    }
  });
  // The least that a reader of these bytes does: look at each of them.
  const double looked = best_rate(kCount, [&] {
    std::uint64_t sum = 0;
    for (const std::string& f : frames) {
      for (const char c : f) {
        sum += static_cast<unsigned char>(c);
        asm volatile("" : "+r"(sum));  // byte by byte, as a parser goes
      }
    }
    sink = sum;
  });
  print_figure("codec_decode", decoded / 1e6, "M deltas/s", looked / 1e6);
}

// ---- apply -----------------------------------------------------------------------------------

// What comes from other threads, run on this one.
class Turns {
 public:
  void post(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
  }
  void run_posted() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
    }
    for (auto& task : tasks) task();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !tasks_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> tasks_;
};

// As DiskLog in app/ports.h, on turns instead of a loop; remembers the sizes of the groups.
class BenchLog final : public app::MasterDriver::Log {
 public:
  BenchLog(Turns& turns, app::DiskThread& disk, persist::EventLog& log)
      : turns_(turns), disk_(disk), log_(log) {}
  void append(std::vector<std::string> records, Snapshot, Done done) override {
    std::size_t bytes = 0;
    for (const std::string& r : records) bytes += r.size() + 4;
    groups.push_back(bytes + 40);
    const auto taken = disk_.submit([this, records = std::move(records), done = std::move(done)] {
      auto result = log_.append(records);
      turns_.post([done, result = std::move(result)] { done(result); });
    });
    if (taken != app::DiskThread::Submitted::Queued) fail("the disk thread does not take a group");
  }

  std::vector<std::size_t> groups;

 private:
  Turns& turns_;
  app::DiskThread& disk_;
  persist::EventLog& log_;
};

class BenchLinks final : public app::MasterDriver::Links {
 public:
  void send(master::ConnId, std::string bytes) override {
    const auto message = decode(std::string_view(bytes).substr(kFrameHeader));
    if (!message) fail("the master sent what does not decode");
    if (const auto* ack = std::get_if<Ack>(&*message)) {
      acked = ack->through;
      exceptions += ack->exceptions.size();
    } else if (std::holds_alternative<Welcome>(*message)) {
      welcomed = true;
    } else {
      fail("the master sent " + std::string(name_of(*message)));
    }
  }
  void close(master::ConnId, const std::string& reason) override { fail("closed: " + reason); }
  void pause_reading(bool p) override { paused = p; }

  bool welcomed = false, paused = false;
  std::uint64_t acked = 0, exceptions = 0;
};

double append_alone(const fs::path& file, const std::vector<std::size_t>& groups) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) fail("cannot create " + file.string());
  const std::string bytes(*std::ranges::max_element(groups), 'x');
  const Stopwatch watch;
  off_t at = 0;
  for (const std::size_t n : groups) {
    if (::pwrite(fd, bytes.data(), n, at) != static_cast<ssize_t>(n) || ::fdatasync(fd) != 0)
      fail("cannot write " + file.string());
    at += static_cast<off_t>(n);
  }
  const double seconds = watch.seconds();
  ::close(fd);
  return seconds;
}

struct Applied {
  double seconds = 0;
  std::vector<std::size_t> groups;
};

Applied apply_once(const fs::path& directory, const std::vector<std::string>& frames,
                   std::uint64_t last_seq) {
  persist::LogRecovery recovery;
  auto event_log = persist::FileEventLog::open(directory, {}, recovery);
  if (!event_log) fail(event_log.error().message);
  app::SystemClock clock;
  Turns turns;
  app::DiskThread disk;
  BenchLog log(turns, disk, **event_log);
  BenchLinks links;
  app::MasterDriver driver({}, {}, {}, "", 1, clock, log, links, [](const Note&) {});
  driver.start();
  while (!driver.ready()) {
    turns.wait();
    turns.run_posted();
    driver.tick();
  }
  const master::ConnId conn{1};
  driver.link_accepted(conn, {"w1"}, "bench");
  Hello hello;
  hello.cluster = "wazuh";
  hello.node = "w1";
  hello.machine = "bench";
  hello.store = StoreId{1};
  hello.stream = StreamId{1};
  std::string bytes;
  encode_frame(hello, bytes);
  driver.link_received(conn, bytes);
  while (!links.welcomed) {
    turns.wait();
    turns.run_posted();
  }

  log.groups.clear();
  Applied result;
  const Stopwatch watch;
  for (const std::string& frame : frames) {
    while (links.paused) {
      turns.wait();
      turns.run_posted();
    }
    driver.link_received(conn, frame);
    turns.run_posted();
  }
  while (links.acked < last_seq) {
    turns.wait();
    turns.run_posted();
  }
  result.seconds = watch.seconds();
  result.groups = log.groups;

  const auto& by_rule = driver.core().counters().by_rule;
  const auto rule = [&](const char* name) {
    const auto it = by_rule.find(name);
    return it == by_rule.end() ? 0 : it->second;
  };
  if (rule("first") + rule("newer") != last_seq || links.exceptions != 0)
    fail("apply: not every event was accepted");
  driver.stop();
  disk.stop();
  event_log->reset();
  auto again = persist::FileEventLog::open(directory, {}, recovery);
  if (!again) fail(again.error().message);
  const auto folded = app::fold_log(**again, recovery);
  if (!folded || folded->encode() != driver.core().state().encode())
    fail("apply: the log does not give the table back");
  return result;
}

void apply(const fs::path& directory) {
  constexpr std::size_t kFrames = 1000;
  News news(app::SystemClock().now().wall_us);
  std::vector<std::string> frames(kFrames);
  for (std::string& f : frames) encode_frame(news.frame(), f);

  // The best of three: the disk is shared with whoever else is on the machine.
  double best = 0, ceiling = 0;
  for (int i = 0; i < 3; ++i) {
    const fs::path log = directory / ("log-" + std::to_string(i));
    const Applied applied = apply_once(log, frames, kFrames * kFrameEvents);
    const double alone = append_alone(directory / "alone", applied.groups);
    const double count = static_cast<double>(kFrames * kFrameEvents);
    print_remark("apply: " + std::to_string(applied.groups.size()) + " groups, " +
                 std::to_string(count / applied.seconds / 1e6) + " M/s, their bytes alone " +
                 std::to_string(count / alone / 1e6) + " M/s");
    if (count / applied.seconds > best) {
      best = count / applied.seconds;
      ceiling = count / alone;
    }
    fs::remove_all(log);
  }
  fs::remove(directory / "alone");
  print_figure("apply", best / 1e6, "M deltas/s", ceiling / 1e6);
}

// How long the loop is held up when a worker's lease lapses: each of its agents is told of.
void lapse() {
  constexpr std::size_t kOnWorker = 10'000;
  master::State state;
  master::Feed feed;
  const auto carry_out = [&](master::LogRecord record) {
    if (!state.apply(record, nullptr, &feed)) fail("lapse: a record is refused");
  };
  carry_out(master::NodeWelcomed{"w1", "m", StoreId{1}, StreamId{1}, 1, 0, {}});
  master::Decided all;
  all.node = "w1";
  all.at = {2'000'000};
  for (std::uint32_t i = 0; i < kOnWorker; ++i) {
    Event e;
    e.agent = AgentId{1 + i * 7};
    e.epoch = Epoch{1'000'000};
    e.evidence = {{1'000'000}, {1'000'000}};
    all.events.push_back(std::move(e));
  }
  carry_out(std::move(all));
  std::vector<double> times;
  for (int i = 0; i < 30; ++i) {
    const master::State copy = state;  // as for a snapshot: what changes is copied first
    const bool lapses = i % 2 == 0;
    const Stopwatch watch;
    carry_out(master::LeaseChanged{
        "w1", lapses ? master::LeaseStatus::lapsed : master::LeaseStatus::valid, {}, {}});
    times.push_back(watch.seconds() * 1e3);
  }
  std::vector<double> alone;
  for (int i = 0; i < 30; ++i) {
    const Stopwatch watch;
    for (std::uint32_t n = 0; n < kOnWorker; ++n)
      sink = state.find(AgentId{1 + n * 7})->is_open() ? 1 : 0;
    alone.push_back(watch.seconds() * 1e3);
  }
  print_figure("lapse", median(times), "ms", median(alone));
}

}  // namespace
}  // namespace rollcall::bench

int main(int argc, char** argv) {
  using namespace rollcall::bench;
  const std::string what = argc > 1 ? argv[1] : "";
  stay_on_one_core();
  if (what == "lapse") {
    lapse();
  } else if (what == "codec") {
    codec();
  } else if (what == "apply" && argc > 2) {
    apply(argv[2]);
  } else {
    fail("usage: bench_micro codec | bench_micro lapse | bench_micro apply DIR");
  }
  return 0;
}
