#include "inspect/metrics_text.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace rollcall::inspect {
namespace {

std::vector<double> bounds() {
  std::vector<double> all;
  for (const std::int64_t us : DurationCounts::kBoundsUs) all.push_back(seconds_of(us));
  return all;
}

}  // namespace

struct MetricsText::Impl {
  prometheus::Registry registry;
};

MetricsText::MetricsText() : impl_(std::make_unique<Impl>()) {}
MetricsText::~MetricsText() = default;

void MetricsText::counter(const std::string& name, const std::string& help, double value,
                          const Labels& labels) {
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
  family.Add(labels).Increment(value);
}

void MetricsText::gauge(const std::string& name, const std::string& help, double value,
                        const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
  family.Add(labels).Set(value);
}

void MetricsText::histogram(const std::string& name, const std::string& help,
                            const DurationCounts& counts, const Labels& labels) {
  auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
  const std::vector<double> classes(counts.counts.begin(), counts.counts.end());
  family.Add(labels, bounds()).ObserveMultiple(classes, seconds_of(counts.sum_us));
}

void MetricsText::state(const std::string& name, const std::string& help, const std::string& label,
                        std::string_view is, const std::vector<std::string_view>& all,
                        Labels labels) {
  for (const std::string_view one : all) {
    labels[label] = one;
    gauge(name, help, one == is ? 1 : 0, labels);
  }
}

Response MetricsText::response() const {
  return {200, "text/plain; version=0.0.4; charset=utf-8",
          prometheus::TextSerializer().Serialize(impl_->registry.Collect())};
}

}  // namespace rollcall::inspect
