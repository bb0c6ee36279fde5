# They have private names that others of their folder have too.
set_source_files_properties(protocol/agent_record_test.cc protocol/compression_test.cc protocol/ids_test.cc
                            PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
rollcall_test(rollcall_protocol_test
  LIBS rollcall_protocol
  SOURCES
    protocol/agent_info_test.cc
    protocol/agent_record_offer_test.cc
    protocol/agent_record_test.cc
    protocol/agent_version_test.cc
    protocol/codec_test.cc
    protocol/compression_test.cc
    protocol/digest_test.cc
    protocol/duration_counts_test.cc
    protocol/framing_test.cc
    protocol/golden_test.cc
    protocol/ids_test.cc
    protocol/inventory_test.cc
    protocol/master_clock_test.cc
    protocol/plain_delta_test.cc
    protocol/random_messages.cc
    protocol/unknown_fields_test.cc
    protocol/version_test.cc
    protocol/wire_test.cc)
rollcall_test(agent_table_test THREADS
  LIBS rollcall_protocol
  LABELS unit
  SOURCES protocol/agent_table_test.cc)
