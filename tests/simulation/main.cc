// simulate --seeds FROM-TO: the cluster on virtual time, one run for each seed.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/simulation/simulator.h"

using namespace rollcall::simulation;

namespace {

[[noreturn]] void usage(const char* why) {
  std::fprintf(stderr,
               "simulate: %s\nusage: simulate --seeds FROM-TO [--workers N] [--agents N] "
               "[--cloned P] [--minutes M] [--stop-at N] [--transcript]\n"
               "  --minutes M   of the cluster's time, from 3 up; the last two are quiet\n"
               "  --stop-at N   end after N failed runs\n"
               "  --transcript  print what happened in each run, failed or not\n",
               why);
  std::exit(64);
}

long long number(const char* text) {
  long long v = -1;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), v);
  if (error != std::errc() || *end != '\0' || v < 0) usage("a whole number is wanted");
  return v;
}

void describe(const Result& r) {
  std::printf("seed %llu:\n", static_cast<unsigned long long>(r.seed));
  for (const auto& a : r.agents) {
    std::printf("  agent %u: truth %s, master %s, last writer %s%s\n", a.agent,
                a.truth.empty() ? "-" : a.truth.c_str(), a.master.empty() ? "-" : a.master.c_str(),
                a.last_writer.empty() ? "-" : a.last_writer.c_str(),
                a.undecidable != Undecidable::no ? " (undecidable)"
                : a.right()                      ? ""
                                                 : "  <-- wrong");
  }
  for (const auto& b : r.broken) std::printf("  broken: %s\n", b.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  unsigned long long from = 1, to = 0, stop_at = 5;
  bool transcript = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--transcript") {
      transcript = true;
      continue;
    }
    if (i + 1 == argc) usage(("what about " + flag + "?").c_str());
    const char* value = argv[++i];
    if (flag == "--seeds") {
      const char* dash = std::strchr(value, '-');
      if (!dash) usage("--seeds takes FROM-TO");
      from = static_cast<unsigned long long>(number(std::string(value, dash).c_str()));
      to = static_cast<unsigned long long>(number(dash + 1));
    } else if (flag == "--workers") {
      options.workers = static_cast<int>(number(value));
    } else if (flag == "--agents") {
      options.agents = static_cast<int>(number(value));
    } else if (flag == "--cloned") {
      options.cloned = static_cast<double>(number(value)) / 100;
    } else if (flag == "--minutes") {
      const long long minutes = number(value);
      if (minutes < 3 || minutes > 10'000) usage("--minutes takes 3 to 10000");
      options.chaos_us = minutes * 60'000'000 - options.quiet_us;
    } else if (flag == "--stop-at") {
      stop_at = static_cast<unsigned long long>(number(value));
    } else {
      usage(("unknown flag " + flag).c_str());
    }
  }
  if (to < from) usage("--seeds FROM-TO is wanted");
  unsigned long long runs = 0, failed = 0, undecidable = 0, last_writer = 0;
  unsigned long long busiest = 0, repaired = 0;
  for (unsigned long long seed = from; seed <= to && failed < stop_at; ++seed) {
    options.transcript = transcript;
    Result r = run(seed, options);
    ++runs;
    undecidable += r.undecidable() ? 1u : 0u;
    last_writer += r.last_writer_failed() ? 1u : 0u;
    busiest = std::max<unsigned long long>(busiest, r.busiest_minute);
    repaired += r.repairs > 0 ? 1u : 0u;
    if (transcript && !r.failed()) {
      std::fputs(r.transcript.c_str(), stdout);
      describe(r);
    }
    if (!r.failed()) continue;
    ++failed;
    options.transcript = true;
    r = run(seed, options);  // the same again, told
    std::fputs(r.transcript.c_str(), stdout);
    describe(r);
  }
  const double took = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;  // of one core
  std::printf("repairs in %llu runs, at most %llu messages of a worker in a minute\n", repaired,
              busiest);
  std::printf("%.0f runs/s\n", static_cast<double>(runs) / std::max(took, 1e-9));
  std::printf("last writer wins on the same deliveries: %llu of %llu runs wrong\n", last_writer,
              runs);
  std::printf("simulate: %llu runs, %llu failed, %llu undecidable\n", runs, failed, undecidable);
  return failed == 0 ? 0 : 1;
}
