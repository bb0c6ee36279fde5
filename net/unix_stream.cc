#include "net/unix_stream.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "net/loop.h"
#include "net/socket.h"

namespace rollcall::net {
namespace {

constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;
constexpr int kListenBacklog = 64;

std::string too_long(const std::string& path) {
  return "the socket path " + path + " has more than " + std::to_string(kMaxPathBytes) +
         " bytes, which the system does not allow";
}

std::string connect_failure(const std::string& path, int status) {
  std::string advice;
  if (status == UV_ENOENT) advice = ": there is no such socket; does the program behind it run?";
  if (status == UV_ECONNREFUSED) advice = ": nobody listens; the program behind it has ended";
  if (status == UV_EACCES) advice = ": this program's user may not use it";
  return "cannot connect to " + path + " (" + uv_strerror(status) + ")" + advice;
}

}  // namespace

struct UnixStream::Impl : std::enable_shared_from_this<UnixStream::Impl> {
  explicit Impl(Loop& owner) : loop(owner), socket(owner, Socket::Kind::kUnix) {}

  enum class Phase { kNew, kOpen, kClosing, kClosed };

  Loop& loop;
  Socket socket;
  Phase phase = Phase::kNew;
  StreamEvents events;
  bool attached = false;
  std::string reason;

  void attach(StreamEvents wanted) {
    events = std::move(wanted);
    attached = true;
    const auto weak = weak_from_this();
    socket.set_events({
        .on_read =
            [weak](std::span<const std::byte> bytes) {
              const auto self = weak.lock();
              if (self && self->phase == Phase::kOpen && self->events.on_data) {
                self->events.on_data(bytes);
              }
            },
        .on_end =
            [weak](int status) {
              const auto self = weak.lock();
              if (self && status == UV_EOF && self->phase == Phase::kOpen && self->events.on_end) {
                self->events.on_end();
              } else if (self) {
                self->close(status == UV_EOF ? "the peer closed the connection"
                                             : std::string("the connection broke (") +
                                                   uv_strerror(status) + ")");
              }
            },
        .on_written =
            [weak] {
              const auto self = weak.lock();
              if (self && self->phase == Phase::kOpen && self->events.on_drained) {
                self->events.on_drained();
              }
            },
        .on_closed =
            [weak] {
              if (const auto self = weak.lock()) self->socket_closed();
            },
    });
  }

  void open() {
    phase = Phase::kOpen;
    socket.start_reading();
  }

  void close(std::string why) {
    if (phase == Phase::kClosing || phase == Phase::kClosed) return;
    phase = Phase::kClosing;
    reason = std::move(why);
    socket.finish();
  }

  void socket_closed() {
    phase = Phase::kClosed;
    const auto last = std::exchange(events, {});
    if (attached && last.on_closed) last.on_closed(reason);
  }
};

UnixStream::UnixStream(Loop& loop) : impl_(std::make_shared<Impl>(loop)) {}

UnixStream::UnixStream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

UnixStream::~UnixStream() {
  impl_->attached = false;
  if (impl_->phase == Impl::Phase::kNew || impl_->phase == Impl::Phase::kOpen) {
    impl_->phase = Impl::Phase::kClosing;
    impl_->socket.abort();
  }
}

void UnixStream::connect(const std::string& path, StreamEvents events,
                         std::function<void()> on_ready) {
  impl_->attach(std::move(events));
  // Checked here, because libuv would cut it off and connect to another file.
  if (path.size() > kMaxPathBytes) return impl_->close(too_long(path));
  const std::weak_ptr weak(impl_);
  impl_->socket.connect(path, [weak, path, on_ready = std::move(on_ready)](int status) {
    const auto self = weak.lock();
    if (!self || self->phase != Impl::Phase::kNew) return;
    if (status != 0) return self->close(connect_failure(path, status));
    self->open();
    if (on_ready) on_ready();
  });
}

void UnixStream::start(StreamEvents events) {
  impl_->attach(std::move(events));
  impl_->open();
}

void UnixStream::write(std::string bytes) {
  if (impl_->phase == Impl::Phase::kOpen) impl_->socket.write(std::move(bytes));
}

std::size_t UnixStream::pending_bytes() const {
  return impl_->socket.queued_bytes();
}

void UnixStream::pause_reading() {
  impl_->socket.stop_reading();
}

void UnixStream::resume_reading() {
  if (impl_->phase == Impl::Phase::kOpen) impl_->socket.start_reading();
}

void UnixStream::close(std::string reason) {
  impl_->close(std::move(reason));
}

// ---- listener

struct UnixListener::Impl {
  Impl(Loop& owner, std::function<void(std::unique_ptr<UnixStream>)> accepted)
      : loop(owner), on_accepted(std::move(accepted)) {}

  Loop& loop;
  std::function<void(std::unique_ptr<UnixStream>)> on_accepted;
  uv_pipe_t handle;
  std::shared_ptr<Impl> self;  // until the handle is closed
  bool attached = true;

  void connection_waits(int status) {
    if (!attached || status < 0) return;
    auto stream = std::make_shared<UnixStream::Impl>(loop);
    if (stream->socket.accept_from(reinterpret_cast<uv_stream_t*>(&handle)) != 0) return;
    if (on_accepted) on_accepted(std::make_unique<UnixStream>(std::move(stream)));
  }
};

UnixListener::UnixListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

UnixListener::~UnixListener() {
  impl_->attached = false;
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->handle), [](uv_handle_t* closed) {
    const auto last = std::exchange(static_cast<Impl*>(closed->data)->self, nullptr);
  });
}

std::expected<std::unique_ptr<UnixListener>, Error> UnixListener::listen(
    Loop& loop, const std::string& path, unsigned mode,
    std::function<void(std::unique_ptr<UnixStream>)> on_accepted) {
  if (path.size() > kMaxPathBytes) return std::unexpected(Error{too_long(path)});
  auto impl = std::make_shared<Impl>(loop, std::move(on_accepted));
  uv_pipe_init(loop.uv(), &impl->handle, 0);
  impl->handle.data = impl.get();
  impl->self = impl;
  std::unique_ptr<UnixListener> listener(new UnixListener(impl));

  int status = uv_pipe_bind(&impl->handle, path.c_str());
  // Before listen(): until then nobody can connect.
  if (status == 0 && chmod(path.c_str(), mode) != 0) status = uv_translate_sys_error(errno);
  if (status == 0) {
    status = uv_listen(reinterpret_cast<uv_stream_t*>(&impl->handle), kListenBacklog,
                       [](uv_stream_t* handle, int result) {
                         static_cast<Impl*>(handle->data)->connection_waits(result);
                       });
  }
  if (status != 0) {
    std::string advice;
    if (status == UV_EADDRINUSE) advice = ": the file exists; remove it if nobody uses it";
    if (status == UV_EACCES) {  // which libuv makes of a missing folder, too
      const std::filesystem::path folder = std::filesystem::path(path).parent_path();
      std::error_code unknown;
      advice = std::filesystem::exists(folder, unknown)
                   ? ": this program's user may not write into its folder"
                   : ": make the folder " + folder.string() + " first";
    }
    return std::unexpected(
        Error{"cannot listen on " + path + " (" + uv_strerror(status) + ")" + advice});
  }
  return listener;
}

}  // namespace rollcall::net
