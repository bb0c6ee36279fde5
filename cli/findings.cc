#include "cli/findings.h"

#include <algorithm>
#include <utility>

namespace rollcall::cli {
namespace {

std::string_view name_of(Finding::State state) {
  switch (state) {
    case Finding::State::kGood:
      return "good";
    case Finding::State::kWarning:
      return "warning";
    case Finding::State::kWrong:
      return "wrong";
    case Finding::State::kSkipped:
      return "skipped";
  }
  return "?";
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  out.resize(std::max(width, out.size() + 1), ' ');
  return out;
}

}  // namespace

void Findings::good(std::string_view what, std::string text) {
  all_.push_back({Finding::State::kGood, std::string(what), std::move(text), ""});
}

void Findings::warning(std::string_view what, std::string text, std::string mend) {
  all_.push_back({Finding::State::kWarning, std::string(what), std::move(text), std::move(mend)});
}

void Findings::wrong(std::string_view what, std::string text, std::string mend) {
  all_.push_back({Finding::State::kWrong, std::string(what), std::move(text), std::move(mend)});
}

void Findings::skipped(std::string_view what, std::string why) {
  all_.push_back({Finding::State::kSkipped, std::string(what), std::move(why), ""});
}

bool Findings::any_wrong() const {
  return std::ranges::any_of(all_,
                             [](const auto& one) { return one.state == Finding::State::kWrong; });
}

Json findings_json(const Findings& findings) {
  Json checks = Json::array();
  for (const auto& one : findings.all()) {
    checks.push_back({{"check", one.what},
                      {"state", name_of(one.state)},
                      {"text", one.text},
                      {"mend", one.mend.empty() ? Json(nullptr) : Json(one.mend)}});
  }
  return {{"good", !findings.any_wrong()}, {"checks", checks}};
}

std::string findings_text(const Findings& findings) {
  std::string out;
  for (const auto& one : findings.all()) {
    const bool wrong = one.state == Finding::State::kWrong;
    out += padded(wrong ? "WRONG" : name_of(one.state), 9) + padded(one.what, 15) +
           harmless(one.text) + "\n";
    if (!one.mend.empty()) out += padded("", 9) + padded("mend:", 15) + harmless(one.mend) + "\n";
  }
  return out;
}

}  // namespace rollcall::cli
