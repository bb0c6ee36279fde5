rollcall_test(master_sink_test THREADS
  SOURCES
    master_sink/sink_core_test.cc
    master_sink/table_read_test.cc
  LIBS rollcall_master_sink rollcall_standin
  LABELS unit
)
