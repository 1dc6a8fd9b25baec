// Text graphs over a toy model: whatever way a prompt takes, the result is that of running it token
// by token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "base/f16.h"
#include "base/file.h"
#include "fakes/toy_model.h"
#include "runtime/prompt.h"
#include "runtime/text_runner.h"

namespace qhx::runtime {
namespace {

using fakes::ToyModel;
using fakes::ToyOptions;
using testing::HasSubstr;

manifest::Manifest manifest_for(const ToyOptions& o) {
  manifest::Manifest m;
  m.params.rope_theta = 100;
  m.params.head_dim = o.head_dim;
  m.params.n_kv_heads = o.kv_heads;
  m.params.mrope_section = {o.head_dim / 2, 0, 0};
  if (o.head_dim / 2 >= 3) m.params.mrope_section = {o.head_dim / 2 - 2, 1, 1};
  m.kv.layout = o.head_major ? "head_major" : "token_major";
  return m;
}

Result<TextSpec> spec_of(const ToyModel& model, const manifest::Manifest& m) {
  return make_text_spec(m, model);
}

EmbeddingTable embeddings_for(const ToyOptions& o) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<std::uint16_t> data(o.vocab * o.hidden);
  for (auto& half : data) half = f32_to_f16(uniform(random));
  std::string path = (std::filesystem::temp_directory_path() / "qhx-embed-XXXXXX").string();
  ::close(::mkstemp(path.data()));
  EXPECT_TRUE(write_file(path, std::as_bytes(std::span(data))).ok());
  auto table = std::move(EmbeddingTable::open(path, o.vocab, o.hidden, nullptr)).value();
  std::filesystem::remove(path);
  return table;
}

std::vector<std::int32_t> tokens_of(std::size_t count, const ToyOptions& o) {
  std::vector<std::int32_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<std::int32_t>((i * 7 + 3) % o.vocab);
  return tokens;
}

// Positions that differ between the axes, to catch a mix-up.
std::vector<std::int32_t> positions_of(std::size_t count) {
  std::vector<std::int32_t> positions;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (std::size_t i = 0; i < count; ++i)
      positions.push_back(static_cast<std::int32_t>(i * (axis + 1)));
  }
  return positions;
}

struct Outcome {
  std::vector<float> hidden, logits;
  GraphRuns runs;
  bool operator==(const Outcome& other) const {
    return hidden == other.hidden && logits == other.logits;
  }
};

class Session {
 public:
  explicit Session(const ToyOptions& o, std::size_t decode_tail = 0)
      : model(o), embeddings(embeddings_for(o)) {
    manifest::Manifest m = manifest_for(o);
    m.plan.decode_tail = static_cast<std::uint32_t>(decode_tail);
    const auto spec = spec_of(model, m);
    EXPECT_TRUE(spec.ok()) << spec.status();
    runner = std::move(TextRunner::create(*spec, model)).value();
  }

  // The prompt from `start` on, then two decode steps with fixed tokens.
  Outcome run(std::size_t count, std::size_t start = 0, std::span<const PlacedImage> images = {},
              std::size_t images_end = 0) {
    const auto tokens = tokens_of(count, model.options());
    const auto positions = positions_of(count);
    const auto plan = plan_prompt(runner->spec(), count, start, images_end);
    EXPECT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->start, start);
    Status status = run_prompt(*runner, embeddings, {tokens, positions, images}, plan->chunks, {});
    EXPECT_TRUE(status.ok()) << status;
    for (const std::int32_t id : {1, 2}) {
      const auto at = static_cast<std::int32_t>(runner->cached());
      EXPECT_TRUE(embeddings.row(id, runner->decode().x(0)).ok());
      EXPECT_TRUE(runner->run_decode({at, at, at}).ok());
    }
    Outcome out;
    out.hidden.assign(runner->hidden().begin(), runner->hidden().end());
    const auto logits = *runner->run_head();
    out.logits.assign(logits.begin(), logits.end());
    out.runs = runner->runs();
    return out;
  }

  ToyModel model;
  EmbeddingTable embeddings;
  std::unique_ptr<TextRunner> runner;
};

std::vector<ToyOptions> variants() {
  std::vector<ToyOptions> all;
  for (const bool head_major : {true, false}) {
    for (const bool full_rope : {false, true}) {
      for (const auto type : {QNN_DATATYPE_FLOAT_32, QNN_DATATYPE_FLOAT_16}) {
        ToyOptions o;
        o.head_major = head_major;
        o.full_rope = full_rope;
        o.type = type;
        all.push_back(o);
      }
    }
    ToyOptions o;
    o.head_major = head_major;
    o.int8_cache = true;
    all.push_back(o);
  }
  return all;
}

