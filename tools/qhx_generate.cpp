// qhx_generate MANIFEST HTP_LIB SYSTEM_LIB MODEL_DIR N_TOKENS PROMPT [IMAGE]: one answer on stdout.
// docs/cli.md is its manual.
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "generate_args.h"
#include "program.h"

namespace qhx::tools {
namespace {

int fail(const Status& status) {
  std::fprintf(stderr, "qhx_generate: error: %s\n", one_line(status.message()).c_str());
  return static_cast<int>(status.code());
}

Status status_of(const qhexrt::Error& error) {
  return {static_cast<StatusCode>(static_cast<int>(error.code)), error.message};
}

// What libraries log would mix with our one line; with --stats it may.
void direct_log(bool show) {
  set_log_sink(
      [show](LogLevel level, std::string_view message) {
        if (!show) return;
        std::fprintf(stderr, "qhx_generate: %s: %s\n", std::string(name(level)).c_str(),
                     one_line(std::string(message)).c_str());
      },
      show ? LogLevel::kWarn : LogLevel::kError);
}

Result<qhexrt::Prompt> make_prompt(const GenerateArgs& args) {
  std::optional<qhexrt::Picture> picture;
  if (!args.image.empty()) {
    constexpr std::size_t kMaxBytes = std::size_t{512} << 20;
    QHX_ASSIGN_OR_RETURN(const std::string bytes, read_file(args.image, kMaxBytes));
    picture.emplace();
    picture->file.assign(bytes.begin(), bytes.end());
  }
  qhexrt::Prompt prompt;
  if (args.raw) {
    prompt.raw = args.prompt;
    if (picture) prompt.raw_pictures.push_back(std::move(*picture));
    return prompt;
  }
  if (args.system)
    prompt.messages.push_back({qhexrt::Role::kSystem, {{*args.system, std::nullopt}}});
  qhexrt::Message message = qhexrt::user(args.prompt);
  if (picture) message.parts.insert(message.parts.begin(), {"", std::move(picture)});
  prompt.messages.push_back(std::move(message));
  return prompt;
}

double per_second(std::size_t tokens, double ms) {
  return ms > 0 ? 1000.0 * static_cast<double>(tokens) / ms : 0;
}
double prefill_rate(const qhexrt::Metrics& m) {
  return per_second(m.prompt_tokens - m.reused_tokens, m.prefill_ms);
}
double decode_rate(const qhexrt::Metrics& m) {
  return m.generated_tokens > 1 ? per_second(m.generated_tokens - 1, m.decode_ms) : 0;
}
double peak_rss_mb() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

void print_figures(const qhexrt::Output& out, bool stats) {
  const qhexrt::Metrics& m = out.metrics;
  std::fprintf(
      stderr,
      "prompt %zu tokens, answer %zu tokens, finish %s\n"
      "load %.0f ms, vision %.1f ms, TTFT %.1f ms, prefill %.2f tok/s, decode %.2f tok/s\n",
      m.prompt_tokens, m.generated_tokens, std::string(name(out.finish_reason)).c_str(), m.load_ms,
      m.image_ms + m.vision_ms, m.ttft_ms, prefill_rate(m), decode_rate(m));
  if (!stats) return;
  std::fprintf(stderr,
               "picture %.1f ms, vision stage %.1f ms, prefill %.1f ms, decode %.1f ms\n"
               "reused: %zu of the prompt's tokens, %zu of them and %zu pictures from the cache "
               "folder in %.1f ms\n"
               "executions: vision %zu, prefill %zu, decode %zu, verify %zu, head %zu\n"
               "guessed tokens: %zu, %zu of them right\n"
               "seed %llu, peak RSS %.1f MiB\n",
               m.image_ms, m.vision_ms, m.prefill_ms, m.decode_ms, m.reused_tokens, m.cached_tokens,
               m.cached_pictures, m.cache_ms, m.vision_runs, m.prefill_runs, m.decode_runs,
               m.verify_runs, m.head_runs, m.drafted_tokens, m.accepted_tokens,
               static_cast<unsigned long long>(m.seed), peak_rss_mb());
}

std::string to_json(const qhexrt::Output& out, const qhexrt::ModelInfo& model) {
  const qhexrt::Metrics& m = out.metrics;
  const nlohmann::ordered_json json = {{"model", model.name},
                                       {"text", out.text},
                                       {"ids", out.ids},
                                       {"finish_reason", name(out.finish_reason)},
                                       {"metrics",
                                        {{"prompt_tokens", m.prompt_tokens},
                                         {"reused_tokens", m.reused_tokens},
                                         {"cached_tokens", m.cached_tokens},
                                         {"cached_pictures", m.cached_pictures},
                                         {"generated_tokens", m.generated_tokens},
                                         {"load_ms", m.load_ms},
                                         {"cache_ms", m.cache_ms},
                                         {"image_ms", m.image_ms},
                                         {"vision_ms", m.vision_ms},
                                         {"ttft_ms", m.ttft_ms},
                                         {"prefill_ms", m.prefill_ms},
                                         {"prefill_tokens_per_s", prefill_rate(m)},
                                         {"decode_ms", m.decode_ms},
                                         {"decode_tokens_per_s", decode_rate(m)},
                                         {"vision_runs", m.vision_runs},
                                         {"prefill_runs", m.prefill_runs},
                                         {"decode_runs", m.decode_runs},
                                         {"verify_runs", m.verify_runs},
                                         {"drafted_tokens", m.drafted_tokens},
                                         {"accepted_tokens", m.accepted_tokens},
                                         {"head_runs", m.head_runs},
                                         {"seed", m.seed},
                                         {"peak_rss_mib", peak_rss_mb()}}}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

class Writer {
 public:
  bool write(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      failed_ = true;
    return !failed_;
  }
  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

Status generate(const GenerateArgs& args, const std::atomic<bool>& stop) {
  QHX_ASSIGN_OR_RETURN(const qhexrt::Prompt prompt, make_prompt(args));
  auto engine = qhexrt::Engine::load(args.engine);
  if (!engine) return status_of(engine.error);
  for (const std::string& note : engine->info().notes)
    std::fprintf(stderr, "qhx_generate: note: %s\n", one_line(note).c_str());
  auto session = engine->create_session();
  if (!session) return status_of(session.error);
  Writer out;
  bool any = false;
  qhexrt::Callbacks callbacks;
  callbacks.should_cancel = [&] { return stop.load(); };
  callbacks.on_token = [&](std::string_view piece, std::int32_t, bool) {
    if (args.json || piece.empty()) return true;
    any = true;
    return out.write(piece);
  };
  auto result = session->generate(prompt, args.config, callbacks);
  if (!result) {
    if (any) out.write("\n");
    return status_of(result.error);
  }
  out.write(args.json ? to_json(*result, engine->info()) + "\n" : "\n");
  if (out.failed()) return io_error("cannot write to stdout");
  print_figures(*result, args.stats);
  if (result->finish_reason == qhexrt::FinishReason::kCancelled)
    return cancelled("stopped on request");
  return {};
}

int run(const std::vector<std::string>& arguments) {
  const auto args = parse_generate_args(arguments);
  if (!args.ok()) return fail(args.status());
  if (args->help) return std::fputs(generate_usage().c_str(), stdout) < 0 ? 4 : 0;
  if (args->version) return std::puts("qhx_generate " QHX_VERSION) < 0 ? 4 : 0;
  direct_log(args->stats);
  ::signal(SIGPIPE, SIG_IGN);
  const StopSignal stop([] {});
  const Status status = generate(*args, stop.requested());
  return status.ok() ? 0 : fail(status);
}

}  // namespace
}  // namespace qhx::tools

int main(int argc, char** argv) {
  try {
    return qhx::tools::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    return qhx::tools::fail(qhx::internal_error(error.what()));
  }
}
