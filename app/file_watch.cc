#include "app/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace rollcall::app {

std::string file_mark(const std::string& path) {
  struct stat status{};
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return "-";
  std::string mark;
  for (const long long part :
       {static_cast<long long>(status.st_dev), static_cast<long long>(status.st_ino),
        static_cast<long long>(status.st_size), static_cast<long long>(status.st_mtim.tv_sec),
        static_cast<long long>(status.st_mtim.tv_nsec),
        static_cast<long long>(status.st_ctim.tv_sec),  // who may read it
        static_cast<long long>(status.st_ctim.tv_nsec)}) {
    mark += std::to_string(part) + " ";
  }
  return mark;
}

void FileWatch::watch(std::vector<std::string> files) {
  if (files == files_) return;
  files_ = std::move(files);
  take();
}

void FileWatch::take() {
  known_ = last_ = marks();
}

bool FileWatch::changed() {
  const std::string now = marks();
  const bool settled = now == std::exchange(last_, now);
  if (!settled || now == known_) return false;
  known_ = now;
  return true;
}

std::string FileWatch::marks() const {
  std::string all;
  for (const auto& file : files_) all += mark_(file) + "\n";
  return all;
}

}  // namespace rollcall::app
