#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "tests/unit/net/fixture.h"

namespace rollcall::inspect {
namespace {

using testing::ElementsAre;

HttpOptions options_for(const std::string& host) {
  const net::TempDir dir;
  const auto token = Token::load_or_make(dir.path() + "/token", geteuid());
  return http_options({.address = {host, 9470}, .hosts = {"rollcall.example.org"}}, 16,
                      token.value());
}

TEST(InspectOptions, ADaemonMayBeAskedByTheAddressThatItListensOn) {
  EXPECT_THAT(options_for("10.0.0.7").allowed_hosts,
              ElementsAre("rollcall.example.org", "10.0.0.7"));
}

// A page of elsewhere can have a browser ask for them.
TEST(InspectOptions, TheNamesOfAllAddressesAreNoAddress) {
  for (const char* host : {"0.0.0.0", "::"}) {
    EXPECT_THAT(options_for(host).allowed_hosts, ElementsAre("rollcall.example.org")) << host;
  }
}

}  // namespace
}  // namespace rollcall::inspect
