#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "net/loop.h"
#include "net/pki.h"
#include "net/tls.h"

namespace rollcall::net {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "rollcall-net-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A CA and what it has issued.
class TestCa {
 public:
  explicit TestCa(const std::string& cluster = "test") {
    EXPECT_TRUE(pki_init(dir_.path(), cluster, std::chrono::system_clock::now()));
  }

  TlsFiles issue(const std::string& node, std::chrono::hours from_now = {}, int days = 1) {
    const auto issued =
        pki_issue(dir_.path(), {node, {}, days}, std::chrono::system_clock::now() + from_now);
    EXPECT_TRUE(issued) << issued.error().message;
    return {certificate(), dir_ / (node + ".crt"), dir_ / (node + ".key")};
  }

  std::string certificate() const { return dir_ / "ca.crt"; }

  // The files of one node, with a list on which another one's certificate is.
  TlsFiles revoking(TlsFiles files, const TlsFiles& other) {
    const auto listed = pki_read(other.certificate);
    EXPECT_TRUE(listed) << listed.error().message;
    files.revoked = dir_ / "revoked";
    write_text(files.revoked, listed->front().info.serial + "\n");
    return files;
  }

  // One file with our CA and another's, as during a change of the CA.
  std::string together_with(const TestCa& other) {
    write_text(dir_ / "both.crt", read_text(certificate()) + read_text(other.certificate()));
    return dir_ / "both.crt";
  }

 private:
  TempDir dir_;
};

inline TlsContext server_context(const TlsFiles& files) {
  auto context = TlsContext::server(files);
  EXPECT_TRUE(context) << context.error().message;
  return std::move(context).value();
}

inline TlsContext client_context(const TlsFiles& files) {
  auto context = TlsContext::client(files);
  EXPECT_TRUE(context) << context.error().message;
  return std::move(context).value();
}

// A loop that must end cleanly after each test: uv_loop_close returns 0.
class LoopTest : public ::testing::Test {
 protected:
  // Until something calls loop.stop().
  void run() {
    Timer guard(loop);
    guard.start(std::chrono::seconds(60), [this] {
      ADD_FAILURE() << "nothing stopped the loop";
      loop.stop();
    });
    loop.run();
  }

  void TearDown() override {
    const auto closed = loop.close();
    EXPECT_TRUE(closed) << closed.error().message;
  }

  Loop loop;
};

}  // namespace rollcall::net
