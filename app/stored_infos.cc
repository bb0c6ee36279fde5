#include "app/stored_infos.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "app/logging.h"

namespace rollcall::app {

std::expected<persist::StoreContents, Error> load_with_infos(persist::SessionStore& store) {
  auto contents = store.load();
  if (!contents) return contents;
  const auto agents = sidecar::agents_with_kept_info(contents->outbox);
  if (agents.empty()) return contents;
  auto infos = store.read_infos(agents);
  if (!infos) return std::unexpected(infos.error());
  contents->infos = std::move(*infos);
  return contents;
}

void StoredInfos::read_info(const std::vector<AgentId>& agents) {
  for (const AgentId agent : agents) wanted_.push_back(static_cast<std::uint32_t>(agent));
  if (!reading_) read_next();
}

// One job at a time, so that they cannot pile up before the disk thread.
void StoredInfos::read_next() {
  reading_ = !wanted_.empty();
  if (!reading_) return;
  const auto from = wanted_.end() - static_cast<std::ptrdiff_t>(std::min(wanted_.size(), kAtOnce));
  std::vector<std::uint32_t> agents(from, wanted_.end());
  wanted_.erase(from, wanted_.end());
  const auto submitted = disk_.submit([this, agents = std::move(agents)] {
    auto infos = store_.read_infos(agents);
    loop_.post([this, agents, infos = std::move(infos)] { found(agents, infos); });
  });
  if (submitted == DiskThread::Submitted::Full) std::abort();
}

void StoredInfos::found(const std::vector<std::uint32_t>& agents,
                        const std::expected<persist::StoredInfos, Error>& infos) {
  if (!infos)
    log(Level::Error, "infos cannot be read from the store", {{"why", infos.error().message}});
  for (const std::uint32_t agent : agents) {
    AgentInfo info;
    if (infos) {
      if (const auto it = infos->find(agent); it != infos->end()) {
        auto fields = sidecar::decode_info(it->second);
        if (fields) info = std::move(*fields);
      }
    }
    driver_->info_read(AgentId{agent}, info);
  }
  read_next();
}

}  // namespace rollcall::app