TEST(Prompt, EveryPathGivesTheResultOfTokenByToken) {
  for (const ToyOptions& with_prefill : variants()) {
    ToyOptions alone = with_prefill, blind = with_prefill;
    alone.prefill_rows = 0;
    blind.prefill_past = false;
    for (const std::size_t count : {1u, 2u, 7u, 8u, 9u, 15u, 16u, 17u, 38u}) {
      const Outcome expected = Session(alone).run(count);
      EXPECT_EQ(expected.runs.decode, count + 2);
      EXPECT_EQ(expected.runs.head, 1u);
      const Outcome chunked = Session(with_prefill).run(count);
      EXPECT_EQ(chunked, expected) << count;
      EXPECT_EQ(chunked.runs.prefill, (count + 7) / 8);
      EXPECT_EQ(chunked.runs.decode, 2u);
      EXPECT_EQ(Session(with_prefill, 3).run(count), expected) << count;
      const Outcome once = Session(blind).run(count);
      EXPECT_EQ(once, expected) << count;
      EXPECT_EQ(once.runs.prefill, 1u);
      EXPECT_EQ(once.runs.decode, (count > 8 ? count - 8 : 0) + 2);
    }
  }
}

TEST(Prompt, KeepsAPrefixAndDropsTheRest) {
  for (const ToyOptions& o : variants()) {
    const Outcome expected = Session(o).run(20);
    for (const std::size_t keep : {0u, 1u, 7u, 8u, 13u, 19u}) {
      Session session(o);
      (void)session.run(20);
      session.runner->truncate(keep);
      EXPECT_EQ(session.run(20, keep), expected) << keep;
    }
  }
}

ImageFeatures features(std::size_t tokens, const ToyOptions& o) {
  ImageFeatures f;
  f.tokens = tokens;
  std::mt19937 random(9);
  std::uniform_real_distribution<float> uniform(-1, 1);
  f.embeds.resize(tokens * o.hidden);
  f.deepstack.resize(o.deepstack);
  for (auto& value : f.embeds) value = f16_to_f32(f32_to_f16(uniform(random)));
  for (auto& rows : f.deepstack) {
    rows.resize(tokens * o.hidden);
    for (auto& value : rows) value = f16_to_f32(f32_to_f16(uniform(random)));
  }
  return f;
}

TEST(Prompt, PictureRowsGoToTheirTokensInAnyChunking) {
  ToyOptions o;
  o.deepstack = 2;
  const auto f = std::make_shared<const ImageFeatures>(features(6, o));
  const PlacedImage images[] = {{3, f}, {12, f}};
  o.prefill_rows = 32;
  const Outcome whole = Session(o).run(24, 0, images, 18);
  o.prefill_rows = 5;
  EXPECT_EQ(Session(o).run(24, 0, images, 18), whole);
  EXPECT_NE(Session(o).run(24), whole);
  // Deepstack rows do not stay behind for the next prompt.
  Session session(o);
  (void)session.run(24, 0, images, 18);
  session.runner->truncate(0);
  EXPECT_EQ(session.run(24), Session(o).run(24));
}

TEST(Prompt, DeepstackShowsInTheResult) {
  ToyOptions o;
  o.deepstack = 1;
  o.prefill_rows = 16;
  auto f = features(4, o);
  const PlacedImage with[] = {{2, std::make_shared<const ImageFeatures>(f)}};
  std::fill(f.deepstack[0].begin(), f.deepstack[0].end(), 0.0f);
  const PlacedImage without[] = {{2, std::make_shared<const ImageFeatures>(f)}};
  // The toy's deepstack rows change y at their own tokens only, so the picture ends the prompt.
  Session a(o), b(o);
  const auto hidden = [](Session& s, std::span<const PlacedImage> images) {
    const auto tokens = tokens_of(6, s.model.options());
    const auto chunks = plan_prompt(s.runner->spec(), 6, 0, 6)->chunks;
    EXPECT_TRUE(
        run_prompt(*s.runner, s.embeddings, {tokens, positions_of(6), images}, chunks, {}).ok());
    return std::vector<float>(s.runner->hidden().begin(), s.runner->hidden().end());
  };
  EXPECT_NE(hidden(a, with), hidden(b, without));
}

TEST(Prompt, StopsBetweenExecutionsOnRequest) {
  ToyOptions o;
  Session session(o);
  const auto tokens = tokens_of(24, o);
  const auto positions = positions_of(24);
  int asked = 0;
  const auto chunks = plan_prompt(session.runner->spec(), 24, 0, 0)->chunks;
  const Status status = run_prompt(*session.runner, session.embeddings, {tokens, positions, {}},
                                   chunks, [&] { return ++asked == 3; });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(session.runner->runs().prefill, 2u);
  EXPECT_EQ(session.runner->cached(), 16u);
}

