#include "persist/lmdb_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <vector>

namespace rollcall::persist {
namespace {

// LMDB 0.9's format of data (version 1) on 64-bit machines, in the machine's byte order.
static_assert(sizeof(void*) == 8, "the layout below is that of 64-bit machines");

constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kDataVersion = 1;
constexpr std::size_t kPageHeaderBytes = 16;
constexpr std::size_t kMetaBytes = 136;
constexpr std::size_t kTreeBytes = 48;
constexpr std::size_t kNodeHeaderBytes = 8;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint16_t kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04, kMeta = 0x08;
constexpr std::uint16_t kNumberKeys = 0x08;
constexpr std::uint16_t kBigData = 0x01, kSubTree = 0x02, kDuplicates = 0x04;

template <typename T>
T read(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

struct Tree {
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = kNoPage;
};

Tree read_tree(std::string_view bytes) {
  return {read<std::uint16_t>(bytes, 4), read<std::uint16_t>(bytes, 6),
          read<std::uint64_t>(bytes, 32), read<std::uint64_t>(bytes, 40)};
}

struct Meta {
  std::uint32_t page_bytes = 0;
  Tree free;
  Tree main;
  std::uint64_t last_page = 0;
  std::uint64_t txn = 0;
};

// What a tree holds: entries by their keys, or lists of free pages by the transaction that freed
// them.
enum class Holds { kEntries, kFreePages };

class Checker {
 public:
  explicit Checker(int fd, std::uint64_t size) : fd_(fd), size_(size) {}

  std::expected<void, std::string> run(std::optional<std::uint64_t> txn) {
    auto first = read_meta(0);
    if (!first) return std::unexpected(first.error());
    page_bytes_ = first->page_bytes;
    auto second = read_meta(page_bytes_);
    if (!second) return std::unexpected(second.error());
    if (second->page_bytes != first->page_bytes) {
      return std::unexpected(std::string("its header pages disagree about the size of a page"));
    }
    // LMDB writes the two in turn, and takes the newest number's parity for the place to read.
    if (first->txn % 2 != 0 || (second->txn % 2 == 0 && second->txn != 0)) {
      return std::unexpected(std::string("a header page has the transaction number of the other"));
    }
    const auto* meta = first->txn < second->txn ? &*second : &*first;
    if (txn && meta->txn != *txn) meta = meta == &*first ? &*second : &*first;
    if (txn && meta->txn != *txn) return std::unexpected(std::string(kGone));

    last_page_ = meta->last_page;
    // Every page is visited once at most, so the walk ends even on a file made in bad faith.
    if (last_page_ > size_ / page_bytes_ + kMayBeUnwritten) {
      return std::unexpected("it has " + std::to_string(size_) + " bytes but its pages go up to " +
                             std::to_string(last_page_) + ": it is cut short");
    }
    visited_.assign(last_page_ + 1, false);

    if (auto tree = walk(meta->free, Holds::kFreePages); !tree) return tree;
    return walk(meta->main, Holds::kEntries);
  }

 private:
  // Pages at the end that were used and freed in one transaction are never written.
  static constexpr std::uint64_t kMayBeUnwritten = std::uint64_t{1} << 20;

  std::expected<std::string, std::string> read_at(std::uint64_t offset, std::size_t size) const {
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      const auto count =
          ::pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        return std::unexpected("byte " + std::to_string(offset) +
                               " cannot be read: " + std::generic_category().message(errno));
      }
      if (count == 0) {
        return std::unexpected("it ends at byte " + std::to_string(offset + done) +
                               ", in the middle of what it needs: it is cut short");
      }
      done += static_cast<std::size_t>(count);
    }
    return bytes;
  }

