#include "manifest/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <regex>

#include "base/file.h"

namespace qhx::manifest {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const char* const kFull = R"json({
  "schema_version": 1,
  "made_by": {"tool": "x"},
  "model": {"name": "m", "family": "vlm", "dsp_arch": "v79", "soc_model": 69, "qnn_build": "v2", "extra": [1]},
  "params": {"hidden": 64, "vocab": 512, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "kv_dim": 32,
             "head_dim": 16, "max_ctx": 128, "rope_theta": 5e6, "mrope_section": [4, 2, 2],
             "eos_token_id": [1, 0], "image_token_id": 7, "vision_start_token_id": 5, "vision_end_token_id": 6},
  "vision": {"image": [96, 64], "patch": 16, "merge": 2, "temporal": 2, "resize": "letterbox", "pad": [1, 2, 255],
             "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.1], "hidden": 48, "position_grid": 9},
  "artifacts": {
    "contexts": {"llm": {"bin": "llm.bin", "bytes": 10, "sha256": "", "note": "kept"}, "lmhead": {"bin": "sub/h.bin"}},
    "emulation": {"llm": {"bin": "llm_x86.bin", "bytes": 11}},
    "embed": "e.bin", "tokenizer": "tokenizer.json", "patch_embed": "p.bin", "patch_embed_bias": "b.bin",
    "pos_embed": "q.bin",
    "files": {"e.bin": {"bytes": 65536, "block_bytes": 40000, "block_xxh3": ["00000000000000ff", "fedcba9876543210"]}}},
  "plan": {"params": {"prefill": "prefill_32", "decode": "decode_1", "lmhead": "h", "vision": "v",
                      "graphs": ["decode_1_c64", "llm/prefill_8"], "decode_tail": 4, "call_cost": 9},
           "steps": [{"host": "tokenize", "why": "kept"},
                     {"graph": "vision", "in": {"patches": "f"}, "out": {"deepstack_*": "d"}},
                     {"loop": "decode", "graph": "llm/decode_1", "rope": "rope_decode_f16", "head": "lmhead"}]},
  "kv": {"dtype": "f16", "layout": "head_major"},
  "sampling": {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.1},
  "chat": {"bos": [3], "system": ["<s>", "</s>"], "user": ["<u>", "</u>"], "assistant": ["<a>", "</a>"],
           "tool": ["<t>", "</t>"], "gen_prefill": "<think>", "vision_start": "<v>", "vision_pad": "<p>",
           "vision_end": "</v>"}
})json";

// The full sample with one change.
template <class Change>
std::string with(Change change) {
  json document = json::parse(kFull);
  change(document);
  return document.dump();
}

std::string message(const std::string& text) {
  const auto result = parse_manifest(text, "x.json");
  return result.ok() ? "parsed" : result.status().message();
}

