// What the fake device libraries count, and where a test tells them to fail. A test finds both
// structs with dlsym(), as "fake_memory" and "fake_device".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

// Of libcdsprpc.so.
struct FakeMemory {
  int allocations = 0, frees = 0;
  int maps = 0, unmaps = 0;
  int freed_while_mapped = 0;
  int fail_allocation = 0;  // which one fails, from 1 on
  int allocation_calls = 0;
  // A device's view of a descriptor; null for one that is none. Each map needs its unmap.
  std::byte* (*map)(int fd) = nullptr;
  void (*unmap)(int fd) = nullptr;
};

// Of libFakeHtp.so.
struct FakeDevice {
  // Registrations, those that were for the same memory and tensor as a living one, and calls of
  // memRegister that were refused.
  int registrations = 0, deregistrations = 0, repeated = 0, refused = 0;
  int fail_registration = 0;  // which call fails, from 1 on; -1: all of them
  std::uint64_t registration_error = 0;
  int executions = 0, fail_execution = 0;
  // Tensors of executions: by handle, as raw buffers, by a handle that is not registered.
  int mapped_tensors = 0, copied_tensors = 0, stale_handles = 0;
  bool infrastructure = true;
  // c: createPowerConfigId, F: fast, r: relaxed, d: destroyPowerConfigId, ?: anything else.
  char votes[64] = "";
  std::uint64_t vote_error = 0;

  void vote(char what) {
    const std::size_t length = std::strlen(votes);
    if (length + 1 < sizeof votes) votes[length] = what;
  }
};
