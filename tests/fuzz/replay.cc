// Plays a kept corpus through one target, where no fuzzer is linked: fuzz_TARGET CORPUS. A corpus
// is a text file with one input a line, in hex; '#' begins a comment.
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "tests/fuzz/input.h"

namespace {

std::optional<std::string> from_hex(const std::string& text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const std::string pair = text.substr(i, 2);
    if (pair.find_first_not_of("0123456789abcdef") != pair.npos) return std::nullopt;
    bytes.push_back(static_cast<char>(std::stoi(pair, nullptr, 16)));
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " CORPUS\n";
    return 2;
  }
  std::ifstream corpus(argv[1]);
  int inputs = 0;
  int number = 0;
  for (std::string line; std::getline(corpus, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    line.erase(line.find_last_not_of(' ') + 1);
    if (line.empty()) continue;
    const auto bytes = from_hex(line);
    if (!bytes) {
      std::cerr << argv[1] << ":" << number << ": this is not hex\n";
      return 1;
    }
    // Said before, so that the one which ends the process is known. Copied, so that ASan sees a
    // read beyond its end.
    std::cout << "line " << number << ", " << bytes->size() << " bytes" << std::endl;
    const auto copy = std::make_unique<std::uint8_t[]>(bytes->size());
    std::copy(bytes->begin(), bytes->end(), copy.get());
    LLVMFuzzerTestOneInput(copy.get(), bytes->size());
    ++inputs;
  }
  if (inputs == 0) {
    std::cerr << argv[1] << ": no inputs; tests/fuzz/run --keep writes them\n";
    return 1;
  }
  std::cout << inputs << " inputs\n";
  return 0;
}
