#include "inspect/readiness.h"

#include <cstddef>
#include <string_view>

namespace rollcall::inspect {
namespace {

std::string counted(std::size_t n, std::string_view what) {
  return std::to_string(n) + " " + std::string(what) + (n == 1 ? "" : "s");
}

std::string described(std::string line, const std::vector<std::string>& why_not) {
  std::string_view before = "; not ready: ";
  for (const auto& why : why_not) {
    line.append(before).append(why);
    before = "; ";
  }
  return line;
}

std::string with(std::string_view error) {
  return error.empty() ? "" : ": " + std::string(error);
}

}  // namespace

std::vector<std::string> why_not_ready(const SidecarView& view) {
  std::vector<std::string> why;
  const auto status = view.driver.core().status(view.clock.now());
  if (const auto& error = view.driver.store_error(); !error.empty())
    why.push_back("the store cannot be written: " + error);
  if (const auto source = view.source(); source.by_looks && !status.looked_at_all)
    why.push_back("the source was not looked at as a whole yet" + with(source.last_error));
  if (status.link != sidecar::SidecarCore::Link::streaming)
    why.push_back("nothing is streamed to the master" + with(view.driver.link_error()));
  return why;
}

std::vector<std::string> why_not_ready(const app::MasterDriver& driver) {
  std::vector<std::string> why;
  if (!driver.ready())
    why.push_back("the time cannot be told yet: the log holds no reservation for it");
  if (!driver.log_error().empty())
    why.push_back("the log cannot be written: " + driver.log_error());
  return why;
}

std::string describe(const SidecarView& view) {
  const auto& core = view.driver.core();
  return described(counted(core.tracker().agents().size(), "agent") + ", " +
                       counted(core.status(view.clock.now()).unacked, "event") + " to be acked",
                   why_not_ready(view));
}

std::string describe(const app::MasterDriver& driver) {
  return described(counted(driver.core().connections(), "connection") + ", " +
                       counted(driver.core().state().agents().size(), "agent"),
                   why_not_ready(driver));
}

}  // namespace rollcall::inspect
