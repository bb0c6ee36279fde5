#pragma once
// What the programs of this folder print for bench/run: one JSON object a line,
// {"name": …, "value": …, "unit": …, "ceiling": …}. bench/run knows the goals.
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace rollcall::bench {

// `ceiling`: the same unit, for the thing that the figure is compared with.
void print_figure(const std::string& name, double value, const std::string& unit, double ceiling);
// For people, beside the table.
void print_remark(const std::string& text);

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

double median(std::vector<double> values);
double percentile(std::vector<double> values, double part);  // 0.99 for p99

[[noreturn]] void fail(const std::string& why);

}  // namespace rollcall::bench
