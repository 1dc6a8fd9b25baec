// The files of a bundle that the host reads itself: the token embeddings and the tables of
// "Stage-F", the patch and position embedding of pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/status.h"
#include "forge/hf/safetensors.h"
#include "manifest/manifest.h"

namespace qhx::forge {

// Writes tensor `name` [rows, columns] as f16, in blocks of whole rows of about 1 MiB, and returns
// the record of the file with a checksum for each block (sha256 stays empty). `progress` is called
// with the elements of each block.
Result<manifest::FileRecord> write_f16_table(const hf::Checkpoint& checkpoint,
                                             const std::string& name,
                                             const std::filesystem::path& file,
                                             const std::function<Status(std::size_t)>& progress);

// Writes a tensor as f32, as it lies in memory (row-major).
Status write_f32_table(const hf::Checkpoint& checkpoint, const std::string& name,
                       const std::filesystem::path& file);

}  // namespace qhx::forge
