#include "bench/figures.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace rollcall::bench {

void print_figure(const std::string& name, double value, const std::string& unit, double ceiling) {
  std::printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"ceiling\": %.6g}\n",
              name.c_str(), value, unit.c_str(), ceiling);
  std::fflush(stdout);
}

void print_remark(const std::string& text) {
  std::fprintf(stderr, "  %s\n", text.c_str());
}

double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) fail("a figure without values");
  std::ranges::sort(values);
  const auto at = static_cast<std::size_t>(part * static_cast<double>(values.size()));
  return values[std::min(at, values.size() - 1)];
}

void fail(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  std::exit(1);
}

}  // namespace rollcall::bench
