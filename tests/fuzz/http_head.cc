// The head of an HTTP request: refused with a status, or within the bounds that it was judged by.
#include "inspect/http_head.h"
#include "tests/fuzz/input.h"

using namespace rollcall::inspect;
using rollcall::fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  HeadLimits limits;
  limits.target = 64;
  limits.body = 1000;
  limits.hosts = {"master.example"};
  const auto head = parse_head(text, limits);
  if (!head) {
    must(head.error().status >= 400 && head.error().status < 600, "a refusal has a status");
    return 0;
  }
  must(head->target.starts_with("/") && head->target.size() <= limits.target,
       "the target is within its bound");
  must(head->body_bytes <= limits.body, "the body is within its bound");
  must(head->method.find_first_of(" \t\r\n") == head->method.npos &&
           head->target.find_first_of(" \t\r\n") == head->target.npos,
       "nothing that another reader would cut elsewhere");
  (void)is_own_host(text, limits.hosts);
  return 0;
}