TEST(Prompt, AFailedExecutionIsReported) {
  ToyOptions o;
  Session session(o);
  session.model.before = [](Role) { return backend_error("broken"); };
  const auto tokens = tokens_of(3, o);
  const auto positions = positions_of(3);
  const auto chunks = plan_prompt(session.runner->spec(), 3, 0, 0)->chunks;
  EXPECT_EQ(
      run_prompt(*session.runner, session.embeddings, {tokens, positions, {}}, chunks, {}).code(),
      StatusCode::kBackend);
  EXPECT_EQ(session.runner->cached(), 0u);
}

TEST(Prompt, IdsOutsideTheTableAreRefused) {
  ToyOptions o;
  Session session(o);
  const std::vector<std::int32_t> tokens = {1, 50};
  const auto positions = positions_of(2);
  const auto chunks = plan_prompt(session.runner->spec(), 2, 0, 0)->chunks;
  EXPECT_EQ(
      run_prompt(*session.runner, session.embeddings, {tokens, positions, {}}, chunks, {}).code(),
      StatusCode::kOutOfRange);
}

// ---- Contradictions between graphs and manifest ----

Status spec_status(const std::function<void(ToyModel&, manifest::Manifest&)>& change) {
  ToyOptions o;
  o.deepstack = 1;
  ToyModel model(o);
  manifest::Manifest m = manifest_for(o);
  change(model, m);
  return spec_of(model, m).status();
}

qnn::TensorInfo& input(ToyModel& model, Role role, const std::string& name) {
  return const_cast<qnn::TensorInfo&>(*model.graphs.at(role).input(name));
}
qnn::TensorInfo& output(ToyModel& model, Role role, const std::string& name) {
  return const_cast<qnn::TensorInfo&>(*model.graphs.at(role).output(name));
}

TEST(TextSpec, DerivesWhatTheManifestLacks) {
  ToyOptions o;
  for (const bool head_major : {true, false}) {
    o.head_major = head_major;
    ToyModel model(o);
    manifest::Manifest m;
    m.params.rope_theta = 100;
    const auto spec = spec_of(model, m);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->hidden, 8u);
    EXPECT_EQ(spec->vocab, 50u);
    EXPECT_EQ(spec->layers, 2u);
    EXPECT_EQ(spec->head_dim, 6u);
    EXPECT_EQ(spec->kv.kv_heads, 2u);
    EXPECT_EQ(spec->context, 40u);
    EXPECT_EQ(spec->graphs,
              (std::vector<DecoderShape>{{Role::kPrefill, 0, 8, 40}, {Role::kDecode, 0, 1, 40}}));
    EXPECT_EQ(spec->kv.layout, head_major ? KvLayout::kHeadMajor : KvLayout::kTokenMajor);
  }
}

TEST(TextSpec, ACacheOfIntegersHasAScaleARow) {
  ToyOptions o;
  EXPECT_EQ(spec_of(ToyModel(o), manifest_for(o))->kv.scale_bytes, 0u);
  o.int8_cache = true;
  manifest::Manifest m = manifest_for(o);
  m.kv.dtype = "i8";
  const auto spec = spec_of(ToyModel(o), m);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kv.head_bytes, 6u);
  EXPECT_EQ(spec->kv.scale_bytes, 4u);
  EXPECT_EQ(kv_name(spec->kv, 6), "k_scale_1");

  const auto refused = [&](auto change) {
    ToyModel model(o);
    change(model);
    return spec_of(model, m).status();
  };
  const Status missing = refused(
      [](ToyModel& model) { input(model, Role::kDecode, "past_k_scale_0").name = "scales"; });
  EXPECT_EQ(missing.code(), StatusCode::kUnsupported);
  EXPECT_THAT(missing.message(), HasSubstr("past_k_scale_0: missing"));
  const Status shape = refused([](ToyModel& model) {
    input(model, Role::kPrefill, "past_v_scale_1").dims = {2, 39};
  });
  EXPECT_EQ(shape.code(), StatusCode::kCorrupt);
  EXPECT_THAT(shape.message(), HasSubstr("past_v_scale_1"));
  const Status type = refused([](ToyModel& model) {
    input(model, Role::kDecode, "past_v_scale_0").type = QNN_DATATYPE_FLOAT_16;
  });
  EXPECT_EQ(type.code(), StatusCode::kCorrupt);
  EXPECT_THAT(type.message(), HasSubstr("FLOAT_16"));
  m.kv.dtype = "f16";
  EXPECT_THAT(refused([](ToyModel&) {}).message(), HasSubstr("INT_8"));
}

