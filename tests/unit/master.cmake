rollcall_test(master_core_test THREADS
  SOURCES
    master/commands_test.cc
    master/contests_test.cc
    master/feed_test.cc
    master/handoff_test.cc
    master/history_test.cc
    master/leases_test.cc
    master/master_core_commands_test.cc
    master/master_core_test.cc
    master/master_time_test.cc
    master/migrations_test.cc
    master/move_rates_test.cc
    master/reconciliation_test.cc
    master/state_test.cc
  LIBS rollcall_master_core
  LABELS unit
)
