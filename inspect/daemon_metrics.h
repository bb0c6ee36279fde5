#pragma once
// The part of /metrics that both daemons have. HTTP threads.
#include <chrono>
#include <string>
#include <vector>

#include "inspect/metrics_text.h"
#include "inspect/pages.h"

namespace rollcall::inspect {

struct DaemonMetrics {
  std::string version;
  std::string store;  // folder; empty: not told
  bool store_failing = false;
  DurationCounts commits;
  Upkeep upkeep;
};
void add_daemon_metrics(MetricsText& text, const DaemonMetrics& daemon);

// Bytes of the files in a folder and below; nothing of what cannot be read.
double bytes_in(const std::string& folder);

}  // namespace rollcall::inspect