TEST(Manifest, ReadsEveryKey) {
  const auto result = parse_manifest(kFull, "x.json");
  ASSERT_TRUE(result.ok()) << result.status();
  const Manifest& m = *result;
  EXPECT_EQ(m.model.dsp_arch, "v79");
  EXPECT_EQ(m.model.soc_model, 69u);
  EXPECT_EQ(m.params.kv_dim, 32u);
  EXPECT_EQ(m.params.rope_theta, 5e6);
  EXPECT_EQ(m.params.mrope_section, (std::vector<std::uint32_t>{4, 2, 2}));
  EXPECT_EQ(m.params.eos_token_id, (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(m.params.image_token_id, 7);
  ASSERT_TRUE(m.vision.has_value());
  EXPECT_EQ(m.vision->width, 96u);
  EXPECT_EQ(m.vision->height, 64u);
  EXPECT_EQ(m.vision->tokens(), 6u);
  EXPECT_EQ(m.vision->pad, (std::array<std::uint8_t, 3>{1, 2, 255}));
  EXPECT_EQ(m.vision->std[2], 0.1f);
  EXPECT_EQ(m.artifacts.contexts.at("lmhead"), "sub/h.bin");
  EXPECT_EQ(m.artifacts.emulation.at("llm"), "llm_x86.bin");
  EXPECT_EQ(m.artifacts.files.at("llm_x86.bin").bytes, 11u);
  EXPECT_EQ(m.artifacts.files.at("llm.bin").bytes, 10u);
  EXPECT_EQ(m.artifacts.files.at("e.bin").block_xxh3[1], 0xfedcba9876543210u);
  EXPECT_EQ(m.artifacts.files.count("sub/h.bin"), 0u);
  EXPECT_EQ(m.plan.graphs, (std::vector<std::string>{"decode_1_c64", "llm/prefill_8"}));
  EXPECT_EQ(m.plan.call_cost, 9u);
  EXPECT_EQ(m.plan.steps.size(), 3u);
  EXPECT_EQ(m.plan.steps[1].out.at("deepstack_*"), "d");
  EXPECT_EQ(m.plan.steps[2].head, "lmhead");
  EXPECT_EQ(m.kv.layout, "head_major");
  EXPECT_EQ(m.sampling.top_p, 0.8f);
  EXPECT_TRUE(m.chat.present);
  EXPECT_EQ(m.chat.user.second, "</u>");
  EXPECT_EQ(m.chat.bos, std::vector<std::int32_t>{3});
}

TEST(Manifest, AbsentKeysStayUnset) {
  const auto result = parse_manifest(
      R"({"schema_version": 1, "params": {"eos_token_id": 7}, "plan": {"steps": [{"host": "qwen3_generate"}]}})",
      "x.json");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->params.hidden, 0u);
  EXPECT_EQ(result->params.eos_token_id, std::vector<std::int32_t>{7});
  EXPECT_FALSE(result->vision.has_value());
  EXPECT_FALSE(result->chat.present);
  EXPECT_FALSE(result->params.image_token_id.has_value());
}

TEST(Manifest, PrintsWhatItReadAndKeepsUnknownKeys) {
  const Manifest first = std::move(parse_manifest(kFull, "x.json")).value();
  const std::string printed = print_manifest(first).dump(2);
  const auto second = parse_manifest(printed, "x.json");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(print_manifest(*second).dump(2), printed);
  json expected = json::parse(kFull);
  expected["artifacts"]["contexts"]["llm"].erase("sha256");  // empty: not recorded
  EXPECT_EQ(json::parse(printed), expected);
}

TEST(Manifest, PrintsTypedFieldsOverTheSource) {
  Manifest m = std::move(parse_manifest(kFull, "x.json")).value();
  m.params.max_ctx = 999;
  m.params.image_token_id.reset();
  m.vision.reset();
  m.artifacts.contexts["vision"] = "v.bin";
  m.artifacts.files["v.bin"].bytes = 5;
  const auto printed = print_manifest(m);
  EXPECT_EQ(printed["params"]["max_ctx"], 999);
  EXPECT_FALSE(printed["params"].contains("image_token_id"));
  EXPECT_FALSE(printed.contains("vision"));
  EXPECT_EQ(printed["artifacts"]["contexts"]["vision"]["bytes"], 5);
  EXPECT_EQ(printed["artifacts"]["contexts"]["llm"]["note"], "kept");
}

TEST(Manifest, PrintsAManifestThatWasNeverRead) {
  Manifest m;
  m.model.name = "new";
  const auto again = parse_manifest(print_manifest(m).dump(), "x.json");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->model.name, "new");
}

TEST(Manifest, MessagesNameThePathAndBothValues) {
  EXPECT_EQ(message(with([](json& d) { d["params"]["hidden"] = "abc"; })),
            R"(x.json: params.hidden: expected a positive integer, found "abc")");
  EXPECT_EQ(message(with([](json& d) { d["vision"]["mean"][1] = nullptr; })),
            "x.json: vision.mean[1]: expected a number from -1e+06 to 1e+06, found null");
  EXPECT_EQ(message(with([](json& d) { d["plan"]["steps"][1]["in"]["patches"] = 3; })),
            "x.json: plan.steps[1].in.patches: expected a string, found 3");
  EXPECT_EQ(message(with([](json& d) { d["artifacts"]["contexts"]["lmhead"].erase("bin"); })),
            "x.json: artifacts.contexts.lmhead.bin: missing");
}

