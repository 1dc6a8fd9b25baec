#include "forge/bundle/numbered_operations.h"

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace qhx::forge {
namespace {

using nlohmann::json;

// Throws json::exception for anything but what write_operations() writes.
NumberedOperations parse_operations(const json& from) {
  NumberedOperations operations;
  for (const json& item : from) {
    operations[item.at("id").get<std::uint32_t>()] = {
        item.at("name").get<std::string>(), item.at("type").get<std::string>(),
        item.at("part").get<std::string>(), item.at("weight").get<std::string>()};
  }
  return operations;
}

}  // namespace

std::filesystem::path operations_file(const std::filesystem::path& folder,
                                      const std::string& graph) {
  return folder / (graph + ".operations.json");
}

Status write_operations(const std::filesystem::path& file, const qnn::OperationIds& ids,
                        const std::vector<qnn::Operation>& operations) {
  std::map<std::string, const qnn::Operation*> by_name;
  for (const qnn::Operation& operation : operations) by_name[operation.name] = &operation;
  json out = json::array();
  for (const auto& [id, name] : ids.names()) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) continue;
    const qnn::Operation& o = *found->second;
    out.push_back(
        {{"id", id}, {"name", o.name}, {"type", o.type}, {"part", o.part}, {"weight", o.weight}});
  }
  return write_file(file, out.dump());
}

Result<NumberedOperations> read_operations(const std::filesystem::path& file) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(file));
  try {
    return parse_operations(json::parse(text));
  } catch (const json::exception& error) {
    return corrupt(file.string() + ": " + error.what());
  }
}

}  // namespace qhx::forge
