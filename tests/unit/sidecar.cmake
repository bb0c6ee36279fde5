rollcall_test(sidecar_core_test
  SOURCES
    sidecar/tracker_test.cc
  LIBS rollcall_sidecar_core
  LABELS unit
)
