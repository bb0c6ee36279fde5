#include "cli/local_page.h"

#include <httplib.h>

#include <chrono>
#include <utility>

#include "inspect/token.h"

namespace rollcall::cli {

std::optional<std::string> local_page(const app::InspectConfig& inspect, const std::string& path) {
  if (inspect.address.port == 0) return std::nullopt;
  const app::Address address = app::local_address(inspect.address);
  httplib::Client client(address.host, address.port);
  client.set_connection_timeout(std::chrono::seconds(2));
  client.set_read_timeout(std::chrono::seconds(10));
  auto answer = client.Get(path);
  if (answer && answer->status == 401 && inspect.read_token) {
    const auto secret = inspect::Token::load(inspect.token);
    if (secret) answer = client.Get(path, {{"Authorization", secret->authorization()}});
  }
  if (!answer || (answer->status != 200 && answer->status != 503)) return std::nullopt;
  return answer->body;
}

std::optional<Json> local_json(const app::InspectConfig& inspect, const std::string& path) {
  const auto body = local_page(inspect, path);
  if (!body) return std::nullopt;
  auto json = Json::parse(*body, nullptr, false);
  if (json.is_discarded() || (json.contains("error") && json.size() == 1)) return std::nullopt;
  return json;
}

}  // namespace rollcall::cli
