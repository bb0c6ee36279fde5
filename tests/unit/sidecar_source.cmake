rollcall_test(sidecar_source_test
  SOURCES
    sidecar_source/client_keys_test.cc
    sidecar_source/wazuh_db_scan_test.cc
  LIBS rollcall_sidecar_source rollcall_standin
  LABELS unit
)
