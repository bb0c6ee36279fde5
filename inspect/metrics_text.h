#pragma once
// What /metrics says, put together for one answer from values that were read before: the text form
// that Prometheus reads. docs/metrics.md lists all of them. HTTP threads.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inspect/http_server.h"
#include "protocol/duration_counts.h"

namespace rollcall::inspect {

class MetricsText {
 public:
  using Labels = std::map<std::string, std::string>;

  MetricsText();
  ~MetricsText();
  MetricsText(const MetricsText&) = delete;
  MetricsText& operator=(const MetricsText&) = delete;

  // `name` is given the same help each time; labels tell its values apart.
  void counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  void histogram(const std::string& name, const std::string& help, const DurationCounts& counts,
                 const Labels& labels = {});
  // One of some states: 1 for the one that it is in, 0 for the others.
  void state(const std::string& name, const std::string& help, const std::string& label,
             std::string_view is, const std::vector<std::string_view>& all, Labels labels = {});

  Response response() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

constexpr double number(std::uint64_t n) {
  return static_cast<double>(n);
}

// How often `key` was counted.
template <typename Key, typename Count>
double count_of(const std::map<Key, Count>& counts, Key key) {
  const auto it = counts.find(key);
  return it == counts.end() ? 0 : number(it->second);
}

// Calls `each` with all values of an enumeration from the first to the last.
template <typename Enum, typename Each>
void for_all(Enum first, Enum last, Each each) {
  for (auto n = std::to_underlying(first); n <= std::to_underlying(last); ++n) each(Enum{n});
}

constexpr double seconds_of(std::int64_t us) {
  return static_cast<double>(us) / 1'000'000.0;
}

}  // namespace rollcall::inspect
