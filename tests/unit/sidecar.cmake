rollcall_test(sidecar_core_test
  SOURCES
    sidecar/agent_message_test.cc
    sidecar/agent_state_test.cc
    sidecar/command_memory_test.cc
    sidecar/reconciler_model_test.cc
    sidecar/reconciler_test.cc
    sidecar/sidecar_commands_test.cc
    sidecar/sidecar_core_events_test.cc
    sidecar/sidecar_core_test.cc
    sidecar/sidecar_handoff_test.cc
    sidecar/timeline_test.cc
    sidecar/tracker_events_test.cc
    sidecar/tracker_handoff_test.cc
    sidecar/tracker_test.cc
  LIBS rollcall_sidecar_core
  LABELS unit
)
