find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME includes_py COMMAND Python3::Interpreter
         ${PROJECT_SOURCE_DIR}/tests/unit/includes_test.py ${PROJECT_SOURCE_DIR})
set_tests_properties(includes_py PROPERTIES TIMEOUT 60 LABELS unit
                     ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
