# The tools that other tests trust are tested too.
rollcall_test(support_tests
  LIBS rollcall_standin
  LABELS support
  SOURCES support/standin_transcript_test.cc support/standin_wazuhdb_test.cc)
