rollcall_test(persist_log_test THREADS
  SOURCES persist/event_log_property_test.cc
          persist/file_event_log_test.cc
          persist/log_format_test.cc
          persist/log_power_cut_test.cc
          persist/log_reader_test.cc
          persist/log_retention_test.cc
          persist/memory_event_log_test.cc
  LIBS rollcall_persist
)
rollcall_test(persist_store_test THREADS
  SOURCES persist/disk_full_test.cc
          persist/lmdb_session_store_test.cc
          persist/memory_session_store_test.cc
  LIBS rollcall_persist PkgConfig::LMDB
)
# A program of its own, since it takes the place of system calls.
rollcall_test(persist_store_power_cut_test
  SOURCES persist/lmdb_power_cut_test.cc
  LIBS rollcall_persist PkgConfig::LMDB
)
