rollcall_test(wazuh_test THREADS
  SOURCES
    wazuh/http_post_test.cc
    wazuh/wazuh_version_test.cc
    wazuh/wdb_client_test.cc
    wazuh/wdb_frame_test.cc
  LIBS rollcall_wazuh rollcall_standin
  LABELS unit
)
