#include <algorithm>
#include <cmath>
#include <map>

#include "inspect/table.h"
#include "profile/numbers.h"
#include "profile/report.h"

namespace qhx::profile {
namespace {

using inspect::Table;

std::string key(const GraphProfile& graph) { return graph.target + " " + graph.graph; }

const GraphProfile* find(const Report& report, const std::string& wanted) {
  const auto found = std::find_if(report.graphs.begin(), report.graphs.end(),
                                  [&](const GraphProfile& g) { return key(g) == wanted; });
  return found == report.graphs.end() ? nullptr : &*found;
}

// Conditions that are not the same make times that cannot be compared.
std::string differing_conditions(const GraphProfile& a, const GraphProfile& b) {
  std::string text;
  const auto note = [&](const char* what, const std::string& before, const std::string& after) {
    if (before != after)
      text += "  note: " + key(a) + ": " + what + " " + before + " before, " + after + " after\n";
  };
  note("corner", std::to_string(a.corner), std::to_string(b.corner));
  note("library", a.facts.library, b.facts.library);
  note("layers", std::to_string(a.layers), std::to_string(b.layers));
  note("context", std::to_string(a.context_rows), std::to_string(b.context_rows));
  return text;
}

struct Pair {
  Sums before, after;
  double moved() const { return std::abs(after.time_us - before.time_us); }
};

// The rows that changed most.
std::string rows_diff(const std::string& what, const std::vector<Row>& before,
                      const std::vector<Row>& after, std::size_t most) {
  std::map<std::string, Pair> pairs;
  for (const Row& row : before) pairs[row.name].before = row.sums;
  for (const Row& row : after) pairs[row.name].after = row.sums;
  std::vector<std::pair<std::string, Pair>> list(pairs.begin(), pairs.end());
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second.moved() > b.second.moved();
  });
  Table table({{what, false}, {"time ms", true}, {"", true}, {"change", true}});
  for (const auto& [name, pair] : list) {
    if (most-- == 0 || pair.moved() <= 0) break;
    table.add({name, milliseconds(pair.before.time_us), milliseconds(pair.after.time_us),
               change(pair.before.time_us, pair.after.time_us)});
  }
  return table.empty() ? "" : table.to_text("  ");
}

Table totals() {
  return Table({{"target", false},
                {"graph", false},
                {"ms", true},
                {"", true},
                {"change", true},
                {"read MB", true},
                {"", true},
                {"written MB", true},
                {"", true}});
}

}  // namespace

std::string print_diff(const Report& before, const Report& after, std::size_t rows) {
  Table table = totals();
  std::string notes, details;
  for (const GraphProfile& a : before.graphs) {
    const GraphProfile* b = find(after, key(a));
    if (b == nullptr) {
      notes += "  only before: " + key(a) + "\n";
      continue;
    }
    notes += differing_conditions(a, *b);
    table.add({a.target, a.graph, milliseconds(a.model_us()), milliseconds(b->model_us()),
               change(a.model_us(), b->model_us()), megabytes(a.total.read_bytes),
               megabytes(b->total.read_bytes), megabytes(a.total.written_bytes),
               megabytes(b->total.written_bytes)});
    if (rows == 0) continue;
    details += "\n" + key(a) + "\n" + rows_diff("library operation", a.kinds, b->kinds, rows) +
               rows_diff("place in a layer, all layers", a.places, b->places, rows);
  }
  for (const GraphProfile& b : after.graphs) {
    if (find(before, key(b)) == nullptr) notes += "  only after: " + key(b) + "\n";
  }
  return "Simulated times of the whole model, before and after\n" + table.to_text("") + notes +
         details;
}

}  // namespace qhx::profile
