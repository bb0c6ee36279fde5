// A directory of its own for one test, gone at its end.
#pragma once
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "gtest/gtest.h"

namespace rollcall::persist {

// In memory by default: tests that make thousands of small files take minutes on a disk.
enum class Where { kMemory, kDisk };

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(Where where = Where::kMemory) {
    const bool in_memory = where == Where::kMemory && ::access("/dev/shm", W_OK) == 0;
    path_ = (in_memory ? "/dev/shm/" : ::testing::TempDir()) + "rollcall-persist-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp: " + path_);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path() / name; }

 private:
  std::string path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace rollcall::persist
