rollcall_test(cli_test
  SOURCES
    cli/check_test.cc
    cli/daemon_test.cc
    cli/drain_text_test.cc
    cli/log_fold_test.cc
    cli/log_test.cc
    cli/pki_test.cc
    cli/live_test.cc
    cli/screen_test.cc
    cli/table_test.cc
    cli/support_test.cc
    cli/text_test.cc
    cli/top_text_test.cc
    ${PROJECT_SOURCE_DIR}/cli/any_config.cc
    ${PROJECT_SOURCE_DIR}/cli/check_parts.cc
    ${PROJECT_SOURCE_DIR}/cli/check_tls.cc
    ${PROJECT_SOURCE_DIR}/cli/drain_text.cc
    ${PROJECT_SOURCE_DIR}/cli/findings.cc
    ${PROJECT_SOURCE_DIR}/cli/live.cc
    ${PROJECT_SOURCE_DIR}/cli/local_page.cc
    ${PROJECT_SOURCE_DIR}/cli/log_fold.cc
    ${PROJECT_SOURCE_DIR}/cli/mend.cc
    ${PROJECT_SOURCE_DIR}/cli/progress.cc
    ${PROJECT_SOURCE_DIR}/cli/screen.cc
    ${PROJECT_SOURCE_DIR}/cli/secrets.cc
    ${PROJECT_SOURCE_DIR}/cli/status_text.cc
    ${PROJECT_SOURCE_DIR}/cli/support.cc
    ${PROJECT_SOURCE_DIR}/cli/table.cc
    ${PROJECT_SOURCE_DIR}/cli/tar.cc
    ${PROJECT_SOURCE_DIR}/cli/text.cc
    ${PROJECT_SOURCE_DIR}/cli/top_text.cc
  LIBS rollcall_inspect rollcall_master_core rollcall_net rollcall_persist PkgConfig::HTTPLIB
       PkgConfig::ZLIB OpenSSL::SSL OpenSSL::Crypto
)
add_dependencies(cli_test rollcall)
target_compile_definitions(cli_test PRIVATE ROLLCALL_TOOL="$<TARGET_FILE:rollcall>")