TEST(TextSpec, ContradictionsNameTheTensorAndBothValues) {
  struct Case {
    const char* words[2];
    std::function<void(ToyModel&, manifest::Manifest&)> change;
  };
  const Case cases[] = {
      {{"params.hidden", "says 9"}, [](auto&, auto& m) { m.params.hidden = 9; }},
      {{"params.vocab", "says 51"}, [](auto&, auto& m) { m.params.vocab = 51; }},
      {{"params.n_layers", "says 3"}, [](auto&, auto& m) { m.params.n_layers = 3; }},
      {{"params.max_ctx", "says 41"}, [](auto&, auto& m) { m.params.max_ctx = 41; }},
      {{"params.head_dim", "5"}, [](auto&, auto& m) { m.params.head_dim = 5; }},
      {{"params.kv_dim", "13"}, [](auto&, auto& m) { m.params.kv_dim = 13; }},
      {{"params.n_kv_heads", "4"}, [](auto&, auto& m) { m.params.n_kv_heads = 4; }},
      {{"kv.dtype", "FLOAT_16"}, [](auto&, auto& m) { m.kv.dtype = "f32"; }},
      {{"past_k_0", "kv.layout"}, [](auto&, auto& m) { m.kv.layout = "token_major"; }},
      {{"mrope_section", "head_dim"},
       [](auto&, auto& m) {
         m.params.mrope_section = {1, 1, 2};
       }},
      {{"past_v_1", "[2, 39, 6]"},
       [](auto& g, auto&) {
         input(g, Role::kDecode, "past_v_1").dims = {2, 39, 6};
       }},
      {{"graph prefill: input past_k_1", "[2, 41, 6]"},
       [](auto& g, auto&) {
         input(g, Role::kPrefill, "past_k_1").dims = {2, 41, 6};
       }},
      {{"graph prefill: output new_k_0", "[2, 7, 6]"},
       [](auto& g, auto&) {
         output(g, Role::kPrefill, "new_k_0").dims = {2, 7, 6};
       }},
      {{"graph prefill: input mask", "[8, 47]"},
       [](auto& g, auto&) {
         input(g, Role::kPrefill, "mask").dims = {8, 47};
       }},
      {{"graph prefill: input deepstack_0", "[8, 7]"},
       [](auto& g, auto&) {
         input(g, Role::kPrefill, "deepstack_0").dims = {8, 7};
       }},
      {{"graph decode: output y", "[1, 7]"},
       [](auto& g, auto&) {
         output(g, Role::kDecode, "y").dims = {1, 7};
       }},
      {{"graph decode: input sin", "[1, 4]"},
       [](auto& g, auto&) {
         input(g, Role::kDecode, "sin").dims = {1, 4};
       }},
      {{"graph head: input x", "[1, 9]"},
       [](auto& g, auto&) {
         input(g, Role::kHead, "x").dims = {1, 9};
       }},
      {{"new_v_0", "encodings"},
       [](auto& g, auto&) { output(g, Role::kDecode, "new_v_0").type = QNN_DATATYPE_FLOAT_32; }},
  };
  ASSERT_TRUE(spec_status([](auto&, auto&) {}).ok());
  for (const Case& c : cases) {
    const Status status = spec_status(c.change);
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << c.words[0] << ": " << status;
    EXPECT_THAT(status.message(), HasSubstr(c.words[0]));
    EXPECT_THAT(status.message(), HasSubstr(c.words[1]));
  }
}

TEST(TextSpec, GraphsOfAnotherFormAreUnsupported) {
  const auto code = [](auto change) { return spec_status(change).code(); };
  EXPECT_EQ(code([](ToyModel& g, auto&) { input(g, Role::kDecode, "mask").name = "bias"; }),
            StatusCode::kUnsupported);
  EXPECT_EQ(code([](ToyModel& g, auto&) { input(g, Role::kDecode, "past_k_0").name = "p"; }),
            StatusCode::kUnsupported);
  EXPECT_EQ(code([](ToyModel& g, auto&) {
              auto& graph = g.graphs.at(Role::kDecode);
              graph.inputs.push_back(graph.inputs[0]);
              graph.inputs.back().name = "extra";
            }),
            StatusCode::kUnsupported);
  EXPECT_EQ(code([](auto&, manifest::Manifest& m) { m.params.rope_theta = 0; }),
            StatusCode::kUnsupported);
}

TEST(TextRunner, RefusesEdgesItCannotConvert) {
  ToyOptions o;
  ToyModel model(o);
  input(model, Role::kDecode, "x").type = QNN_DATATYPE_INT_32;
  const auto spec = spec_of(model, manifest_for(o));
  ASSERT_TRUE(spec.ok());
  const auto runner = TextRunner::create(*spec, model);
  ASSERT_FALSE(runner.ok());
  EXPECT_THAT(runner.status().message(), HasSubstr("INT_32"));
}

}  // namespace
}  // namespace qhx::runtime
