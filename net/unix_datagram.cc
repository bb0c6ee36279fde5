#include "net/unix_datagram.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "net/loop.h"

namespace rollcall::net {
namespace {

using Outcome = UnixDatagram::Outcome;

Outcome outcome_of(int error) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
    case EINTR:
      return Outcome::kFull;
    case EMSGSIZE:
      return Outcome::kRefused;
    default:
      return Outcome::kAway;
  }
}

std::string advice_for(int error) {
  switch (error) {
    case ENOENT:
      return ": there is no such socket; does the program behind it run?";
    case ECONNREFUSED:
      return ": nobody reads there; the program behind it has ended";
    case EACCES:
      return ": this program's user may not use it";
    case EAGAIN:
    case ENOBUFS:
      return ": the program behind it is slow to read";
    default:
      return "";
  }
}

// A socket that is watched by the loop until it is closed; libuv's handle outlives its owner.
struct Watched {
  uv_poll_t handle;
  std::function<void()> task;
};

}  // namespace

struct UnixDatagram::Impl {
  Impl(Loop& owner, std::string where) : loop(owner), path(std::move(where)) {}

  Loop& loop;
  std::string path;
  int fd = -1;
  Watched* watched = nullptr;

  // 0, or the errno of what went wrong.
  int connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return 0;
    const int error = errno;
    close();
    return error;
  }

  int send(std::string_view datagram) {
    if (fd < 0) {
      if (const int error = connect(); error != 0) return error;
    }
    if (::send(fd, datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return 0;
    return errno;
  }

  void close() {
    if (watched) {
      watched->task = {};
      uv_close(reinterpret_cast<uv_handle_t*>(&watched->handle),
               [](uv_handle_t* handle) { delete static_cast<Watched*>(handle->data); });
      watched = nullptr;
    }
    if (fd >= 0) ::close(fd);
    fd = -1;
  }

  void watch(std::function<void()> task) {
    if (fd < 0) return;
    if (!watched) {
      auto made = std::make_unique<Watched>();
      if (uv_poll_init(loop.uv(), &made->handle, fd) != 0) return;
      watched = made.release();
      watched->handle.data = watched;
    }
    watched->task = std::move(task);
    uv_poll_start(&watched->handle, UV_WRITABLE | UV_DISCONNECT, [](uv_poll_t* handle, int, int) {
      uv_poll_stop(handle);
      const auto ready = std::exchange(static_cast<Watched*>(handle->data)->task, {});
      if (ready) ready();
    });
  }
};

UnixDatagram::UnixDatagram(Loop& loop, std::string path)
    : impl_(std::make_unique<Impl>(loop, std::move(path))) {}

UnixDatagram::~UnixDatagram() {
  impl_->close();
}

UnixDatagram::Result UnixDatagram::send(std::string_view datagram) {
  int error = impl_->send(datagram);
  if (error != 0 && outcome_of(error) == Outcome::kAway) {
    // The program behind it may have been started anew: its socket is another one then.
    impl_->close();
    error = impl_->send(datagram);
  }
  if (error == 0) return {};
  const Outcome outcome = outcome_of(error);
  if (outcome == Outcome::kAway) impl_->close();
  return {outcome,
          "cannot send to " + impl_->path + " (" + std::strerror(error) + ")" + advice_for(error)};
}

void UnixDatagram::when_room(std::function<void()> task) {
  impl_->watch(std::move(task));
}

}  // namespace rollcall::net
