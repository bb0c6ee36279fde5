// Reads the start of one of Wazuh's own files. They hold secrets: the text is wiped when it goes.
#pragma once
#include <cstddef>
#include <optional>
#include <string>

namespace rollcall::sidecar {

class PlainFile {
 public:
  // Nothing if the file is missing, unreadable or not a plain file. Blocks for as long as reading
  // `most` bytes takes.
  static std::optional<PlainFile> read(const std::string& path, std::size_t most);

  PlainFile(PlainFile&&) noexcept = default;
  PlainFile& operator=(PlainFile&&) = delete;
  ~PlainFile();

  const std::string& text() const { return text_; }
  bool whole() const { return whole_; }  // the file ends where the text does

 private:
  PlainFile() = default;
  std::string text_;
  bool whole_ = false;
};

}  // namespace rollcall::sidecar
