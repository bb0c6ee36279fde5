rollcall_test(sidecar_source_test THREADS
  SOURCES
    sidecar_source/agent_socket_test.cc
    sidecar_source/client_keys_test.cc
    sidecar_source/event_lines_test.cc
    sidecar_source/event_socket_test.cc
    sidecar_source/look_plan_test.cc
    sidecar_source/own_rows_test.cc
    sidecar_source/remoted_counters_test.cc
    sidecar_source/source_defaults_test.cc
    sidecar_source/visit_hints_test.cc
    sidecar_source/wazuh_db_scan_test.cc
  LIBS rollcall_sidecar_source rollcall_standin
  LABELS unit
)
# The condition can go once the stand-in's server is in the same tree.
if(EXISTS ${PROJECT_SOURCE_DIR}/tests/support/standin_server.h)
  target_sources(sidecar_source_test PRIVATE sidecar_source/wazuh_db_source_test.cc)
endif()