  std::expected<Meta, std::string> read_meta(std::uint64_t offset) const {
    const auto where = "the header page at byte " + std::to_string(offset);
    auto page = read_at(offset, kPageHeaderBytes + kMetaBytes);
    if (!page) return std::unexpected(page.error());
    if ((read<std::uint16_t>(*page, 10) & kMeta) == 0) {
      return std::unexpected(where + " is no LMDB header");
    }
    const std::string_view meta = std::string_view(*page).substr(kPageHeaderBytes);
    if (read<std::uint32_t>(meta, 0) != kMagic) {
      return std::unexpected(where + " is no LMDB header");
    }
    if (read<std::uint32_t>(meta, 4) != kDataVersion) {
      return std::unexpected(where + " has LMDB data version " +
                             std::to_string(read<std::uint32_t>(meta, 4)) + " instead of 1");
    }
    Meta result{read<std::uint32_t>(meta, 24), read_tree(meta.substr(24)),
                read_tree(meta.substr(72)), read<std::uint64_t>(meta, 120),
                read<std::uint64_t>(meta, 128)};
    if (!std::has_single_bit(result.page_bytes) || result.page_bytes < 256 ||
        result.page_bytes > 65536) {
      return std::unexpected(where + " has an impossible page size");
    }
    return result;
  }

  std::expected<void, std::string> walk(const Tree& tree, Holds holds) {
    // Numbers as keys are for the free pages, and nothing else that LMDB could do is used here.
    if (tree.flags != (holds == Holds::kFreePages ? kNumberKeys : 0)) {
      return std::unexpected("a table is of another kind (flags " + std::to_string(tree.flags) +
                             ")");
    }
    if (tree.root == kNoPage) {
      if (tree.entries == 0) return {};
      return std::unexpected(std::string("a table with entries has no pages"));
    }
    std::uint64_t entries = 0;
    if (auto page = walk_page(tree.root, tree.depth, holds, entries); !page) return page;
    if (entries != tree.entries) {
      return std::unexpected("a table has " + std::to_string(entries) + " entries instead of " +
                             std::to_string(tree.entries));
    }
    return {};
  }

  std::unexpected<std::string> wrong(std::uint64_t page, const std::string& what) const {
    return std::unexpected("the page at byte " + std::to_string(page * page_bytes_) + " " + what);
  }

  // Marks pages as used; false if one of them is used twice or does not exist.
  bool claim(std::uint64_t first, std::uint64_t count) {
    if (first < 2 || first > last_page_ || count > last_page_ - first + 1) return false;
    for (auto page = first; page < first + count; ++page) {
      if (visited_[page]) return false;
      visited_[page] = true;
    }
    return true;
  }

  static bool in_order(std::string_view before, std::string_view key, Holds holds) {
    if (holds == Holds::kEntries) return before < key;
    return before.size() == sizeof(std::uint64_t) && key.size() == sizeof(std::uint64_t) &&
           read<std::uint64_t>(before, 0) < read<std::uint64_t>(key, 0);
  }

  // A list of free pages: how many, then their numbers, the highest first. LMDB writes on them
  // without a look.
  bool claim_free(std::string_view list) {
    if (list.size() % sizeof(std::uint64_t) != 0 || list.empty()) return false;
    const auto count = read<std::uint64_t>(list, 0);
    if (count != list.size() / sizeof(std::uint64_t) - 1) return false;
    std::uint64_t previous = kNoPage;
    for (std::uint64_t i = 1; i <= count; ++i) {
      const auto page = read<std::uint64_t>(list, i * sizeof(std::uint64_t));
      if (page >= previous || !claim(page, 1)) return false;
      previous = page;
    }
    return true;
  }

