rollcall_test(inspect_test THREADS
  SOURCES
    inspect/actions_test.cc
    inspect/commands_test.cc
    inspect/feed_pages_test.cc
    inspect/http_head_test.cc
    inspect/http_server_test.cc
    inspect/http_stream_test.cc
    inspect/log_page_test.cc
    inspect/master_pages_test.cc
    inspect/metrics_text_test.cc
    inspect/page_tools_test.cc
    inspect/shared_answer_test.cc
    inspect/sidecar_pages_test.cc
    inspect/sink_page_test.cc
    inspect/texts_test.cc
    inspect/token_test.cc
    inspect/web_page_test.cc
    inspect/why_test.cc
  LIBS rollcall_inspect rollcall_standin
  LABELS unit
)
