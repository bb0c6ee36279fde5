#pragma once
// What `rollcall check` found: one line for each thing, and what mends it.
#include <string>
#include <string_view>
#include <vector>

#include "cli/text.h"

namespace rollcall::cli {

struct Finding {
  enum class State { kGood, kWarning, kWrong, kSkipped };
  State state = State::kGood;
  std::string what;  // "certificate"
  std::string text;
  std::string mend;  // a command (mend.h); empty if there is nothing to do
};

class Findings {
 public:
  void good(std::string_view what, std::string text);
  void warning(std::string_view what, std::string text, std::string mend);
  void wrong(std::string_view what, std::string text, std::string mend);
  void skipped(std::string_view what, std::string why);  // could not be looked at

  const std::vector<Finding>& all() const { return all_; }
  bool any_wrong() const;

 private:
  std::vector<Finding> all_;
};

Json findings_json(const Findings& findings);
std::string findings_text(const Findings& findings);

}  // namespace rollcall::cli
