// rollcall agents: all that a daemon knows, once or again and again.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/live.h"
#include "cli/progress.h"

namespace rollcall::cli {
namespace {

constexpr std::uint64_t kAll = ~std::uint64_t{0};

struct Options {
  Target target;
  bool json = false;
  std::string status, node, name, session;  // filters
  std::uint64_t limit = kAll;
  std::optional<double> watch;  // seconds between two times
};

Table sidecar_agents_table() {
  return Table({number_column("ID"), "ROW", "SESSION", "LAST HEARD", "REASON"});
}

void add_sidecar_agents(Table& table, const Json& agents) {
  for (const Json& a : agents) {
    const Json& row = field(a, "row");
    const Json& session = field(a, "session");
    table.add({shown(field(a, "id")), toned_cell(shown(field(row, "status"))),
               shown(field(session, "phase")),
               shown_time(field(session, "evidence_hi")).substr(0, 19),
               shown(field(session, "reason"))});
  }
}

std::string filters(const Options& options) {
  std::string text;
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string&>{"status", options.status},
        {"node", options.node},
        {"name", options.name},
        {"session", options.session}}) {
    if (!value.empty()) text += std::string("&") + name + "=" + escaped(value);
  }
  return text;
}

struct Listed {
  Table table;
  bool more = false;  // than were asked for
};

// Page by page, at most so many. `each` gets every page as it came.
std::expected<Listed, Daemon::Failure> list(const Daemon& daemon, const Options& options,
                                            std::uint64_t most,
                                            const std::function<void(const std::string&)>& each) {
  constexpr std::uint64_t kPage = 1'000;
  Listed found{daemon.is_sidecar() ? sidecar_agents_table() : agents_table()};
  const bool all = most == kAll && filters(options).empty();
  std::optional<Progress> progress;
  if (!options.watch) progress.emplace("Reading agents");  // else the screen is taken
  for (std::uint64_t after = 0, done = 0; done < most;) {
    const auto body =
        daemon.try_get("/agents?limit=" + std::to_string(std::min(most - done, kPage)) +
                       "&after=" + std::to_string(after) + filters(options));
    if (!body) return std::unexpected(body.error());
    const Json answer = parsed(*body);
    const Json& agents = field(answer, "agents");
    if (options.json) {
      each(*body);
    } else if (daemon.is_sidecar()) {
      add_sidecar_agents(found.table, agents);
    } else {
      add_agents(found.table, agents);
    }
    done += agents.size();
    found.more = !field(answer, "next_after").is_null();
    if (!found.more) break;
    after = field(answer, "next_after").get<std::uint64_t>();
    const auto total = static_cast<std::uint64_t>(number_of(field(answer, "total")));
    if (progress) progress->show(done, all ? total : 0);
  }
  return found;
}

// What is shown of them now, as long as somebody watches.
class Watched {
 public:
  Watched(const Daemon& daemon, const Options& options) : daemon_(daemon), options_(options) {}

  void ask() {
    const Screen where = screen();
    // The head, and a line below.
    const std::uint64_t room = where.terminal ? std::max<std::uint64_t>(where.lines, 3) - 2 : kAll;
    pages_.clear();
    auto found =
        list(daemon_, options_, options_.json ? options_.limit : std::min(options_.limit, room),
             [this](const std::string& page) {
               pages_.push_back(page.substr(0, page.find_last_not_of('\n') + 1));
             });
    failure_.reset();
    if (found) {
      listed_ = *std::move(found);
    } else {
      failure_ = found.error();
    }
  }
  const std::optional<Daemon::Failure>& failure() const { return failure_; }

  std::vector<std::string> lines(const Screen& where) const {
    if (options_.json) return pages_;
    std::vector<std::string> out;
    if (listed_) out = listed_->table.lines(where.columns, where.colours);
    std::string below;
    if (failure_) {
      below = failure_->message;
    } else if (where.terminal) {
      below = std::string("q: quit") +
              (listed_ && listed_->more ? "; there are more: choose with --status, --node, --name"
                                        : "");
    }
    if (below.empty()) return out;
    if (where.terminal) out.resize(std::min(out.size(), where.lines - 1));
    out.push_back(toned(cut_to(harmless(below), where.columns), failure_ ? Tone::bad : Tone::dim,
                        where.colours));
    return out;
  }

 private:
  const Daemon& daemon_;
  const Options& options_;
  std::optional<Listed> listed_;
  std::vector<std::string> pages_;
  std::optional<Daemon::Failure> failure_;
};

Exit watch(const Options& options, Daemon daemon) {
  daemon.hurry(std::chrono::seconds(5));
  Watched watched(daemon, options);
  // What is wrong with the question shows before the screen is taken.
  watched.ask();
  if (watched.failure()) return fail(watched.failure()->message, watched.failure()->how);
  bool asked = true;
  Live live;
  live.every = std::chrono::milliseconds(static_cast<std::int64_t>(*options.watch * 1000));
  live.plain = options.json;
  live.refresh = [&] {
    if (!std::exchange(asked, false)) watched.ask();
  };
  live.lines = [&](const Screen& where) { return watched.lines(where); };
  return show_live(live);
}

Exit agents(const Options& options) {
  auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  if (options.watch) return watch(options, *std::move(daemon));
  const auto found = list(*daemon, options, options.limit,
                          [](const std::string& page) { std::fputs(page.c_str(), stdout); });
  if (!found) return fail(found.error().message, found.error().how);
  if (!options.json) found->table.print();
  return Exit::kDone;
}

}  // namespace

void add_agents(CLI::App& app, Run& run) {
  // Lives as long as the callbacks that use it.
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("agents", "List agents");
  add_target(*command, options->target, Asks::kEither);
  command->add_flag("--json", options->json, "Print the daemon's answer as it is, a page a line");
  command
      ->add_option("--status", options->status,
                   "active, migrating, unreachable, disconnected or unknown ones")
      ->type_name("STATUS");
  command->add_option("--node", options->node, "Only those of this worker")->type_name("NAME");
  command
      ->add_option("--name", options->name, "Only those of this name; web-* takes what begins so")
      ->type_name("NAME");
  command
      ->add_option("--session", options->session,
                   "Of a sidecar: only open, released or closed ones")
      ->type_name("PHASE");
  command->add_option("--limit", options->limit, "At most so many")
      ->check(CLI::Range(std::uint64_t{1}, kAll))
      ->type_name("N");
  command
      ->add_option("--watch", options->watch, "Show them anew every so many seconds (2); q quits")
      ->expected(0, 1)
      ->default_str("2")
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("[SECONDS]");
  command->callback([&run, options] { run = [options] { return agents(*options); }; });
}

}  // namespace rollcall::cli
