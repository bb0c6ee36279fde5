rollcall_test(app_test THREADS
  SOURCES
    app/ack_times_test.cc
    app/clock_test.cc
    app/config_test.cc
    app/disk_log_test.cc
    app/disk_thread_test.cc
    app/drivers_test.cc
    app/durations_test.cc
    app/expiry_test.cc
    app/file_watch_test.cc
    app/reload_test.cc
    app/journal_test.cc
    app/logging_test.cc
    app/service_test.cc
  LIBS rollcall_app
  LABELS unit
)

# The daemons themselves, as processes that end at once.
rollcall_test(daemon_test THREADS
  SOURCES app/daemon_test.cc
  LIBS rollcall_net
  LABELS unit
)
add_dependencies(daemon_test rollcalld rollcall-master)
target_compile_definitions(daemon_test PRIVATE ROLLCALLD="$<TARGET_FILE:rollcalld>"
  ROLLCALL_MASTER="$<TARGET_FILE:rollcall-master>" ROLLCALL_VERSION="${PROJECT_VERSION}")
