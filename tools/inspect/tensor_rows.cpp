#include "inspect/tensor_rows.h"

#include <cstdio>

namespace qhx::inspect {
namespace {

std::string stem(const std::string& name) {
  return name.substr(0, name.find_last_not_of("0123456789") + 1);
}

std::string quantization(const qnn::TensorInfo& tensor) {
  std::string text(qnn::name(tensor.encoding));
  if (!tensor.quantized) return text;
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, ", scale %g, offset %d", static_cast<double>(tensor.scale),
                tensor.offset);
  return text + numbers;
}

// Tensors of one row.
struct Group {
  const qnn::TensorInfo* first;
  const qnn::TensorInfo* last;
  std::size_t bytes;

  bool takes(const qnn::TensorInfo& tensor) const {
    const bool numbered = stem(tensor.name) != tensor.name;
    return numbered && stem(tensor.name) == stem(first->name) && tensor.type == first->type &&
           tensor.dims == first->dims && quantization(tensor) == quantization(*first);
  }
};

}  // namespace

std::vector<std::vector<std::string>> tensor_rows(std::string_view kind,
                                                  const std::vector<qnn::TensorInfo>& tensors) {
  std::vector<Group> groups;
  for (const qnn::TensorInfo& tensor : tensors) {
    Group* group = nullptr;
    for (Group& known : groups) group = known.takes(tensor) ? &known : group;
    if (group == nullptr) group = &groups.emplace_back(Group{&tensor, &tensor, 0});
    group->last = &tensor;
    group->bytes += tensor.size_bytes();
  }
  std::vector<std::vector<std::string>> rows;
  for (const Group& group : groups) {
    const bool one = group.first == group.last;
    rows.push_back({std::string(kind),
                    one ? group.first->name : group.first->name + " … " + group.last->name,
                    std::string(qnn::name(group.first->type)), qnn::to_string(group.first->dims),
                    std::to_string(group.bytes), quantization(*group.first)});
  }
  return rows;
}

}  // namespace qhx::inspect
