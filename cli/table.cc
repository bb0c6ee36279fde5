#include "cli/table.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "cli/text.h"

namespace rollcall::cli {
namespace {

constexpr std::size_t kGap = 2;    // between columns
constexpr std::size_t kLeast = 8;  // a column that gives way keeps so much

}  // namespace

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (width_of(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    if ((text[at] & 0xc0) != 0x80 && ++seen == columns) break;
  }
  return std::string(text.substr(0, at)) + "~";
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = harmless(cell.text);
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::widths(std::size_t columns) const {
  std::vector<std::size_t> widths, gives_way;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = width_of(columns_[i].name);
    for (const auto& row : rows_) width = std::max(width, width_of(row[i].text));
    widths.push_back(width);
    const bool last = i + 1 == columns_.size();
    if (columns_[i].fits == Column::Fits::cut || last) gives_way.push_back(i);
  }
  std::size_t all = std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
  // The widest first, down to the next widest, and so on.
  while (all > columns) {
    const auto widest =
        std::ranges::max_element(gives_way, {}, [&widths](std::size_t i) { return widths[i]; });
    if (widths[*widest] <= kLeast) break;
    --widths[*widest];
    --all;
  }
  return widths;
}

std::string Table::line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                        std::size_t columns, bool colours) const {
  std::string out;
  std::size_t used = 0, owed = 0;  // spaces that are only written if something follows
  for (std::size_t i = 0; i < row.size(); ++i) {
    std::string text = cut_to(row[i].text, widths[i]);
    const std::size_t spare = widths[i] - width_of(text);
    const bool right = columns_[i].side == Column::Side::right;
    const std::size_t before = owed + (right ? spare : 0);
    if (used + before >= columns) break;
    text = cut_to(text, columns - used - before);
    if (!text.empty()) {
      out += std::string(before, ' ') + toned(text, row[i].tone, colours);
      used += before + width_of(text);
      owed = 0;
    } else {
      owed = before;
    }
    owed += (right ? 0 : spare) + kGap;
  }
  return out;
}

std::vector<std::string> Table::lines(std::size_t columns, bool colours) const {
  const auto fitting = widths(columns);
  std::vector<Cell> head;
  for (const Column& column : columns_) head.emplace_back(column.name, Tone::strong);
  std::vector<std::string> out = {line(head, fitting, columns, colours)};
  for (const auto& row : rows_) out.push_back(line(row, fitting, columns, colours));
  return out;
}

void Table::print() const {
  const Screen where = screen();
  for (const std::string& text : lines(where.columns, where.colours)) std::puts(text.c_str());
}

}  // namespace rollcall::cli
