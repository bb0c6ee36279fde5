// The calls that change something, of both daemons.
#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "app/durations.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using Done = std::expected<void, Error>;

constexpr std::int64_t kLongestFreezeUs = 86'400'000'000;

// How a call ended, when it was refused.
struct Refused {
  int status = 409;
  std::string why;
};
using Ended = std::expected<void, Refused>;

class MasterActions {
 public:
  MasterActions(Post post, app::MasterDriver& driver) : post_(std::move(post)), driver_(driver) {}

  Response confirm(const Request& request) const;
  Response freeze(const Request& request) const;
  Response unfreeze(const Request& request) const;
  Response forget(const Request& request) const;

 private:
  // `answer` is asked for once the change was made.
  Response change(std::optional<NodeName> node, app::MasterDriver::Change change,
                  const std::function<Json()>& answer) const;

  Post post_;
  app::MasterDriver& driver_;
};

// Asks the loop, and answers once the change is in the log.
Response MasterActions::change(std::optional<NodeName> node, app::MasterDriver::Change change,
                               const std::function<Json()>& answer) const {
  const auto ended = ask_later<Ended>(
      post_, [this, node = std::move(node), change = std::move(change)](auto tell) {
        const auto& core = driver_.core();
        if (!core.ready()) {
          return tell(std::unexpected(Refused{503, "the master cannot tell the time yet"}));
        }
        if (node && !core.state().nodes().contains(*node)) {
          return tell(std::unexpected(Refused{404, "no node of the name " + *node + " is known"}));
        }
        driver_.change(change, [tell](const Done& done) {
          if (done) return tell({});
          tell(std::unexpected(Refused{409, done.error().message}));
        });
      });
  if (!ended) {
    return error_response(503,
                          "it is not known whether this was done: the daemon is stopping, or its "
                          "log cannot be written; ask /healthz and /status");
  }
  return *ended ? json(answer()) : error_response(ended->error().status, ended->error().why);
}

Parameter node_name(std::optional<NodeName>& into) {
  return {"node", "the name of a node", [&into](const std::string& text) {
            into = text;
            return is_valid_node_name(text);
          }};
}

Response MasterActions::confirm(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  // In the turn that changes them: between two turns a lease may be held, or run again.
  const auto confirmed = std::make_shared<std::vector<NodeName>>();
  return change(
      std::nullopt,
      [confirmed](master::MasterCore& core, const Now& now) {
        for (const auto& [name, node] : core.state().nodes()) {
          if (node.lease.status == master::LeaseStatus::held) confirmed->push_back(name);
        }
        return core.confirm_expiry(now);
      },
      [confirmed] { return Json{{"confirmed", *confirmed}}; });
}

Response MasterActions::freeze(const Request& request) const {
  std::optional<NodeName> node;
  std::optional<std::int64_t> length_us;
  const Parameter length{"for", "a length, 1s to 24h, such as 30m", [&](const std::string& text) {
                           const auto parsed = app::parse_duration(text);
                           if (parsed) length_us = parsed->count();
                           return parsed && *length_us >= 1'000'000 &&
                                  *length_us <= kLongestFreezeUs;
                         }};
  if (auto refused = read_parameters(request, {node_name(node), length})) {
    return *std::move(refused);
  }
  if (!length_us) return error_response(400, "for is missing: it takes " + length.form);
  return change(
      node,
      [node, us = *length_us](master::MasterCore& core, const Now& now) {
        return core.freeze(node, us, now);
      },
      [&] { return Json{{"frozen", node ? Json(*node) : Json(nullptr)}, {"for_us", *length_us}}; });
}

Response MasterActions::unfreeze(const Request& request) const {
  std::optional<NodeName> node;
  if (auto refused = read_parameters(request, {node_name(node)})) return *std::move(refused);
  return change(
      node, [node](master::MasterCore& core, const Now& now) { return core.unfreeze(node, now); },
      [&] { return Json{{"unfrozen", node ? Json(*node) : Json(nullptr)}}; });
}

