#pragma once
// Tables for people: columns as wide as what is in them, numbers to the right, and what does not
// fit the screen cut in the columns that say they can be.
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/screen.h"

namespace rollcall::cli {

struct Column {
  enum class Fits { always, cut };  // whether it gives way if the table is too wide
  enum class Side { left, right };

  Column(const char* title, Side at = Side::left, Fits how = Fits::always)  // NOLINT
      : name(title), side(at), fits(how) {}

  std::string name;
  Side side;
  Fits fits;
};
inline Column number_column(const char* name) {
  return {name, Column::Side::right};
}
inline Column cut_column(const char* name) {
  return {name, Column::Side::left, Column::Fits::cut};
}

struct Cell {
  Cell(std::string what, Tone how = Tone::plain) : text(std::move(what)), tone(how) {}  // NOLINT
  Cell(const char* what) : text(what) {}                                                // NOLINT

  std::string text;
  Tone tone = Tone::plain;
};
// In the tone of the word that it is.
inline Cell toned_cell(std::string word) {
  const Tone tone = tone_of(word);
  return {std::move(word), tone};
}

class Table {
 public:
  explicit Table(std::vector<Column> columns);
  void add(std::vector<Cell> row);
  std::size_t rows() const { return rows_.size(); }

  // The head and the rows, each without a line end. The last column always gives way, and if that
  // is not enough lines are cut.
  std::vector<std::string> lines(std::size_t columns, bool colours) const;
  void print() const;  // as standard output has room

 private:
  std::vector<std::size_t> widths(std::size_t columns) const;
  std::string line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                   std::size_t columns, bool colours) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Counts code points; the bytes are UTF-8, or bad luck.
std::size_t width_of(std::string_view text);
// At most so many columns, with "~" at the end if it was cut.
std::string cut_to(std::string_view text, std::size_t columns);

}  // namespace rollcall::cli
