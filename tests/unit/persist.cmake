rollcall_test(persist_log_test
  SOURCES persist/event_log_property_test.cc
          persist/file_event_log_test.cc
          persist/log_format_test.cc
          persist/log_power_cut_test.cc
          persist/memory_event_log_test.cc
  LIBS rollcall_persist
)