Response MasterActions::forget(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  const NodeName node = request.matches[0];
  if (!is_valid_node_name(node)) return error_response(400, "this is not the name of a node");
  return change(
      node,
      [node](master::MasterCore& core, const Now& now) { return core.forget_node(node, now); },
      [&] { return Json{{"forgotten", node}}; });
}

// Answers once the order is durable: whoever heard that a worker is drained counts on it.
Response ordered(const Post& post, app::SidecarDriver& driver,
                 std::function<Done(app::SidecarDriver&)> order, Json answer) {
  const auto done = ask_later<Done>(post, [&driver, order = std::move(order)](auto tell) {
    if (auto fine = order(driver); !fine) return tell(std::move(fine));
    driver.when_drain_is_stored([tell] { tell({}); });
  });
  if (!done)
    return error_response(503,
                          "it is not known whether this was stored: the daemon is stopping, or its "
                          "store cannot be written; ask /handoffs and /status");
  return *done ? json(std::move(answer)) : error_response(409, done->error().message);
}

}  // namespace

void add_master_actions(HttpServer& server, Post post, app::MasterDriver& driver, Token token) {
  const auto actions = std::make_shared<const MasterActions>(std::move(post), driver);
  const auto add = [&](std::string pattern,
                       Response (MasterActions::*action)(const Request&) const) {
    server.route("POST", std::move(pattern),
                 guarded(token, [actions, action](const Request& request) {
                   return ((*actions).*action)(request);
                 }));
  };
  add("/confirm", &MasterActions::confirm);
  add("/freeze", &MasterActions::freeze);
  add("/unfreeze", &MasterActions::unfreeze);
  add("/nodes/{}/forget", &MasterActions::forget);
}

void add_sidecar_actions(HttpServer& server, Post post, SendInventory send_inventory, Token token) {
  server.route(
      "POST", "/inventory",
      guarded(std::move(token), [post = std::move(post),
                                 send = std::move(send_inventory)](const Request& request) {
        if (auto refused = read_parameters(request, {})) return *std::move(refused);
        return answered(
            post, [send] { return send(); },
            [](const Done& done) {
              return done ? json({{"inventory", "is sent as soon as the master lets it in"}})
                          : error_response(409, done.error().message);
            });
      }));
}

void add_drain_actions(HttpServer& server, Post post, app::SidecarDriver& driver,
                       std::function<std::int64_t()> grace_us, Token token) {
  server.route(
      "POST", "/drain",
      guarded(token, [post, &driver, grace_us = std::move(grace_us)](const Request& request) {
        sidecar::Drain drain;
        drain.grace_us = grace_us();
        std::uint64_t move = 0;
        const Parameter grace{"grace", "a length, 1s to 24h, such as 5m",
                              [&](const std::string& text) {
                                const auto parsed = app::parse_duration(text);
                                if (parsed) drain.grace_us = parsed->count();
                                return parsed.has_value();
                              }};
        const auto rate = whole_number("move", move, 1, 10'000);
        if (auto refused = read_parameters(request, {grace, rate})) return *std::move(refused);
        drain.move_per_s = static_cast<std::uint32_t>(move);
        if (auto fine = sidecar::check(drain); !fine)
          return error_response(400, fine.error().message);
        return ordered(
            post, driver, [drain](auto& d) { return d.drain(drain); },
            {{"drained", true}, {"grace_us", drain.grace_us}, {"move_per_s", drain.move_per_s}});
      }));
  server.route(
      "POST", "/undrain", guarded(std::move(token), [post, &driver](const Request& request) {
        if (auto refused = read_parameters(request, {})) return *std::move(refused);
        return ordered(post, driver, [](auto& d) { return d.undrain(); }, {{"drained", false}});
      }));
}

}  // namespace rollcall::inspect
