// Has the headers that tests/CMakeLists.txt compiles for all tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
