#include "graph/binary_reader.h"

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/hash.h"
#include "graph/binary_format.h"
#include "graph/cbor.h"
#include "graph/verify.h"

namespace qhx::cpu {
namespace {

using Json = nlohmann::json;
using binary::Header;

constexpr std::size_t kMostGraphs = 1024;
constexpr std::size_t kMostTensors = 1u << 20;
constexpr std::uint64_t kMostChannels = std::uint64_t{1} << 30;

// ---- Typed access. Each names the field that is not as it should be. ----

Status bad(std::string_view field, std::string_view expected) {
  return corrupt("metadata: " + std::string(field) + ": expected " + std::string(expected));
}

Result<const Json*> member(const Json& json, const char* name) {
  if (!json.is_object()) return bad(name, "to be in an object");
  const auto it = json.find(name);
  if (it == json.end()) return bad(name, "to be there");
  return &*it;
}

Result<const Json*> array_member(const Json& json, const char* name, std::size_t most) {
  QHX_ASSIGN_OR_RETURN(const Json* value, member(json, name));
  if (!value->is_array() || value->size() > most)
    return bad(name, "a list of at most " + std::to_string(most));
  return value;
}

Result<std::string> string_member(const Json& json, const char* name) {
  QHX_ASSIGN_OR_RETURN(const Json* value, member(json, name));
  if (!value->is_string()) return bad(name, "a string");
  auto text = value->get<std::string>();
  if (text.find('\0') != std::string::npos) return bad(name, "a string without zero bytes");
  return text;
}

Result<std::uint64_t> unsigned_value(const Json& value, std::string_view field,
                                     std::uint64_t most) {
  if (!value.is_number_unsigned()) return bad(field, "an unsigned number");
  const auto number = value.get<std::uint64_t>();
  if (number > most) return bad(field, "a number up to " + std::to_string(most));
  return number;
}

Result<std::uint64_t> unsigned_member(const Json& json, const char* name, std::uint64_t most) {
  QHX_ASSIGN_OR_RETURN(const Json* value, member(json, name));
  return unsigned_value(*value, name, most);
}

Result<std::int64_t> integer_value(const Json& value, std::string_view field) {
  if (!value.is_number_integer()) return bad(field, "an integer");
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
    return bad(field, "a 64-bit signed integer");
  }
  return value.get<std::int64_t>();
}

// Indices of tensors; -1 where an optional input is absent.
Result<std::vector<int>> index_list(const Json& json, const char* name) {
  QHX_ASSIGN_OR_RETURN(const Json* list, array_member(json, name, kMostTensors));
  std::vector<int> indices;
  for (const Json& value : *list) {
    QHX_ASSIGN_OR_RETURN(const std::int64_t index, integer_value(value, name));
    if (index < -1 || index >= static_cast<std::int64_t>(kMostTensors))
      return bad(name, "indices of tensors");
    indices.push_back(static_cast<int>(index));
  }
  return indices;
}

// ---- Header ----

Result<Header> read_header(std::span<const std::byte> bytes) {
  Header header;
  if (bytes.size() < sizeof(header)) {
    return out_of_range("context binary: expected at least 64 bytes, found " +
                        std::to_string(bytes.size()));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != binary::kMagic)
    return corrupt("context binary: not one of the CPU backend (wrong first bytes)");
  if (xxh3_64(bytes.first(offsetof(Header, header_checksum))) != header.header_checksum) {
    return corrupt("context binary: the header does not have its checksum");
  }
  if (header.format_version != binary::kFormatVersion) {
    return corrupt("context binary: expected format version " +
                   std::to_string(binary::kFormatVersion) + ", found " +
                   std::to_string(header.format_version) + "; forge it again");
  }
  const bool ordered =
      header.header_bytes == sizeof(header) && header.metadata_offset == sizeof(header) &&
      header.metadata_bytes <= binary::kMaxMetadataBytes &&
      header.sections_offset >= header.metadata_offset + header.metadata_bytes &&
      header.sections_offset <= header.metadata_offset + binary::kMaxMetadataBytes + 4096 &&
      header.sections_offset % 4096 == 0 && header.file_bytes >= header.sections_offset;
  if (!ordered) return corrupt("context binary: the header's sizes contradict each other");
  if (bytes.size() < header.sections_offset) {
    return out_of_range("context binary: truncated inside its metadata: expected " +
                        std::to_string(header.file_bytes) + " bytes, found " +
                        std::to_string(bytes.size()));
  }
  return header;
}

Result<Json> read_metadata(std::span<const std::byte> bytes, const Header& header) {
  const auto covered =
      bytes.subspan(header.metadata_offset, header.sections_offset - header.metadata_offset);
  if (xxh3_64(covered) != header.metadata_checksum) {
    return corrupt("context binary: the metadata does not have its checksum");
  }
  return parse_cbor(covered.first(header.metadata_bytes));
}

// ---- Contents ----

// Sections lie one after the other and fill the rest of the file. Without `bytes` they get no
// contents.
Result<std::vector<std::shared_ptr<const Blob>>> read_sections(const Json& json,
                                                               const Header& header,
                                                               std::span<const std::byte> bytes) {
  QHX_ASSIGN_OR_RETURN(const Json* list, array_member(json, "sections", kMostTensors));
  std::vector<std::shared_ptr<const Blob>> blobs;
  std::uint64_t offset = header.sections_offset;
  for (const Json& entry : *list) {
    if (!entry.is_array() || entry.size() != 2)
      return bad("sections", "pairs of size and checksum");
    QHX_ASSIGN_OR_RETURN(const std::uint64_t size,
                         unsigned_value(entry[0], "sections", kMaxTensorBytes));
    QHX_ASSIGN_OR_RETURN(const std::uint64_t checksum,
                         unsigned_value(entry[1], "sections", ~std::uint64_t{0}));
    const std::uint64_t padded = padded_size(size);
    if (offset % blob_alignment(size) != 0 || padded > header.file_bytes - offset) {
      return bad("sections", "aligned sections inside the file");
    }
    const auto place = bytes.empty() ? std::span<const std::byte>() : bytes.subspan(offset, padded);
    blobs.push_back(std::make_shared<Blob>(place, bytes.empty() ? 0 : size, checksum));
    offset += padded;
  }
  if (offset != header.file_bytes) return bad("sections", "sections that end where the file does");
  return blobs;
}

Result<PackedFormat> read_packed(const Json& json) {
  if (!json.is_array() || json.size() != 4) return bad("packed", "type, n, k, group");
  PackedFormat format;
  QHX_ASSIGN_OR_RETURN(
      const std::uint64_t type,
      unsigned_value(json[0], "packed type", static_cast<std::uint64_t>(WeightType::kI4)));
  format.type = static_cast<WeightType>(type);
  QHX_ASSIGN_OR_RETURN(format.n, unsigned_value(json[1], "packed n", kMostChannels));
  QHX_ASSIGN_OR_RETURN(format.k, unsigned_value(json[2], "packed k", kMostChannels));
  QHX_ASSIGN_OR_RETURN(format.group, unsigned_value(json[3], "packed group", format.k));
  if (format.n == 0 || format.k == 0 || format.n * format.k > kMaxTensorBytes)
    return bad("packed", "a sane size");
  return format;
}

Result<Tensor> read_tensor(const Json& json,
                           const std::vector<std::shared_ptr<const Blob>>& blobs) {
  Tensor tensor;
  QHX_ASSIGN_OR_RETURN(const std::uint64_t id, unsigned_member(json, "id", 0xFFFFFFFFu));
  tensor.id = static_cast<std::uint32_t>(id);
  QHX_ASSIGN_OR_RETURN(tensor.name, string_member(json, "name"));
  QHX_ASSIGN_OR_RETURN(const std::uint64_t role,
                       unsigned_member(json, "role", static_cast<std::uint64_t>(Role::kStatic)));
  tensor.role = static_cast<Role>(role);
  QHX_ASSIGN_OR_RETURN(const std::uint64_t dtype,
                       unsigned_member(json, "dtype", static_cast<std::uint64_t>(DType::kBool)));
  tensor.dtype = static_cast<DType>(dtype);
  QHX_ASSIGN_OR_RETURN(const Json* dims, array_member(json, "dims", kMaxRank));
  for (const Json& dim : *dims) {
    QHX_ASSIGN_OR_RETURN(const std::uint64_t value, unsigned_value(dim, "dims", 0xFFFFFFFFu));
    tensor.dims.push_back(static_cast<std::uint32_t>(value));
  }
  if (json.contains("section")) {
    QHX_ASSIGN_OR_RETURN(const std::uint64_t section,
                         unsigned_member(json, "section", kMostTensors));
    if (section >= blobs.size()) return bad("section", "the number of a section");
    tensor.blob = blobs[section];
  }
  if (json.contains("packed")) {
    QHX_ASSIGN_OR_RETURN(tensor.packed, read_packed(json["packed"]));
  }
  return tensor;
}

Result<Attributes> read_attributes(const Json& json) {
  Attributes attributes;
  QHX_ASSIGN_OR_RETURN(const Json* ints, member(json, "ints"));
  QHX_ASSIGN_OR_RETURN(const Json* floats, member(json, "floats"));
  // An empty map is written as null.
  if (!(ints->is_object() || ints->is_null()) || !(floats->is_object() || floats->is_null())) {
    return bad("ints, floats", "objects");
  }
  for (const auto& [name, list] : ints->items()) {
    if (!list.is_array()) return bad("ints", "lists");
    std::vector<std::int64_t>& values = attributes.ints[name];
    for (const Json& value : list) {
      QHX_ASSIGN_OR_RETURN(const std::int64_t number, integer_value(value, "ints"));
      values.push_back(number);
    }
  }
  for (const auto& [name, value] : floats->items()) {
    if (!value.is_number()) return bad("floats", "numbers");
    attributes.floats[name] = value.get<double>();
  }
  return attributes;
}

Result<Node> read_node(const Json& json) {
  Node node;
  QHX_ASSIGN_OR_RETURN(node.name, string_member(json, "name"));
  QHX_ASSIGN_OR_RETURN(node.type, string_member(json, "type"));
  QHX_ASSIGN_OR_RETURN(node.inputs, index_list(json, "in"));
  QHX_ASSIGN_OR_RETURN(node.outputs, index_list(json, "out"));
  QHX_ASSIGN_OR_RETURN(node.attributes, read_attributes(json));
  return node;
}

Result<Graph> read_graph(const Json& json, const std::vector<std::shared_ptr<const Blob>>& blobs) {
  Graph graph;
  QHX_ASSIGN_OR_RETURN(graph.name, string_member(json, "name"));
  QHX_ASSIGN_OR_RETURN(graph.inputs, index_list(json, "inputs"));
  QHX_ASSIGN_OR_RETURN(graph.outputs, index_list(json, "outputs"));
  QHX_ASSIGN_OR_RETURN(const Json* tensors, array_member(json, "tensors", kMostTensors));
  for (const Json& tensor : *tensors) {
    QHX_ASSIGN_OR_RETURN(Tensor read, read_tensor(tensor, blobs));
    QHX_RETURN_IF_ERROR(check_dims(read.dims, read.dtype, "metadata: tensor '" + read.name + "'"));
    graph.tensors.push_back(std::move(read));
  }
  QHX_ASSIGN_OR_RETURN(const Json* nodes, array_member(json, "nodes", kMostTensors));
  for (const Json& node : *nodes) {
    QHX_ASSIGN_OR_RETURN(Node read, read_node(node));
    graph.nodes.push_back(std::move(read));
  }
  for (const auto* list : {&graph.inputs, &graph.outputs}) {
    for (const int index : *list) {
      if (index < 0 || static_cast<std::size_t>(index) >= graph.tensors.size()) {
        return bad("inputs, outputs", "indices of tensors");
      }
    }
  }
  return graph;
}

// Names and ids by which clients find things must tell them apart.
Status check_names(const BinaryContents& contents) {
  std::set<std::string> graphs;
  for (const auto& graph : contents.graphs) {
    if (!graphs.insert(graph->name).second) return bad("graphs", "distinct names");
    std::set<std::string> names;
    std::set<std::uint32_t> ids;
    for (const auto* list : {&graph->inputs, &graph->outputs}) {
      for (const int index : *list) {
        const Tensor& tensor = graph->tensors[static_cast<std::size_t>(index)];
        if (!names.insert(tensor.name).second || !ids.insert(tensor.id).second) {
          return bad("inputs, outputs", "distinct names and ids");
        }
      }
    }
  }
  return {};
}

Result<BinaryContents> read(std::span<const std::byte> bytes, const Header& header,
                            bool with_blobs) {
  QHX_ASSIGN_OR_RETURN(const Json json, read_metadata(bytes, header));
  BinaryContents contents;
  contents.file_bytes = header.file_bytes;
  QHX_ASSIGN_OR_RETURN(contents.build_id, string_member(json, "build"));
  QHX_ASSIGN_OR_RETURN(
      const auto blobs,
      read_sections(json, header, with_blobs ? bytes : std::span<const std::byte>()));
  QHX_ASSIGN_OR_RETURN(const Json* graphs, array_member(json, "graphs", kMostGraphs));
  for (const Json& graph : *graphs) {
    QHX_ASSIGN_OR_RETURN(Graph one, read_graph(graph, blobs));
    if (with_blobs) {
      const Status status = verify_executable(one);
      if (!status.ok()) return corrupt("context binary: " + status.message());
    }
    contents.graphs.push_back(std::make_shared<const Graph>(std::move(one)));
  }
  QHX_RETURN_IF_ERROR(check_names(contents));
  return contents;
}

}  // namespace

Result<BinaryContents> read_binary(std::span<const std::byte> bytes) {
  QHX_ASSIGN_OR_RETURN(const Header header, read_header(bytes));
  if (bytes.size() < header.file_bytes) {
    return out_of_range("context binary: truncated: expected " + std::to_string(header.file_bytes) +
                        " bytes, found " + std::to_string(bytes.size()));
  }
  if (bytes.size() > header.file_bytes) {
    return corrupt("context binary: expected " + std::to_string(header.file_bytes) +
                   " bytes, found " + std::to_string(bytes.size()));
  }
  return read(bytes, header, /*with_blobs=*/true);
}

Result<BinaryContents> read_binary_metadata(std::span<const std::byte> bytes) {
  QHX_ASSIGN_OR_RETURN(const Header header, read_header(bytes));
  return read(bytes, header, /*with_blobs=*/false);
}

}  // namespace qhx::cpu
