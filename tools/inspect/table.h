// Columns of text, aligned.
#pragma once

#include <string>
#include <vector>

namespace qhx::inspect {

// Widths are those of the longest cell, counted in UTF-8 characters; two spaces stand between
// columns.
class Table {
 public:
  // Of each column: its title, and whether its cells are flush right, as numbers are.
  struct Column {
    std::string title;
    bool right = false;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns. Control characters in them become spaces.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // The titles, unless all are empty, and the rows, each behind `indent`.
  std::string to_text(const std::string& indent) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace qhx::inspect
