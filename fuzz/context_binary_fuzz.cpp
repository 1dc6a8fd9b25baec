// Context binaries of the CPU backend: whatever loads must also run.
//
// The first byte chooses: even, the rest is a whole file; odd, the rest is two bytes of tail size
// (in units of 64) and metadata, put into a file with right checksums, since the checksums would
// stop every mutation. The tail is zeros, so seeds with sections hold the checksums of zeros.
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "graph/binary_format.h"
#include "graph/binary_reader.h"
#include "graph/cbor.h"
#include "graph/program.h"
#include "kernels/kernels.h"

namespace {

using qhx::AlignedBuffer;
using qhx::cpu::binary::Header;

// Larger graphs are only loaded: running them would take too long here.
constexpr std::uint64_t kMostElements = 1 << 14;
constexpr std::size_t kMostNodes = 64;

AlignedBuffer file_around(const std::uint8_t* metadata, std::size_t size, std::size_t tail_bytes) {
  const std::size_t head = (sizeof(Header) + size + 4095) / 4096 * 4096;
  AlignedBuffer file(head + tail_bytes);
  if (size > 0) std::memcpy(file.data() + sizeof(Header), metadata, size);
  Header header{.magic = qhx::cpu::binary::kMagic,
                .format_version = qhx::cpu::binary::kFormatVersion,
                .header_bytes = sizeof(Header),
                .file_bytes = file.size(),
                .metadata_offset = sizeof(Header),
                .metadata_bytes = size,
                .sections_offset = head,
                .metadata_checksum =
                    qhx::xxh3_64(file.bytes().subspan(sizeof(Header), head - sizeof(Header))),
                .header_checksum = 0};
  const auto bytes = std::as_bytes(std::span(&header, 1));
  header.header_checksum = qhx::xxh3_64(bytes.first(offsetof(Header, header_checksum)));
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

bool is_small(const qhx::cpu::Graph& graph) {
  std::size_t multiplied = 1;
  for (const qhx::cpu::Tensor& tensor : graph.tensors) {
    if (tensor.elements() > kMostElements) return false;
    if (tensor.packed) multiplied = std::max(multiplied, tensor.packed->n * tensor.packed->k);
  }
  return graph.nodes.size() <= kMostNodes && multiplied <= kMostElements;
}

void execute(const std::shared_ptr<const qhx::cpu::Graph>& graph) {
  static const auto engine =
      std::make_shared<qhx::cpu::Engine>(1, qhx::cpu::supported_kernels().back(), true);
  auto program = qhx::cpu::Program::create(graph, engine);
  if (!program.ok()) return;
  std::vector<AlignedBuffer> buffers;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  const auto buffer_of = [&](int tensor) {
    buffers.emplace_back(graph->tensors[static_cast<std::size_t>(tensor)].size_bytes());
    return buffers.back().data();
  };
  for (const int tensor : graph->inputs) inputs.push_back(buffer_of(tensor));
  for (const int tensor : graph->outputs) outputs.push_back(buffer_of(tensor));
  static_cast<void>((*program)->execute(inputs, outputs).ok());
}

// Numbers, lists of numbers and texts anywhere below `json`.
void collect_leaves(nlohmann::json& json, std::vector<nlohmann::json*>& leaves) {
  if (!json.is_structured()) leaves.push_back(&json);
  for (auto& item : json) {
    if (json.is_structured()) collect_leaves(item, leaves);
  }
}

// A value near the old one, one that sits on a limit, or that of another place.
nlohmann::json changed(const std::vector<nlohmann::json*>& leaves, std::size_t at,
                       std::mt19937& random) {
  const nlohmann::json& old = *leaves[at];
  if (random() % 4 == 0 || !old.is_number_integer()) return *leaves[random() % leaves.size()];
  constexpr std::int64_t kLimits[] = {-1, 0,   1,     2,       3,          7,          8,
                                      16, 255, 65535, 1 << 30, 0x7FFFFFFF, 0xFFFFFFFF, 1ll << 40};
  if (random() % 2 == 0) return kLimits[random() % std::size(kLimits)];
  return old.get<std::int64_t>() + static_cast<std::int64_t>(random() % 5) - 2;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t capacity);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t capacity, unsigned seed) {
  std::mt19937 random(seed);
  if (size <= 3 || data[0] % 2 == 0 || random() % 2 == 0)
    return LLVMFuzzerMutate(data, size, capacity);
  auto parsed = qhx::cpu::parse_cbor(std::as_bytes(std::span(data + 3, size - 3)));
  if (!parsed.ok()) return LLVMFuzzerMutate(data, size, capacity);
  nlohmann::json json = std::move(parsed).value();
  std::vector<nlohmann::json*> leaves;
  collect_leaves(json, leaves);
  if (leaves.empty()) return LLVMFuzzerMutate(data, size, capacity);
  for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
    const std::size_t at = random() % leaves.size();
    *leaves[at] = changed(leaves, at, random);
  }
  const std::vector<std::uint8_t> bytes = nlohmann::json::to_cbor(json);
  if (bytes.size() + 3 > capacity) return size;
  std::memcpy(data + 3, bytes.data(), bytes.size());
  return bytes.size() + 3;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  AlignedBuffer file;
  if (data[0] % 2 == 0) {
    file = AlignedBuffer(size - 1);
    std::memcpy(file.data(), data + 1, size - 1);
  } else {
    file = file_around(data + 3, size - 3, (data[1] + 256u * data[2]) * 64u);
  }
  static_cast<void>(qhx::cpu::read_binary_metadata(file.bytes()).ok());
  const auto contents = qhx::cpu::read_binary(file.bytes());
  if (!contents.ok()) return 0;
  for (const auto& graph : contents->graphs) {
    if (is_small(*graph)) execute(graph);
  }
  return 0;
}
