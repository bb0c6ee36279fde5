# Makes the packages that the tests upgrade from: their default configuration was another one.
file(GLOB_RECURSE files "${CPACK_TEMPORARY_DIRECTORY}/*.ini")
foreach(file ${files})
  file(APPEND ${file} "# an older default\n")
endforeach()
