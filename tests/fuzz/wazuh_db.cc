// Replies of wazuh-db: put together from pieces, and taken by a scan and by the reading of fields.
#include <set>
#include <vector>

#include "sidecar/source/wazuh_db_scan.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using namespace rollcall::sidecar;
using fuzz::must;

namespace {

constexpr int kMaxQuestions = 64;

void check_request(const std::string& request) {
  must(!request.empty() && request.size() <= kMaxRequestBytes, "a question is within the bound");
  must(frame_request(request).has_value(), "and can be sent");
}

void scan(fuzz::Input& in) {
  TableScan::Options options;
  options.page_rows = 1 + in.below(8);
  options.max_rows = 20;
  if (in.flag()) options.only_node_name = std::string(in.text());
  TableScan scan(options);
  for (int i = 0; i < kMaxQuestions && !in.empty(); ++i) {
    check_request(scan.request());
    const auto answer = scan.take(in.long_text());
    if (!answer) {
      scan.begin();
    } else if (const auto* done = std::get_if<TableScan::Done>(&*answer)) {
      std::uint32_t last = 0;
      for (const Row& row : done->rows) {
        must(static_cast<std::uint32_t>(row.agent) > last, "rows come by id, each once, never 0");
        last = static_cast<std::uint32_t>(row.agent);
      }
      must(done->rows.size() <= options.max_rows, "a table is bounded");
      scan.begin();
    }
  }
}

void read_info(fuzz::Input& in) {
  std::vector<AgentId> agents;
  const auto count = static_cast<std::uint32_t>(1 + in.below(InfoRead::kMaxAgents));
  for (std::uint32_t i = 1; i <= count; ++i) agents.push_back(AgentId{i});
  InfoRead info;
  info.begin(agents);
  for (int i = 0; i < kMaxQuestions && !in.empty(); ++i) {
    check_request(info.request());
    const auto answer = info.take(in.long_text());
    if (!answer) {
      info.begin(agents);
    } else if (const auto* done = std::get_if<InfoRead::Done>(&*answer)) {
      must(done->agents.size() == agents.size(), "every agent is answered");
      for (std::size_t k = 0; k < agents.size(); ++k)
        must(done->agents[k].first == agents[k], "in the order asked");
      info.begin(agents);
    }
  }
}

void put_together(fuzz::Input& in) {
  const std::size_t step = 1 + in.below(32);
  const std::string_view bytes = in.rest();
  ReplyReader reader;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    const auto piece = bytes.substr(i, step);
    const auto reply = reader.feed(std::as_bytes(std::span(piece.data(), piece.size())));
    if (!reply) return;
    if (*reply) must((*reply)->size() <= kMaxReplyBytes, "a reply is bounded");
    if (*reply) (void)is_reply(**reply);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  switch (in.below(3)) {
    case 0:
      scan(in);
      break;
    case 1:
      read_info(in);
      break;
    default:
      put_together(in);
  }
  return 0;
}
