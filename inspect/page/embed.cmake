# Writes the web page's files into a source file: cmake -DFOLDER=… -DNAMES=a,b -DOUTPUT=… -P embed.cmake
string(REPLACE "," ";" names "${NAMES}")
set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")

set(files "")
foreach(name IN LISTS names)
  string(REGEX REPLACE "^.*\\." "" ending "${name}")
  file(SHA256 "${FOLDER}/${name}" hash)
  string(SUBSTRING "${hash}" 0 16 hash)
  file(READ "${FOLDER}/${name}" text)
  string(APPEND files
         "    {\"${name}\", \"${type_${ending}}\",\n     R\"embedded(${text})embedded\", \"${hash}\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made by inspect/page/embed.cmake.
#include \"inspect/web_page.h\"

namespace rollcall::inspect {
namespace {
constexpr WebFile kFiles[] = {
${files}};
}  // namespace

std::span<const WebFile> web_files() {
  return kFiles;
}

}  // namespace rollcall::inspect
")
