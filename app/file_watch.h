#pragma once
// Notices that files were changed, and waits until that is over: an editor writes a file in parts,
// and a certificate and its key come one after the other. Loop thread only.
#include <functional>
#include <string>
#include <vector>

namespace rollcall::app {

// What tells a file from what it was before: where it lies, its size and its times. The same for
// all files that are not there.
std::string file_mark(const std::string& path);

class FileWatch {
 public:
  using Mark = std::function<std::string(const std::string& path)>;
  explicit FileWatch(Mark mark = file_mark) : mark_(std::move(mark)) {}

  // From now on these. If they are not the same as before, they are known as they are now.
  void watch(std::vector<std::string> files);
  // Known as they are now: before they are read, so that no change behind that is missed.
  void take();
  // From time to time. True once, when they are not as they were known, and are as they were at the
  // call before; then they are known as they are.
  bool changed();
  // Of all of them, as they are now.
  std::string marks() const;

 private:
  Mark mark_;
  std::vector<std::string> files_;
  std::string known_, last_;
};

}  // namespace rollcall::app