// Every wrong document: refused by the parser with a message that has `word`, and, where a schema
// can tell, by the schema.
struct Bad {
  const char* word;
  bool schema_can_tell;
  void (*change)(json&);
};
const Bad kBad[] = {
    {"schema_version", true, [](json& d) { d.erase("schema_version"); }},
    {"schema_version", true, [](json& d) { d["schema_version"] = 2; }},
    {"model", true, [](json& d) { d["model"] = 1; }},
    {"model.name", true, [](json& d) { d["model"]["name"] = 1; }},
    {"soc_model", true, [](json& d) { d["model"]["soc_model"] = -1; }},
    {"hidden", true, [](json& d) { d["params"]["hidden"] = 0; }},
    {"hidden", true, [](json& d) { d["params"]["hidden"] = 2.5; }},
    {"hidden", true, [](json& d) { d["params"]["hidden"] = 1e30; }},
    {"max_ctx", true, [](json& d) { d["params"]["max_ctx"] = 4294967297; }},
    {"rope_theta", true, [](json& d) { d["params"]["rope_theta"] = 0; }},
    {"mrope_section", true,
     [](json& d) {
       d["params"]["mrope_section"] = {1, 2};
     }},
    {"eos_token_id", true, [](json& d) { d["params"]["eos_token_id"] = -1; }},
    {"eos_token_id[1]", true, [](json& d) { d["params"]["eos_token_id"][1] = "x"; }},
    {"image_token_id", true, [](json& d) { d["params"]["image_token_id"] = 2147483648; }},
    {"vision.image", true, [](json& d) { d["vision"]["image"] = {512}; }},
    {"vision.image", true, [](json& d) { d["vision"].erase("image"); }},
    {"vision.patch", true, [](json& d) { d["vision"]["patch"] = 0; }},
    {"vision.resize", true, [](json& d) { d["vision"]["resize"] = "crop"; }},
    {"vision.pad[0]", true, [](json& d) { d["vision"]["pad"][0] = 256; }},
    {"vision.std[0]", true, [](json& d) { d["vision"]["std"][0] = 0; }},
    {"contexts", true, [](json& d) { d["artifacts"]["contexts"] = json::array(); }},
    {"contexts.llm", true, [](json& d) { d["artifacts"]["contexts"]["llm"] = "llm.bin"; }},
    {"embed", true, [](json& d) { d["artifacts"]["embed"] = "/etc/passwd"; }},
    {"embed", true, [](json& d) { d["artifacts"]["embed"] = ""; }},
    {"sha256", true, [](json& d) { d["artifacts"]["contexts"]["llm"]["sha256"] = "12"; }},
    {"block_xxh3", true, [](json& d) { d["artifacts"]["files"]["e.bin"]["block_xxh3"][0] = 1; }},
    {"plan.params.graphs", true, [](json& d) { d["plan"]["params"]["graphs"] = "decode_1"; }},
    {"graphs[1]", true, [](json& d) { d["plan"]["params"]["graphs"][1] = 7; }},
    {"steps", true, [](json& d) { d["plan"]["steps"] = json::object(); }},
    {"steps[0]", true, [](json& d) { d["plan"]["steps"][0] = "tokenize"; }},
    {"kv.layout", true, [](json& d) { d["kv"]["layout"] = "sideways"; }},
    {"temperature", true, [](json& d) { d["sampling"]["temperature"] = -0.1; }},
    {"top_p", true, [](json& d) { d["sampling"]["top_p"] = 1.01; }},
    {"chat.user", true, [](json& d) { d["chat"]["user"] = {"a"}; }},
    {"chat.user[1]", true, [](json& d) { d["chat"]["user"][1] = 1; }},
    {"bin", false, [](json& d) { d["artifacts"]["contexts"]["llm"]["bin"] = "../x.bin"; }},
    {"tokenizer", false, [](json& d) { d["artifacts"]["tokenizer"] = "a/../../x"; }},
    {"head_dim", false, [](json& d) { d["params"]["head_dim"] = 15; }},
    {"kv_dim", false, [](json& d) { d["params"]["kv_dim"] = 31; }},
    {"n_kv_heads", false, [](json& d) { d["params"]["n_kv_heads"] = 3; }},
    {"mrope_section", false,
     [](json& d) {
       d["params"]["mrope_section"] = {4, 2, 3};
     }},
    {"vocab", false, [](json& d) { d["params"]["eos_token_id"] = 512; }},
    {"vocab", false, [](json& d) { d["params"]["image_token_id"] = 512; }},
    {"vision.image", false,
     [](json& d) {
       d["vision"]["image"] = {100, 64};
     }},
    {"block", false, [](json& d) { d["artifacts"]["files"]["e.bin"]["bytes"] = 40000; }},
    {"block", false, [](json& d) { d["artifacts"]["files"]["e.bin"].erase("block_bytes"); }},
    {"differs", false, [](json& d) { d["artifacts"]["files"]["llm.bin"]["bytes"] = 11; }},
};

TEST(Manifest, RefusesWhatIsWrong) {
  for (const Bad& bad : kBad) {
    const std::string text = with(bad.change);
    const std::string found = message(text);
    EXPECT_THAT(found, HasSubstr(bad.word)) << text;
    EXPECT_THAT(found, HasSubstr("x.json: "));
    EXPECT_EQ(found.find('\n'), std::string::npos);
  }
}

TEST(Manifest, RefusesWhatIsNoJsonObject) {
  for (const char* text : {"", "{", "[]", "3", "null", "\"x\"", "{\"schema_version\": 1e999}",
                           "{\"schema_version\": 1, \"x\": \"\xff\"}", "\xef\xbb\xbf{", "{}x"}) {
    EXPECT_NE(message(text), "parsed") << text;
  }
  EXPECT_THAT(message(std::string(100000, '[')), HasSubstr("nested"));
  EXPECT_THAT(message(std::string((16 << 20) + 1, ' ')), HasSubstr("16 MiB"));
}

