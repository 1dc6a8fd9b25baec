#include "inspect/table.h"

#include <algorithm>

#include "base/check.h"
#include "program.h"

namespace qhx::inspect {
namespace {

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](unsigned char byte) {
    return (byte & 0xC0) != 0x80;  // not a continuation byte
  }));
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  QHX_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = tools::one_line(std::move(cell));
  rows_.push_back(std::move(cells));
}

std::string Table::to_text(const std::string& indent) const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(characters(column.title));
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], characters(row[i]));
  }
  std::string text;
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - characters(row[i]), ' ');
      line += (i > 0 ? "  " : "") + (columns_[i].right ? space + row[i] : row[i] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  const auto titled = [](const std::string& title) { return !title.empty(); };
  if (std::any_of(titles.begin(), titles.end(), titled)) print(titles);
  for (const auto& row : rows_) print(row);
  return text;
}

}  // namespace qhx::inspect
