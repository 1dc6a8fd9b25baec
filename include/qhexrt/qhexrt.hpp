// QHexRT for C++: load a bundle, hold conversations.
//
// An Engine is a loaded bundle: mapped weights, graphs, tokenizer. It is immutable and may be
// shared by sessions on several threads. A Session is one conversation: its tokens and KV cache.
// One thread at a time uses it; only should_cancel lets another one stop it.
//
//   auto engine = qhexrt::Engine::load({.manifest = "qwen3vl-2b-text-512.json"});
//   if (!engine) return report(engine.error);
//   auto session = engine->create_session();
//   auto output = session->generate({.messages = {qhexrt::user("Hello!")}}, {.max_new_tokens =
//   32});
//
// Nothing here throws. Every error is a code and one sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qhexrt {

// The codes are those of the command-line tools (docs/cli.md).
enum class Code : int {
  kOk = 0,
  kInternal = 1,
  kInvalidArgument = 2,
  kNotFound = 3,
  kIo = 4,
  kCorrupt = 5,
  kUnsupported = 6,
  kOutOfRange = 7,
  kBackend = 8,
  kCancelled = 9,
};

struct Error {
  Code code = Code::kOk;
  std::string message;
};

// A value, or the reason why there is none.
template <class T>
struct Outcome {
  std::optional<T> value;
  Error error;

  explicit operator bool() const { return value.has_value(); }
  T& operator*() { return *value; }
  T* operator->() { return &*value; }
};

struct EngineOptions {
  std::string manifest;         // path of the JSON file
  std::string folder;           // of the bundle's files; empty: the manifest's folder
  std::string backend_library;  // as dlopen takes it: libQnnHtp.so, libQhxCpu.so
  std::string system_library;   // libQnnSystem.so, libQhxCpu.so
  // Folder for what pictures and the beginnings of prompts became, so that the next question about
  // a picture is answered sooner, by later processes too. Made if missing, private to the user.
  // Empty: none.
  std::string cache_folder;
  std::uint64_t cache_bytes = 1'000'000'000;  // the least recently used goes first
  int threads = 0;                            // 0: as many as the process may use
  // Reads every file whole before loading and compares it with the manifest's sha256. Without it
  // large ones are verified where they are touched, if they have checksums for that.
  bool verify_hashes = false;
  // In emulation: runs binaries made for another chip than the manifest's. On a device: another SoC
  // of the same arch. ModelInfo::notes says what was let through.
  bool allow_arch_mismatch = false;
  bool allow_low_memory = false;  // loads although the bundle needs more memory than there is
};

// A picture as a file's bytes (JPEG, PNG, WebP, GIF, BMP), or as pixels if width and height are
// set.
struct Picture {
  std::vector<std::uint8_t> file;
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]
};

struct Part {
  std::string text;
  std::optional<Picture> picture;  // if set, the text is ignored
};

enum class Role { kSystem, kUser, kAssistant, kTool };

struct Message {
  Role role = Role::kUser;
  std::vector<Part> parts;
};
Message user(std::string text);

// What is to be continued: a conversation, or text as it is.
struct Prompt {
  std::vector<Message> messages;
  // Without a chat template. Pictures replace the picture tokens of the text, in order.
  std::optional<std::string> raw;
  std::vector<Picture> raw_pictures;
};

// Unset values are the manifest's.
struct GenerateConfig {
  std::size_t max_new_tokens = 128;         // 0: read the prompt and stop
  std::optional<float> temperature;         // 0: greedy
  std::optional<int> top_k;                 // 0: off
  std::optional<float> top_p;               // 1: off
  std::optional<float> min_p;               // 0: off
  std::optional<float> repetition_penalty;  // 1: off
  std::size_t repetition_window = 0;        // tokens that count as seen; 0: all
  std::uint64_t seed = 0;                   // 0: a different one each time
  std::vector<std::string> stop_strings;
  std::vector<std::int32_t> stop_token_ids;  // besides the manifest's
  // User text cannot become a special token ("<|im_end|>" is spelled out).
  bool literal_user_text = false;
  // Tokens that are guessed from the text so far and checked in one call. kSpeculateAuto: where
  // measured times say that it is quicker; 0: never; N: at most N whenever there is a guess. The
  // answer is the same, as far as a token's logits do not depend on the length of the call.
  static constexpr int kSpeculateAuto = -1;
  int speculate = 0;
  std::string dump_folder;  // what passes between the stages, as .npy files; empty: nothing
};

struct Callbacks {
  // Text as it is generated, whole UTF-8 characters, perhaps empty, with the token that completed
  // it
  // (-1: held back until the end). At last once with final = true, no text and -1. Return false to
  // stop.
  std::function<bool(std::string_view piece, std::int32_t token, bool final)> on_token;
  // Asked before every execution of a graph. May look at what another thread sets.
  std::function<bool()> should_cancel;
};

enum class FinishReason {
  kStop,        // a stop token
  kStopString,  // a stop string, which is not part of the text
  kLength,      // max_new_tokens
  kContext,     // the KV cache is full
  kCancelled,   // should_cancel, or on_token returned false
};
// "stop", "stop_string", "length", "context", "cancelled".
std::string_view name(FinishReason reason);

struct Metrics {
  std::size_t prompt_tokens = 0;
  std::size_t reused_tokens =
      0;  // of the prompt, already in the KV cache or read from the cache folder
  std::size_t cached_tokens = 0;    // of these, read from the cache folder
  std::size_t cached_pictures = 0;  // whose features were read from there
  std::size_t generated_tokens = 0;
  double cache_ms = 0;    // reading from the cache folder
  double image_ms = 0;    // decoding and resizing pictures
  double vision_ms = 0;   // vision graph and what leads to it; loading it at the first picture
  double prefill_ms = 0;  // prompt through the text graphs, with the first token's head
  double ttft_ms = 0;     // from the call to the first token
  double decode_ms = 0;   // tokens after the first
  double load_ms = 0;     // of the engine
  std::size_t drafted_tokens = 0;   // guessed and checked
  std::size_t accepted_tokens = 0;  // of these, part of the answer
  std::size_t verify_runs = 0;      // calls that checked them, in place of decode steps
  std::size_t prefill_runs = 0, decode_runs = 0, head_runs = 0, vision_runs = 0;
  std::uint64_t seed = 0;  // of the sampler
};

struct Output {
  std::string text;
  std::vector<std::int32_t> ids;  // generated ones, the stop token included
  FinishReason finish_reason = FinishReason::kStop;
  Metrics metrics;
};

struct ModelInfo {
  std::string name, family, dsp_arch, qnn_build;
  std::size_t context = 0;  // tokens, prompt and answer together
  std::size_t vocab = 0;
  std::size_t prefill_rows = 0;        // 0: no prefill graph
  std::size_t tokens_per_picture = 0;  // 0: text only
  std::vector<std::string> notes;      // what was let through when loading, a sentence each
};

class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // The longest common beginning of the prompt and what the session has seen is not run again.
  // After an error the session can be used on.
  Outcome<Output> generate(const Prompt& prompt, const GenerateConfig& config,
                           const Callbacks& callbacks = {});
  // Forgets everything.
  void reset();

 private:
  friend class Engine;
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Engine {
 public:
  static Outcome<Engine> load(const EngineOptions& options);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  ModelInfo info() const;
  // Keeps what it needs of the engine alive.
  Outcome<Session> create_session() const;

 private:
  struct Impl;
  explicit Engine(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace qhexrt