TEST(Manifest, LaterVersionIsUnsupportedNotCorrupt) {
  const auto result = parse_manifest(R"({"schema_version": 2})", "x.json");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kUnsupported);
}

TEST(Manifest, MissingFileIsNamed) {
  const auto result = load_manifest("/nonexistent/x.json");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(result.status().message(), HasSubstr("/nonexistent/x.json"));
}

// ---- The schema file, held to the parser. ----

json schema() { return json::parse(std::move(read_file(QHX_SCHEMA_FILE)).value()); }

// Paths of all properties, spelled as known_keys() spells them.
void collect(const json& node, const std::string& path, std::vector<std::string>& out) {
  const std::string dot = path.empty() ? "" : path + ".";
  if (node.contains("properties")) {
    for (const auto& [key, child] : node["properties"].items()) {
      out.push_back(dot + key);
      collect(child, dot + key, out);
    }
  }
  if (node.contains("additionalProperties")) collect(node["additionalProperties"], dot + "*", out);
  if (node.contains("items")) collect(node["items"], path + "[]", out);
}

TEST(ManifestSchema, HasExactlyTheKeysOfTheParser) {
  std::vector<std::string> in_schema, in_parser = known_keys();
  collect(schema(), "", in_schema);
  std::sort(in_schema.begin(), in_schema.end());
  std::sort(in_parser.begin(), in_parser.end());
  EXPECT_EQ(in_schema, in_parser);
}

bool has_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  ADD_FAILURE() << "type " << type << " is not known to this test";
  return false;
}

// The part of JSON Schema that the file uses.
bool valid(const json& schema, const json& value) {
  if (schema.contains("const") && schema["const"] != value) return false;
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return false;
  if (schema.contains("anyOf"))
    return std::any_of(schema["anyOf"].begin(), schema["anyOf"].end(),
                       [&](const json& option) { return valid(option, value); });
  if (schema.contains("type") && !has_type(value, schema["type"])) return false;
  if (value.is_number()) {
    if (schema.contains("minimum") && value < schema["minimum"]) return false;
    if (schema.contains("maximum") && value > schema["maximum"]) return false;
  }
  if (value.is_string() && schema.contains("pattern") &&
      !std::regex_search(value.get<std::string>(), std::regex(std::string(schema["pattern"]))))
    return false;
  if (value.is_array()) {
    if (schema.contains("minItems") && value.size() < schema["minItems"]) return false;
    if (schema.contains("maxItems") && value.size() > schema["maxItems"]) return false;
    for (const json& item : value) {
      if (schema.contains("items") && !valid(schema["items"], item)) return false;
    }
  }
  if (!value.is_object()) return true;
  for (const json& key : schema.value("required", json::array())) {
    if (!value.contains(std::string(key))) return false;
  }
  for (const auto& [key, child] : value.items()) {
    const json* rule = nullptr;
    if (schema.contains("properties") && schema["properties"].contains(key))
      rule = &schema["properties"][key];
    else if (schema.contains("additionalProperties"))
      rule = &schema["additionalProperties"];
    if (rule != nullptr && !valid(*rule, child)) return false;
  }
  return true;
}

TEST(ManifestSchema, AgreesWithTheParserOnSamples) {
  const json rules = schema();
  EXPECT_TRUE(valid(rules, json::parse(kFull)));
  EXPECT_TRUE(valid(rules, json::parse(R"({"schema_version": 1})")));
  const Manifest full = std::move(parse_manifest(kFull, "x.json")).value();
  EXPECT_TRUE(valid(rules, json::parse(print_manifest(full).dump())));
  for (const Bad& bad : kBad) {
    if (!bad.schema_can_tell) continue;
    const std::string text = with(bad.change);
    EXPECT_FALSE(valid(rules, json::parse(text))) << bad.word << ": " << text;
  }
}

TEST(ManifestsIn, OtherJsonIsNoManifest) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("manifests-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  EXPECT_EQ(manifests_in(folder).status().code(), StatusCode::kNotFound);
  const auto put = [&](const char* name, std::string_view text) {
    ASSERT_TRUE(write_file(folder / name, text).ok());
  };
  put("b.json", kFull);
  put("a.json", R"({"schema_version": 1, )");  // broken, but it wants to be one
  put("verified.json", R"({"schema_version": 1, "files": {}})");
  put("tokenizer.json", R"({"version": "1.0"})");
  put("copy.txt", kFull);
  const auto found = manifests_in(folder);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, (std::vector<fs::path>{folder / "a.json", folder / "b.json"}));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace qhx::manifest
