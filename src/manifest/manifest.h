// The manifest: a bundle's declarative run plan (schema_version 1), as a typed model.
//
// docs/manifest.md is the specification and docs/manifest.schema.json the same for machines; a test
// holds all three together. Reading is tolerant (unknown keys are kept and written back, what is
// absent and derivable stays unset) and strict where it matters: a known key with a wrong type or
// an impossible value is an error that names its JSON path.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace qhx::manifest {

struct Model {
  std::string name;             // "qwen3-vl-2b"
  std::string family;           // "vlm" or "llm"
  std::string dsp_arch;         // "v75", "v79", "v81"; "cpu" for our CPU library
  std::uint32_t soc_model = 0;  // 0: not pinned
  std::string qnn_build;  // build id of the library that made the binaries; empty: not recorded
};

// Sizes of the text model. Zero or empty: not in the manifest, taken from the graphs.
struct Params {
  std::uint32_t hidden = 0;
  std::uint32_t vocab = 0;
  std::uint32_t n_layers = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t n_kv_heads = 0;
  std::uint32_t kv_dim = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t max_ctx = 0;  // rows of the KV cache
  double rope_theta = 0;
  std::vector<std::uint32_t>
      mrope_section;  // pairs of channels turned by (t, h, w); empty: plain RoPE
  std::vector<std::int32_t> eos_token_id;  // generation stops after any of these
  std::optional<std::int32_t> image_token_id;
  std::optional<std::int32_t> vision_start_token_id;
  std::optional<std::int32_t> vision_end_token_id;
};

// Geometry of the picture path; present for family "vlm".
struct Vision {
  std::uint32_t width = 0,
                height = 0;  // of the picture the vision graph takes; JSON "image": [width, height]
  std::uint32_t patch = 0;   // pixels
  std::uint32_t merge = 0;   // patches merged into one token: merge x merge
  std::uint32_t temporal = 0;      // frames in one patch; a still picture is repeated
  std::string resize = "stretch";  // or "letterbox": keep the aspect, pad with `pad`
  std::array<std::uint8_t, 3> pad = {0, 0, 0};
  std::array<float, 3> mean = {0.5f, 0.5f, 0.5f};
  std::array<float, 3> std = {0.5f, 0.5f, 0.5f};
  std::uint32_t hidden = 0;         // width of the vision graph's input after Stage-F
  std::uint32_t position_grid = 0;  // the position table is position_grid x position_grid

  std::uint32_t patches() const { return (width / patch) * (height / patch); }
  std::uint32_t tokens() const { return patches() / (merge * merge); }
};

// One file of the bundle, for integrity. Paths are relative to the bundle's folder and stay inside
// it.
struct FileRecord {
  std::uint64_t bytes = 0;
  std::string sha256;  // empty: not recorded
  // Checksums of consecutive blocks (XXH3-64), so that a mapped table is verified where it is
  // touched, not whole.
  std::uint64_t block_bytes = 0;
  std::vector<std::uint64_t> block_xxh3;
  // Of a context binary: what quality allows its linears with integer weights to multiply, where
  // the library has a choice: "int8", "mixed", "wide", "int16" (docs/manifest.md). Empty: none.
  std::string activations;

  bool operator==(const FileRecord&) const = default;
};

// Graphs of up to so many rows compute as a graph of one row does, whatever FileRecord::activations
// says.
inline constexpr std::size_t kExactRows = 16;

struct Artifacts {
  std::map<std::string, std::string>
      contexts;  // role ("vision", "llm", "lmhead") -> file; JSON {role: {"bin": file}}
  // Files with the same graphs for libraries that run them in emulation and cannot load those of
  // `contexts`; only roles that need one.
  std::map<std::string, std::string> emulation;
  std::string embed;  // f16 [vocab, hidden]
  std::string tokenizer;
  std::string
      patch_embed;  // f32 [hidden_v, channels * temporal * patch * patch]; empty: in the graph
  std::string patch_embed_bias;             // f32 [hidden_v]
  std::string pos_embed;                    // f32 [position_grid^2, hidden_v]
  std::map<std::string, FileRecord> files;  // by file name; JSON "files"
};

