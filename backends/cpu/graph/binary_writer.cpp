#include "graph/binary_writer.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/hash.h"
#include "graph/binary_format.h"

namespace qhx::cpu {
namespace {

using Json = nlohmann::json;
using Blobs = std::vector<std::shared_ptr<const Blob>>;

constexpr std::uint64_t kPage = 4096;

// Distinct blobs in order of first use, large ones first: those fill whole pages, so that no
// section needs a gap before it.
Blobs collect_blobs(std::span<const std::shared_ptr<const Graph>> graphs) {
  Blobs blobs;
  std::map<const Blob*, bool> seen;
  for (const auto& graph : graphs) {
    for (const Tensor& tensor : graph->tensors) {
      if (tensor.blob != nullptr && seen.try_emplace(tensor.blob.get(), true).second)
        blobs.push_back(tensor.blob);
    }
  }
  std::stable_partition(blobs.begin(), blobs.end(), [](const auto& blob) {
    return blob_alignment(blob->bytes().size()) == kPage;
  });
  return blobs;
}

Json tensor_json(const Tensor& tensor, const std::map<const Blob*, std::size_t>& number) {
  Json json = {{"id", tensor.id},
               {"name", tensor.name},
               {"role", static_cast<int>(tensor.role)},
               {"dtype", static_cast<int>(tensor.dtype)},
               {"dims", tensor.dims}};
  if (tensor.blob != nullptr) json["section"] = number.at(tensor.blob.get());
  if (tensor.packed) {
    json["packed"] = {static_cast<int>(tensor.packed->type), tensor.packed->n, tensor.packed->k,
                      tensor.packed->group};
  }
  return json;
}

Json node_json(const Node& node) {
  return {{"name", node.name},
          {"type", node.type},
          {"in", node.inputs},
          {"out", node.outputs},
          {"ints", node.attributes.ints},
          {"floats", node.attributes.floats}};
}

Json graph_json(const Graph& graph, const std::map<const Blob*, std::size_t>& number) {
  Json json = {{"name", graph.name}, {"inputs", graph.inputs}, {"outputs", graph.outputs}};
  json["tensors"] = Json::array();
  for (const Tensor& tensor : graph.tensors) json["tensors"].push_back(tensor_json(tensor, number));
  json["nodes"] = Json::array();
  for (const Node& node : graph.nodes) json["nodes"].push_back(node_json(node));
  return json;
}

std::vector<std::uint8_t> metadata(std::span<const std::shared_ptr<const Graph>> graphs,
                                   const Blobs& blobs, const std::string& build_id) {
  std::map<const Blob*, std::size_t> number;
  Json json = {{"build", build_id}, {"sections", Json::array()}, {"graphs", Json::array()}};
  for (const auto& blob : blobs) {
    number.emplace(blob.get(), number.size());
    json["sections"].push_back({blob->bytes().size(), blob->checksum()});
  }
  for (const auto& graph : graphs) json["graphs"].push_back(graph_json(*graph, number));
  return Json::to_cbor(json);
}

}  // namespace

BinaryImage::BinaryImage(std::span<const std::shared_ptr<const Graph>> graphs,
                         const std::string& build_id) {
  const Blobs blobs = collect_blobs(graphs);
  const std::vector<std::uint8_t> meta = metadata(graphs, blobs, build_id);
  const std::uint64_t head_bytes =
      (sizeof(binary::Header) + meta.size() + kPage - 1) / kPage * kPage;
  std::uint64_t offset = head_bytes;
  for (const auto& blob : blobs) {
    QHX_CHECK(offset % blob_alignment(blob->bytes().size()) == 0);
    sections_.push_back({blob, offset});
    offset += blob->padded().size();
  }
  size_bytes_ = offset;

  head_.assign(head_bytes, std::byte{0});
  std::memcpy(head_.data() + sizeof(binary::Header), meta.data(), meta.size());
  binary::Header header{.magic = binary::kMagic,
                        .format_version = binary::kFormatVersion,
                        .header_bytes = sizeof(binary::Header),
                        .file_bytes = size_bytes_,
                        .metadata_offset = sizeof(binary::Header),
                        .metadata_bytes = meta.size(),
                        .sections_offset = head_bytes,
                        .metadata_checksum = xxh3_64(
                            std::span<const std::byte>(head_).subspan(sizeof(binary::Header))),
                        .header_checksum = 0};
  const auto bytes = std::as_bytes(std::span(&header, 1));
  header.header_checksum = xxh3_64(bytes.first(sizeof(header) - sizeof(header.header_checksum)));
  std::memcpy(head_.data(), &header, sizeof(header));
}

void BinaryImage::write(std::span<std::byte> to) const {
  QHX_CHECK(to.size() == size_bytes_);
  std::memcpy(to.data(), head_.data(), head_.size());
  for (const Section& section : sections_) {
    const auto bytes = section.blob->padded();
    std::memcpy(to.data() + section.offset, bytes.data(), bytes.size());
  }
}

}  // namespace qhx::cpu
