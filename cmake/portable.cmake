# What the .rpm is linked with, so that it loads on RHEL 9 and its family: their C library, libgcc_s and
# OpenSSL as they are there; the C++ library and everything else are linked in. C libraries come as
# Debian's archives; those in C++, of which Debian has no archives, are compiled from Debian's sources,
# which packaging/fetch-sources puts into ROLLCALL_SOURCES.
set(ROLLCALL_SOURCES ${PROJECT_SOURCE_DIR}/build/sources CACHE PATH "Where packaging/fetch-sources put them")

# libstdc++'s std::random_device asks glibc 2.36 for this.
add_library(rollcall_arc4random OBJECT ${PROJECT_SOURCE_DIR}/cmake/arc4random.c)

# Debian packages whose code is linked in; their licences are shown.
set(ROLLCALL_LINKED_IN prometheus-cpp-dev)

# rollcall_archive(NAME FILE DEBIAN_PACKAGE)
function(rollcall_archive name file package)
  find_library(${name}_ARCHIVE NAMES ${file} REQUIRED)
  add_library(PkgConfig::${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(PkgConfig::${name} INTERFACE ${${name}_ARCHIVE} Threads::Threads)
  list(APPEND ROLLCALL_LINKED_IN ${package})
  set(ROLLCALL_LINKED_IN ${ROLLCALL_LINKED_IN} PARENT_SCOPE)
endfunction()
rollcall_archive(LIBUV libuv_a.a libuv1-dev)
rollcall_archive(LMDB liblmdb.a liblmdb-dev)
rollcall_archive(INIH libinih.a libinih-dev)
rollcall_archive(XXHASH libxxhash.a libxxhash-dev)
rollcall_archive(ZSTD libzstd.a libzstd-dev)
rollcall_archive(ZLIB libz.a zlib1g-dev)

# Without their libraries these two are headers only.
add_library(spdlog::spdlog INTERFACE IMPORTED GLOBAL)
target_compile_definitions(spdlog::spdlog INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)

# rollcall_source(VARIABLE NAME FILE): where the source of Debian's NAME is; FILE is in it.
function(rollcall_source variable name file)
  set(folder ${ROLLCALL_SOURCES}/${name})
  if(NOT EXISTS ${folder}/${file})
    message(FATAL_ERROR "${folder}/${file} is not there; packaging/fetch-sources gets it")
  endif()
  set(${variable} ${folder} PARENT_SCOPE)
endfunction()

# Debian's package splits the header; the original is headers only. Neither TLS nor compression is used
# of it here.
rollcall_source(folder cpp-httplib httplib.h)
add_library(PkgConfig::HTTPLIB INTERFACE IMPORTED GLOBAL)
target_include_directories(PkgConfig::HTTPLIB SYSTEM INTERFACE ${folder})

rollcall_source(folder simdjson src/simdjson.cpp)
add_library(simdjson_archive STATIC ${folder}/src/simdjson.cpp)
target_include_directories(simdjson_archive PRIVATE ${folder}/src SYSTEM PUBLIC ${folder}/include)
add_library(simdjson::simdjson ALIAS simdjson_archive)

# The registry and its text only. The header of exports is made by its own build, and is in Debian's package.
rollcall_source(folder prometheus-cpp core/src/registry.cc)
file(GLOB files ${folder}/core/src/*.cc ${folder}/core/src/detail/*.cc)
add_library(prometheus_archive STATIC EXCLUDE_FROM_ALL ${files})
target_compile_definitions(prometheus_archive PUBLIC PROMETHEUS_CPP_CORE_STATIC_DEFINE)
target_include_directories(prometheus_archive SYSTEM PUBLIC ${folder}/core/include)
add_library(PkgConfig::PROMETHEUS ALIAS prometheus_archive)
