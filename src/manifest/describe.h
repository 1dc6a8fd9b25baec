// The manifest's keys, told once: reading, writing and listing are visitors of this description, so
// that they cannot drift apart.
//
// A visitor stands for one JSON object and offers: integer(), number(), text(), texts(), choice(),
// path(), list(), ids(), hashes(), object(), each(), steps(), names() and around(). kWrites tells
// the writer from the reader.
#pragma once

#include <limits>

#include "manifest/manifest.h"

namespace qhx::manifest {

// Bounds of an integer. Zero, where the bounds allow it, means "not recorded" and is not written.
struct Bounds {
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::uint32_t>::max();
};
inline constexpr Bounds kAnyU32{};
inline constexpr Bounds kAnyU64{0, std::numeric_limits<std::uint64_t>::max()};
// Far above any real model; keeps products of a few sizes inside 64 bits.
inline constexpr Bounds kSize{1, 1u << 24};
inline constexpr Bounds kPixels{1, 1u << 16};
inline constexpr Bounds kTokenId{0, std::numeric_limits<std::int32_t>::max()};

struct NumberBounds {
  double min = 0;
  double max = 0;
};

template <class V>
void describe_model(V& v, Model& m) {
  v.text("name", m.name);
  v.text("family", m.family);
  v.text("dsp_arch", m.dsp_arch);
  v.integer("soc_model", m.soc_model, kAnyU32);
  v.text("qnn_build", m.qnn_build);
}

template <class V>
void describe_params(V& v, Params& p) {
  v.integer("hidden", p.hidden, kSize);
  v.integer("vocab", p.vocab, kSize);
  v.integer("n_layers", p.n_layers, kSize);
  v.integer("n_heads", p.n_heads, kSize);
  v.integer("n_kv_heads", p.n_kv_heads, kSize);
  v.integer("kv_dim", p.kv_dim, kSize);
  v.integer("head_dim", p.head_dim, kSize);
  v.integer("max_ctx", p.max_ctx, kSize);
  v.number("rope_theta", p.rope_theta, NumberBounds{1, 1e12}, /*unset=*/0.0);
  v.list("mrope_section", p.mrope_section, 3, kAnyU32);
  v.ids("eos_token_id", p.eos_token_id);
  v.integer("image_token_id", p.image_token_id, kTokenId);
  v.integer("vision_start_token_id", p.vision_start_token_id, kTokenId);
  v.integer("vision_end_token_id", p.vision_end_token_id, kTokenId);
}

template <class V>
void describe_vision(V& v, Vision& vision) {
  std::array<std::uint32_t, 2> image = {vision.width, vision.height};
  v.required_list("image", image, kPixels);
  vision.width = image[0];
  vision.height = image[1];
  v.required_integer("patch", vision.patch, kPixels);
  v.required_integer("merge", vision.merge, kPixels);
  v.required_integer("temporal", vision.temporal, kPixels);
  v.choice("resize", vision.resize, {"stretch", "letterbox"});
  v.list("pad", vision.pad, Bounds{0, 255});
  v.list("mean", vision.mean, NumberBounds{-1e6, 1e6});
  v.list("std", vision.std, NumberBounds{1e-6, 1e6});
  v.integer("hidden", vision.hidden, kSize);
  v.integer("position_grid", vision.position_grid, kPixels);
}

template <class V>
void describe_file(V& v, FileRecord& file) {
  v.integer("bytes", file.bytes, kAnyU64);
  v.sha256("sha256", file.sha256);
  v.integer("block_bytes", file.block_bytes, kAnyU64);
  v.hashes("block_xxh3", file.block_xxh3);
}

// Whether a file told twice was told differently.
inline bool contradicts(const FileRecord& first, const FileRecord& second) {
  return (first.bytes != 0 && first.bytes != second.bytes) ||
         (!first.sha256.empty() && first.sha256 != second.sha256);
}

// Context binaries by role. What an entry tells of its file goes to the records of all files.
template <class V>
void describe_contexts(V& v, const char* key, std::map<std::string, std::string>& contexts,
                       std::map<std::string, FileRecord>& files) {
  v.each(key, contexts, [&files](V& entry, std::string& file) {
    entry.required_path("bin", file);
    FileRecord& record = files[file];
    const FileRecord before = record;
    entry.integer("bytes", record.bytes, kAnyU64);
    entry.sha256("sha256", record.sha256);
    if (contradicts(before, record)) entry.fail("differs from what another role says of the file");
    entry.choice("activations", record.activations, {"int8", "mixed", "wide", "int16"});
  });
}

template <class V>
void describe_artifacts(V& v, Artifacts& a) {
  describe_contexts(v, "contexts", a.contexts, a.files);
  describe_contexts(v, "emulation", a.emulation, a.files);
  v.path("embed", a.embed);
  v.path("tokenizer", a.tokenizer);
  v.path("patch_embed", a.patch_embed);
  v.path("patch_embed_bias", a.patch_embed_bias);
  v.path("pos_embed", a.pos_embed);
  if constexpr (V::kWrites) {
    // What the contexts' entries have told is not told again; the writer works on a copy.
    for (const auto* contexts : {&a.contexts, &a.emulation}) {
      for (const auto& [role, file] : *contexts) {
        if (a.files[file].block_xxh3.empty()) a.files.erase(file);
      }
    }
    std::erase_if(a.files, [](const auto& item) { return item.second == FileRecord{}; });
  }
  v.each("files", a.files, [](V& entry, FileRecord& record) {
    const FileRecord before = record;
    describe_file(entry, record);
    if (contradicts(before, record)) {
      entry.fail("differs from what artifacts.contexts says of the same file");
    }
  });
}

template <class V>
void describe_step(V& v, Step& step) {
  v.text("host", step.host);
  v.text("loop", step.loop);
  v.text("graph", step.graph);
  v.text("rope", step.rope);
  v.text("head", step.head);
  v.names("in", step.in);
  v.names("out", step.out);
}

template <class V>
void describe_plan(V& v, Plan& plan) {
  v.object("params", [&plan](V& params) {
    params.text("prefill", plan.prefill);
    params.text("decode", plan.decode);
    params.text("lmhead", plan.lmhead);
    params.text("vision", plan.vision);
    params.texts("graphs", plan.graphs);
    params.integer("decode_tail", plan.decode_tail, kAnyU32);
    params.integer("call_cost", plan.call_cost, kAnyU32);
  });
  v.steps("steps", plan.steps, [](V& entry, Step& step) { describe_step(entry, step); });
}

template <class V>
void describe_sampling(V& v, Sampling& s) {
  v.number("temperature", s.temperature, NumberBounds{0, 1e4});
  v.integer("top_k", s.top_k, Bounds{0, 1u << 30}, /*always=*/true);
  v.number("top_p", s.top_p, NumberBounds{0, 1});
  v.number("min_p", s.min_p, NumberBounds{0, 1});
  v.number("repetition_penalty", s.repetition_penalty, NumberBounds{1e-3, 1e3});
}

template <class V>
void describe_chat(V& v, Chat& chat) {
  v.ids("bos", chat.bos);
  v.around("system", chat.system);
  v.around("user", chat.user);
  v.around("assistant", chat.assistant);
  v.around("tool", chat.tool);
  v.around("tools", chat.tools);
  v.around("tool_call", chat.tool_call);
  v.text("gen_prefill", chat.gen_prefill);
  v.text("vision_start", chat.vision_start);
  v.text("vision_pad", chat.vision_pad);
  v.text("vision_end", chat.vision_end);
}

template <class V>
void describe(V& v, Manifest& m) {
  v.version("schema_version", m.schema_version);
  v.object("model", [&m](V& o) { describe_model(o, m.model); });
  v.object("params", [&m](V& o) { describe_params(o, m.params); });
  v.optional_object("vision", m.vision, [](V& o, Vision& vision) { describe_vision(o, vision); });
  v.object("artifacts", [&m](V& o) { describe_artifacts(o, m.artifacts); });
  v.object("plan", [&m](V& o) { describe_plan(o, m.plan); });
  v.object("kv", [&m](V& o) {
    o.choice("dtype", m.kv.dtype, {"f16", "f32", "i8", "u8", "i16", "u16"});
    o.choice("layout", m.kv.layout, {"token_major", "head_major"});
  });
  v.object("sampling", [&m](V& o) { describe_sampling(o, m.sampling); });
  v.flagged_object("chat", m.chat.present, [&m](V& o) { describe_chat(o, m.chat); });
}

}  // namespace qhx::manifest
