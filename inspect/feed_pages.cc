// The master's feed, and the agents that change their worker too often.
#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>
#include <vector>

#include "app/durations.h"
#include "inspect/master_json.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using master::FeedEntry;
using master::MasterCore;

constexpr std::size_t kStreamPart = 500;
constexpr std::int64_t kLongestWaitUs = 60'000'000;

// Where somebody reads from, as the loop has it at one moment.
struct Read {
  std::string master, term;
  std::uint64_t first = 0, last = 0;
  std::uint64_t after = 0;  // what was asked for, or what stands for it
  bool can_resume = true;
  std::vector<FeedEntry> entries;

  std::uint64_t next() const { return entries.empty() ? after : entries.back().seq; }
};

// Where to begin if nobody says: with the oldest, or only with what comes.
struct Begin {
  std::optional<std::uint64_t> after;
  bool newest = false;
};

Read read_feed(const MasterCore& core, const Begin& begin, std::size_t limit) {
  const master::Feed& feed = core.feed();
  Read r;
  r.master = to_hex(static_cast<std::uint64_t>(core.state().master()));
  r.term = to_hex(static_cast<std::uint64_t>(core.state().term()));
  r.first = feed.first();
  r.last = feed.last();
  r.after = begin.newest ? r.last : begin.after.value_or(std::min(r.first - 1, r.last));
  r.can_resume = feed.can_resume(r.after);
  if (r.can_resume) r.entries = feed.after(r.after, limit);
  return r;
}

// What is common to a page, a stream's first words, and the refusal to go on.
Json place_json(const Read& r) {
  return {{"master", r.master},
          {"term", r.term},
          {"first", r.first <= r.last ? Json(r.first) : Json(nullptr)},
          {"last", r.last},
          {"after", r.next()}};
}

Json gone_json(const Read& r) {
  const std::string last = std::to_string(r.last);
  const std::string why =
      r.after > r.last
          ? "this feed ends with " + last + ": its log is another one, or an older copy"
          : "entries up to " + std::to_string(r.first - 1) + " are not kept any more";
  return {{"error", why + "; read /agents anew, and then go on with /events?after=" + last},
          {"master", r.master},
          {"term", r.term},
          {"first", r.first <= r.last ? Json(r.first) : Json(nullptr)},
          {"last", r.last}};
}

class EventStream final : public Stream {
 public:
  EventStream(Post post, app::MasterDriver& driver, std::uint64_t after)
      : post_(std::move(post)), driver_(driver), after_(after) {}

  Part next() override {
    const auto read = ask(post_, [&driver = driver_, after = after_] {
      return read_feed(driver.core(), {after}, kStreamPart);
    });
    if (!read) return {": the daemon is busy\n\n", after_};
    if (!read->can_resume) return {event_text("gone", gone_json(*read)), after_, true};
    Part part;
    for (const FeedEntry& e : read->entries) {
      part.text += "id: " + std::to_string(e.seq) + "\n" +
                   event_text(master::to_string(e.kind), feed_json(e));
    }
    if (part.text.empty()) part.text = ": nothing new\n\n";
    part.seen = after_ = read->next();
    return part;
  }

  std::string farewell(std::string_view unsent, std::string_view why) const override {
    return whole_events(unsent, why);
  }

 private:
  Post post_;
  app::MasterDriver& driver_;
  std::uint64_t after_;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = problem == std::errc{} && rest == text.data() + text.size();
  // The last number has none behind it.
  return whole && value != ~std::uint64_t{0} ? std::optional(value) : std::nullopt;
}

struct EventsAsked {
  Begin begin;
  std::uint64_t limit = 500, stream = 0;
  std::int64_t wait_us = 20'000'000;
};

std::optional<Response> read_asked(const Request& request, EventsAsked& asked) {
  auto refused =
      read_parameters(request, {{"after", "a number of the feed, or newest",
                                 [&](const std::string& text) {
                                   asked.begin.newest = text == "newest";
                                   asked.begin.after = number(text);
                                   return asked.begin.newest || asked.begin.after;
                                 }},
                                whole_number("limit", asked.limit, 1, 1'000),
                                whole_number("stream", asked.stream, 0, 1),
                                {"wait", "a length, 0s to 60s", [&](const std::string& text) {
                                   const auto length = app::parse_duration(text);
                                   if (length) asked.wait_us = length->count();
                                   return length && asked.wait_us <= kLongestWaitUs;
                                 }}});
  if (refused || request.last_event_id.empty()) return refused;
  // What a reader says that lost its stream is newer than the address that it began with.
  asked.begin = {number(request.last_event_id)};
  if (!asked.begin.after) return error_response(400, "Last-Event-ID is not a number of the feed");
  return std::nullopt;
}

class FeedPages {
 public:
  FeedPages(Post post, MasterView view) : post_(std::move(post)), view_(std::move(view)) {}
  Response events(const Request& request) const;
  Response contested(const Request& request) const;

 private:
  Response stream(const Read& read) const;

  Post post_;
  MasterView view_;
};

Response FeedPages::events(const Request& request) const {
  EventsAsked asked;
  if (auto refused = read_asked(request, asked)) return *std::move(refused);
  const bool streams = asked.stream == 1 || request.event_stream;
  return answered(
      post_,
      [this, begin = asked.begin, limit = streams ? kStreamPart : asked.limit] {
        return read_feed(view_.driver.core(), begin, limit);
      },
      [&](const Read& read) {
        if (!read.can_resume) return json(gone_json(read), 410);
        if (streams) return stream(read);
        const bool waits = read.entries.empty() && asked.wait_us > 0 && !asked.begin.newest;
        if (waits && !request.waited) {
          return Response{.wait =
                              Wait{read.last, std::chrono::milliseconds(asked.wait_us / 1'000)}};
        }
        Json page = place_json(read);
        Json list = Json::array();
        for (const FeedEntry& e : read.entries) list.push_back(feed_json(e));
        page["events"] = std::move(list);
        return json(page);
      });
}

// The entries themselves come with the stream's first part.
Response FeedPages::stream(const Read& read) const {
  Json place = place_json(read);
  place["after"] = read.after;
  return live_response(std::make_shared<EventStream>(post_, view_.driver, read.after),
                       event_text("feed", place));
}

Response FeedPages::contested(const Request& request) const {
  Paging page;
  if (auto refused = read_parameters(request, paging(page))) return *std::move(refused);
  const AgentId after{static_cast<std::uint32_t>(std::min<std::uint64_t>(page.after, 0xffff'ffff))};
  return answered(
      post_,
      [this, after, limit = page.limit] {
        return view_.driver.core().contests(view_.flapping, after, limit + 1, view_.clock.now());
      },
      [&](const std::vector<MasterCore::Contest>& found) {
        const std::size_t shown = std::min<std::size_t>(found.size(), page.limit);
        Json list = Json::array();
        for (std::size_t i = 0; i < shown; ++i)
          list.push_back(contest_json(found[i], view_.flapping));
        const bool more = found.size() > shown;
        return json({{"flapping_from", view_.flapping},
                     {"next_after", more ? Json(id_of(found[shown - 1].agent)) : Json(nullptr)},
                     {"agents", std::move(list)}});
      });
}

}  // namespace

void add_feed_pages(HttpServer& server, Post post, MasterView view) {
  const auto pages = std::make_shared<const FeedPages>(std::move(post), std::move(view));
  server.route("GET", "/events", [pages](const Request& r) { return pages->events(r); });
  server.route("GET", "/contested", [pages](const Request& r) { return pages->contested(r); });
}

}  // namespace rollcall::inspect
