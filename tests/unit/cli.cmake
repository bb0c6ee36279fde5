rollcall_test(cli_test SOURCES cli/pki_test.cc)
add_dependencies(cli_test rollcall)
target_compile_definitions(cli_test PRIVATE ROLLCALL_TOOL="$<TARGET_FILE:rollcall>")
