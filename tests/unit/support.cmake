# The tools that other tests trust are tested too.
rollcall_test(support_tests THREADS
  LIBS rollcall_standin
  LABELS support
  SOURCES support/standin_transcript_test.cc support/standin_wazuhdb_test.cc
    support/standin_server_test.cc)

find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(module relay wdb)
  add_test(NAME support.${module}_py
           COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/support/test_${module}.py)
  set_tests_properties(support.${module}_py PROPERTIES TIMEOUT 120 LABELS support
    ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;STANDIN_WAZUHDB=$<TARGET_FILE:standin-wazuhdb>")
endforeach()
