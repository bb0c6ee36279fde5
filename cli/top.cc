// rollcall top: how the cluster is now, again and again.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/live.h"
#include "cli/top_text.h"

namespace rollcall::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kEvents = 8;

struct Options {
  Target target;
  bool json = false;
  bool once = false;
  double every = 2;
};

class Top {
 public:
  explicit Top(Daemon daemon) : daemon_(std::move(daemon)) {
    view_.address = daemon_.address();
    view_.sidecar = daemon_.is_sidecar();
  }

  void ask() {
    view_.error.clear();
    const Json before = view_.status;
    if (!into(view_.status, "/status")) return;
    const auto now = Clock::now();
    rate(before, now);
    if (view_.sidecar) {
      Json page;
      if (into(page, "/handoffs?limit=1")) view_.drain = field(page, "drain");
      return;
    }
    if (into(view_.nodes, "/nodes") && into(view_.balance, "/balance")) ask_events();
  }
  const TopView& view() const { return view_; }
  std::optional<Exit> failed() const { return failed_; }

  Json json() const {
    const Json error = inspect::or_null(view_.error);
    if (view_.sidecar) return {{"error", error}, {"status", view_.status}, {"drain", view_.drain}};
    return {{"error", error},
            {"status", view_.status},
            {"nodes", field(view_.nodes, "nodes")},
            {"balance", view_.balance},
            {"events", view_.events}};
  }

 private:
  bool into(Json& page, const std::string& path) {
    const auto body = daemon_.try_get(path);
    if (body) {
      page = parsed(*body);
      failed_.reset();
      return true;
    }
    view_.error = body.error().message;
    failed_ = body.error().how;
    return false;
  }

  void rate(const Json& before, Clock::time_point now) {
    const std::chrono::duration<double> past = now - asked_;
    const auto events = number_of(field(view_.status, "events"));
    const auto then = number_of(field(before, "events"));
    view_.events_a_second.reset();
    // A master that was started anew counts from 0.
    if (!before.is_null() && events >= then && past.count() > 0)
      view_.events_a_second = static_cast<double>(events - then) / past.count();
    asked_ = now;
  }

  void ask_events() {
    Json place;
    if (!into(place, "/events?after=newest")) return;
    const auto last = static_cast<std::uint64_t>(number_of(field(place, "last")));
    const auto first = static_cast<std::uint64_t>(number_of(field(place, "first")));
    if (first == 0) {  // none is kept
      view_.events = Json::array();
      return;
    }
    const std::uint64_t after = std::max(first - 1, last - std::min(last, kEvents));
    Json page;
    if (into(page, "/events?wait=0s&limit=8&after=" + std::to_string(after)))
      view_.events = field(page, "events");
  }

  Daemon daemon_;
  TopView view_;
  Clock::time_point asked_;
  std::optional<Exit> failed_;
};

Exit top(const Options& options) {
  auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  daemon->hurry(std::chrono::seconds(5));
  Top shown(*std::move(daemon));
  // What is wrong with the address shows before the screen is taken.
  shown.ask();
  if (shown.failed() && shown.view().status.is_null())
    return fail(shown.view().error, *shown.failed());

  Scroll scroll;
  Screen last;
  bool asked = true;
  Live live;
  live.every = std::chrono::milliseconds(static_cast<std::int64_t>(options.every * 1000));
  live.once = options.once;
  live.refresh = [&] {
    if (!std::exchange(asked, false)) shown.ask();
  };
  live.lines = [&](const Screen& screen) {
    last = screen;
    return options.json ? std::vector{shown.json().dump()}
                        : top_lines(shown.view(), screen, scroll);
  };
  live.key = [&](Key key) {
    const TopRoom room = top_room(shown.view(), last);
    scroll.take(key, room.rows, room.all);
  };
  live.plain = options.json;
  const Exit ended = show_live(live);
  return options.once && shown.failed() ? fail(shown.view().error, *shown.failed()) : ended;
}

}  // namespace

void add_top(CLI::App& app, Run& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "top", "Show workers, agents and moves as they are now; q quits, arrows scroll");
  add_target(*command, options->target, Asks::kEither);
  command->add_flag("--json", options->json, "One object a line instead, each time it is asked");
  command->add_flag("--once", options->once, "Only as it is now");
  command->add_option("--every", options->every, "Seconds between two times (2)")
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("SECONDS");
  command->callback([&run, options] { run = [options] { return top(*options); }; });
}

}  // namespace rollcall::cli