  std::expected<void, std::string> walk_page(std::uint64_t number, int levels, Holds holds,
                                             std::uint64_t& entries) {
    if (!claim(number, 1)) return wrong(number, "is used twice or beyond the end");
    if (levels <= 0 || levels > 32) return wrong(number, "lies too deep in its tree");
    auto bytes = read_at(number * page_bytes_, page_bytes_);
    if (!bytes) return std::unexpected(bytes.error());
    const std::string_view page = *bytes;
    const auto type = read<std::uint16_t>(page, 10);
    if (read<std::uint64_t>(page, 0) != number || type != (levels > 1 ? kBranch : kLeaf)) {
      return wrong(number, "holds something else");
    }
    const std::size_t lower = read<std::uint16_t>(page, 12);
    const std::size_t upper = read<std::uint16_t>(page, 14);
    if (lower < kPageHeaderBytes || lower % 2 != 0 || lower > upper || upper > page_bytes_) {
      return wrong(number, "has impossible bounds");
    }
    const std::size_t count = (lower - kPageHeaderBytes) / 2;
    if (count == 0) return wrong(number, "is empty");
    std::string_view previous_key;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = read<std::uint16_t>(page, kPageHeaderBytes + 2 * i);
      if (at < upper || at + kNodeHeaderBytes > page_bytes_) {
        return wrong(number, "points outside itself");
      }
      const std::uint64_t low = read<std::uint16_t>(page, at);
      const std::uint64_t high = read<std::uint16_t>(page, at + 2);
      const auto flags = read<std::uint16_t>(page, at + 4);
      const std::size_t key_bytes = read<std::uint16_t>(page, at + 6);
      const auto room = page_bytes_ - at - kNodeHeaderBytes;
      if (key_bytes > room) return wrong(number, "has a key that leaves it");
      const auto key = page.substr(at + kNodeHeaderBytes, key_bytes);
      // The first key of a branch page stands for everything smaller and may be empty.
      const bool compared = i > (levels > 1 ? 1 : 0);
      if (compared && !in_order(previous_key, key, holds))
        return wrong(number, "has its keys in disorder");
      previous_key = key;
      if (levels > 1) {
        const auto child = low | high << 16 | std::uint64_t{flags} << 32;
        if (auto below = walk_page(child, levels - 1, holds, entries); !below) return below;
        continue;
      }
      ++entries;
      const std::uint64_t data_bytes = low | high << 16;
      if (flags & kDuplicates)
        return wrong(number, "has duplicate entries, which rollcall has not");
      if (flags & kBigData) {
        if (room - key_bytes < sizeof(std::uint64_t)) {
          return wrong(number, "has a value that leaves it");
        }
        const auto first = read<std::uint64_t>(page, at + kNodeHeaderBytes + key_bytes);
        if (auto value = check_overflow(first, data_bytes); !value) return value;
        if (holds == Holds::kFreePages) {
          auto list = read_at(first * page_bytes_ + kPageHeaderBytes, data_bytes);
          if (!list) return std::unexpected(list.error());
          if (!claim_free(*list)) return wrong(first, "frees pages that are in use");
        }
        continue;
      }
      if (data_bytes > room - key_bytes) return wrong(number, "has a value that leaves it");
      if (holds == Holds::kFreePages &&
          !claim_free(page.substr(at + kNodeHeaderBytes + key_bytes, data_bytes)))
        return wrong(number, "frees pages that are in use");
      if (flags & kSubTree) {
        if (data_bytes != kTreeBytes) return wrong(number, "has an impossible table");
        const auto tree = read_tree(page.substr(at + kNodeHeaderBytes + key_bytes));
        if (auto below = walk(tree, Holds::kEntries); !below) return below;
      }
    }
    return {};
  }

  std::expected<void, std::string> check_overflow(std::uint64_t first, std::uint64_t data_bytes) {
    if (first < 2 || first > last_page_) return wrong(first, "is beyond the end");
    auto head = read_at(first * page_bytes_, kPageHeaderBytes);
    if (!head) return std::unexpected(head.error());
    const std::uint64_t pages = read<std::uint32_t>(*head, 12);
    if (read<std::uint64_t>(*head, 0) != first || read<std::uint16_t>(*head, 10) != kOverflow) {
      return wrong(first, "holds something else");
    }
    if (pages == 0 || data_bytes > pages * page_bytes_ - kPageHeaderBytes || !claim(first, pages)) {
      return wrong(first, "has an impossible length");
    }
    if ((first + pages) * page_bytes_ > size_) return wrong(first, "is cut short");
    return {};
  }

  int fd_;
  std::uint64_t size_;
  std::size_t page_bytes_ = 0;
  std::uint64_t last_page_ = 0;
  std::vector<bool> visited_;
};

}  // namespace

std::expected<void, std::string> check_lmdb_file(const std::filesystem::path& data_file,
                                                 std::optional<std::uint64_t> txn) {
  const int fd = ::open(data_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return std::unexpected("it cannot be opened: " + std::generic_category().message(errno));
  }
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  auto result = known ? Checker(fd, static_cast<std::uint64_t>(status.st_size)).run(txn)
                      : std::unexpected(std::string("its size cannot be read"));
  ::close(fd);
  return result;
}

}  // namespace rollcall::persist
