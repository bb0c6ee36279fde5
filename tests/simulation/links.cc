// What the cores are connected to: disks, the link between a sidecar and the master, the source's
// fields.
#include "protocol/codec.h"
#include "protocol/wire_numbers.h"
#include "tests/simulation/world.h"

namespace rollcall::simulation {
namespace {

// Calls f with each message of these types in whole frames. The second byte of a payload is its
// type, as long as there are fewer than 128.
template <typename F>
void each_message(std::string_view bytes, std::initializer_list<MessageType> types, F f) {
  while (bytes.size() > kFrameHeader) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < kFrameHeader; ++i)
      length = length << 8 | static_cast<unsigned char>(bytes[i]);
    const std::string_view payload = bytes.substr(kFrameHeader, length);
    bytes.remove_prefix(kFrameHeader + length);
    const auto type = static_cast<MessageType>(static_cast<unsigned char>(payload[1]));
    if (std::find(types.begin(), types.end(), type) == types.end()) continue;
    if (const auto message = decode(payload)) f(*message);
  }
}

}  // namespace

// ---- disks -----------------------------------------------------------------------------------

void WorkerNode::commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) {
  auto result = disk.commit_unsynced(batch);
  std::uint64_t position = 0;
  for (const auto& [at, event] : batch->outbox) position = std::max(position, at);
  world.at_process(*this, world.now() + world.chance(kMs, 12 * kMs),
                   [this, result = std::move(result), position, done = std::move(done)] {
                     if (result) {
                       disk.sync();
                       durable_position = std::max(durable_position, position);
                     }
                     done(result);
                   });
}

void MasterNode::append(std::vector<std::string> records, Snapshot snapshot, Done done) {
  ++commits;
  auto result = log.append_unsynced(records);
  const auto next = log.next_index();
  world.at_process(
      *this, world.now() + world.chance(kMs, 12 * kMs),
      [this, result, next, records = std::move(records), snapshot, done = std::move(done)] {
        --commits;
        if (result) {
          log.sync();
          durable_next = next;
          for (const std::string& bytes : records) {
            auto record = master::decode_log_record(bytes);
            if (!record || !durable.apply(*record)) world.broken("a log record is refused");
          }
          if (snapshot) (void)log.write_snapshot(next - 1, snapshot());
        }
        done(result);
        world.read_decisions();
      });
}

void WorkerNode::read_info(const std::vector<AgentId>& agents) {
  world.at_process(*this, world.now() + world.chance(5 * kMs, 100 * kMs), [this, agents] {
    if (source_blind) return;
    for (AgentId a : agents) {
      const auto it = table.find(a);
      driver->info_read(a, it == table.end() ? AgentInfo{} : it->second.info);
      if (!driver) return;
    }
  });
}

// ---- the link --------------------------------------------------------------------------------

std::int64_t World::message_delay() {
  if (exact_) return 100 * kMs;
  return chance(1, 400) * kMs * (one_in(0.12) ? 8 : 1);
}

void WorkerNode::connect() {
  world.at_process(*this, world.now() + world.chance(kMs, 50 * kMs), [this] {
    MasterNode& m = *world.master;
    if (!link_up || !m.driver || !m.driver->ready() || m.halted_until > world.now()) {
      driver->link_closed("refused");
      return;
    }
    auto c = std::make_shared<Connection>();
    c->id = ++world.last_connection;
    c->worker = this;
    c->node = name;
    c->sidecar_life = life;
    c->master_life = m.life;
    connection = c;
    m.connections[master::ConnId{c->id}] = c;
    m.driver->link_accepted(master::ConnId{c->id}, {name}, name + ":1");
    driver->link_connected();
  });
}

void WorkerNode::send(std::string bytes) {
  const auto c = connection;
  if (!c || !c->sidecar_end) return;
  world.promises().message(*this);
  each_message(bytes, {kHello, kDelta}, [this](const Message& m) {
    if (const auto* hello = std::get_if<Hello>(&m)) world.promises().greeted(*this, *hello);
    if (const auto* delta = std::get_if<Delta>(&m)) world.promises().sent(*this, *delta);
  });
  if (!c->carries || c->lost_up) return;
  const bool welcomed = driver->core().link() == sidecar::SidecarCore::Link::streaming;
  c->up_at = std::max(c->up_at, world.now() + world.message_delay() + slow_up);
  world.at_process(*world.master, c->up_at,
                   [this, c, welcomed, came = c->up_at, bytes = std::move(bytes)] {
                     if (!c->carries || c->lost_up || !c->master_end) return;
                     if (welcomed && !c->closing) world.promises().heard(*this, came);
                     world.master->driver->link_received(master::ConnId{c->id}, bytes);
                     world.read_decisions();
                   });
}

void MasterNode::send(master::ConnId conn, std::string bytes) {
  const auto it = connections.find(conn);
  if (it == connections.end() || !it->second->master_end) return;
  const auto c = it->second;
  world.promises().message(*c->worker);
  each_message(bytes, {kAck},
               [&](const Message& m) { world.promises().acked(*c, std::get<Ack>(m)); });
  if (!c->carries || c->lost_down) return;
  c->down_at = std::max(c->down_at, world.now() + world.message_delay() + c->worker->slow_down);
  world.at_process(*c->worker, c->down_at, [c, bytes = std::move(bytes)] {
    if (c->carries && !c->lost_down && c->sidecar_end) c->worker->driver->link_received(bytes);
  });
}

void WorkerNode::close(const std::string&) {
  if (!connection) return;
  if (!stopping) return world.cut(connection, World::By::sidecar);
  // What it said last still arrives.
  world.at(std::max(connection->up_at, world.now()),
           [this, c = connection] { world.cut(c, World::By::sidecar); });
}

void MasterNode::close(master::ConnId conn, const std::string&) {
  const auto it = connections.find(conn);
  if (it == connections.end()) return;
  const auto c = it->second;
  c->closing = true;
  // What was said before still arrives.
  world.at(std::max(c->down_at, world.now()), [this, c] { world.cut(c, World::By::master); });
}

// What is under way is lost, and each end learns of it in its own time; but an end to which nothing
// comes any more learns of nothing, unless it closed the connection itself.
void World::cut(const std::shared_ptr<Connection>& c, By by) {
  c->carries = false;
  WorkerNode& w = *c->worker;
  if (c->sidecar_end && w.life == c->sidecar_life && (by == By::sidecar || !c->lost_down)) {
    c->sidecar_end = false;
    at_process(w, now_ + chance(0, 300 * kMs), [&w, c] {
      if (w.connection != c) return;
      w.connection.reset();
      w.driver->link_closed("connection lost");
    });
  }
  if (c->master_end && master->life == c->master_life && (by == By::master || !c->lost_up)) {
    c->master_end = false;
    at_process(*master, now_ + chance(0, 2 * kSecond), [this, c] {
      master->connections.erase(master::ConnId{c->id});
      master->driver->link_closed(master::ConnId{c->id});
    });
  }
}

}  // namespace rollcall::simulation