// One step of the plan, in order: a host op, a graph with bindings, or a loop.
struct Step {
  std::string host;   // "tokenize", "image_patches", "patch_embed", "embed_scatter", "mrope"; empty
                      // for graph steps
  std::string loop;   // "prefill" or "decode"; empty for single steps
  std::string graph;  // "role" or "role/graph_name"
  std::string rope;   // decode: host op that fills the tables ("rope_decode_f16"); informative
  std::string head;   // decode: role of the head's context
  std::map<std::string, std::string> in, out;  // tensor (may end in *) -> name in the plan
};

struct Plan {
  std::string prefill, decode, lmhead,
      vision;  // graph names inside the contexts; prefill empty: decode over the prompt
  // Further graphs of the decoder, for other lengths of context or of prefill calls; which is which
  // their shapes tell. `prefill` and `decode` are those of the largest context.
  std::vector<std::string> graphs;
  // The rest of a prompt that has at most so many tokens goes through decode, one by one, where
  // that is cheaper than a prefill call that is mostly padding. Never pictures.
  std::uint32_t decode_tail = 0;
  // What a call of a decoder graph costs besides its rows, in rows of a long call: what it takes to
  // read the weights. 0: not in the manifest.
  std::uint32_t call_cost = 0;
  std::vector<Step> steps;
};

// How the KV cache lies in memory. past_k_i and past_v_i have the same layout. Empty: not in the
// manifest, taken from the graphs.
struct Kv {
  std::string dtype;   // "f16" …
  std::string layout;  // "token_major": [C, kv_heads * head_dim]; "head_major": [kv_heads, C,
                       // head_dim]
};

struct Sampling {
  float temperature = 0.0f;  // 0: greedy
  std::int32_t top_k = 0;    // 0: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
};

// Text around each turn: [before, after].
struct Chat {
  std::pair<std::string, std::string> system, user, assistant;
  // Around one tool's answer inside a user turn; around the declarations of tools; around the JSON
  // of one call.
  std::pair<std::string, std::string> tool, tools, tool_call;
  // Around one picture: start, the token repeated for each merged patch, end.
  std::string vision_start, vision_pad, vision_end;
  std::vector<std::int32_t> bos;  // ids before the whole prompt
  std::string gen_prefill;        // text that opens every answer, after assistant's marker
  bool present = false;
};

struct Manifest {
  std::int32_t schema_version = 1;
  Model model;
  Params params;
  std::optional<Vision> vision;
  Artifacts artifacts;
  Plan plan;
  Kv kv;
  Sampling sampling;
  Chat chat;
  nlohmann::json source;  // the document as read: unknown keys live here and are written back
};

// `name` is the file name for messages. Never throws.
Result<Manifest> parse_manifest(std::string_view json, std::string_view name);
Result<Manifest> load_manifest(const std::filesystem::path& path);

// The proof that may lie in a bundle; it has a schema_version of its own.
inline constexpr const char* kVerifiedFile = "verified.json";

// The files of a folder that want to be manifests, by name: JSON that speaks of a schema_version,
// damaged or not. kNotFound if there are none.
Result<std::vector<std::filesystem::path>> manifests_in(const std::filesystem::path& folder);

// Every file that the artifacts name, with the key that names it: "artifacts.contexts.llm.bin" …
// Not those for emulation, which a device does without.
std::vector<std::pair<std::string, std::string>> named_files(const Artifacts& artifacts);

// The document for a manifest: `source` with every typed field written over it. parse(print(m)) ==
// m.
nlohmann::ordered_json print_manifest(const Manifest& manifest);

// Every key that is read and written, as paths: "params.hidden", "artifacts.contexts.*.bin",
// "plan.steps[].host". For the test that holds the schema file to the parser.
std::vector<std::string> known_keys();

}  // namespace qhx::manifest
