rollcall_test(app_test
  SOURCES
    app/clock_test.cc
    app/config_test.cc
    app/disk_thread_test.cc
    app/drivers_test.cc
    app/durations_test.cc
  app/revocation_test.cc
    app/logging_test.cc
  LIBS rollcall_app
  LABELS unit
)
