// A stand-in for the library by which Android's CPU and DSP share memory. It hands out memory full
// of rubbish and counts what becomes of it.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>

#include "fakes/fake_device.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT FakeMemory fake_memory;
FakeMemory fake_memory;

namespace {

struct Block {
  void* data;
  int maps = 0;
};
std::mutex mutex;
std::map<int, Block> blocks;  // by descriptor
int next_descriptor = 1000;

std::byte* map_block(int fd) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = blocks.find(fd);
  if (found == blocks.end()) return nullptr;
  ++found->second.maps;
  ++fake_memory.maps;
  return static_cast<std::byte*>(found->second.data);
}

void unmap_block(int fd) {
  const std::lock_guard<std::mutex> lock(mutex);
  ++fake_memory.unmaps;
  if (const auto found = blocks.find(fd); found != blocks.end()) --found->second.maps;
}

const bool filled = [] {
  fake_memory.map = map_block;
  fake_memory.unmap = unmap_block;
  return true;
}();

}  // namespace

EXPORT void* rpcmem_alloc(int heap, std::uint32_t flags, int size) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (++fake_memory.allocation_calls == fake_memory.fail_allocation) return nullptr;
  if (!filled || heap != 25 || flags != 1 || size <= 0) return nullptr;
  constexpr std::size_t kPage = 4096;
  const std::size_t bytes = (static_cast<std::size_t>(size) + kPage - 1) / kPage * kPage;
  void* data = std::aligned_alloc(kPage, bytes);
  std::memset(data, 0xA5, bytes);
  blocks[next_descriptor++] = {data};
  ++fake_memory.allocations;
  return data;
}

EXPORT void rpcmem_free(void* data) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (auto block = blocks.begin(); block != blocks.end(); ++block) {
    if (block->second.data != data) continue;
    if (block->second.maps > 0) ++fake_memory.freed_while_mapped;
    ++fake_memory.frees;
    std::free(data);
    blocks.erase(block);
    return;
  }
}

EXPORT int rpcmem_to_fd(void* data) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto& [fd, block] : blocks) {
    if (block.data == data) return fd;
  }
  return -1;
}
