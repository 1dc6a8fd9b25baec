// include/qhexrt/qhexrt.hpp over Engine and Session.
#include <new>

#include "engine/session.h"

namespace qhexrt {
namespace {

Error error_of(const qhx::Status& status) {
  return {static_cast<Code>(static_cast<int>(status.code())), status.message()};
}

// Runs `work` (which returns a Result) and turns what standard containers may throw into an error.
template <class T, class Work>
Outcome<T> guarded(Work&& work) {
  try {
    auto result = work();
    if (!result.ok()) return {std::nullopt, error_of(result.status())};
    return {std::move(result).value(), {}};
  } catch (const std::bad_alloc&) {
    return {std::nullopt, {Code::kIo, "out of memory"}};
  } catch (const std::exception& error) {
    return {std::nullopt, {Code::kInternal, error.what()}};
  }
}

}  // namespace

struct Engine::Impl {
  std::shared_ptr<const qhx::engine::Engine> engine;
};
struct Session::Impl {
  std::unique_ptr<qhx::engine::Session> session;
};

Message user(std::string text) {
  Message message;
  message.parts.push_back({std::move(text), std::nullopt});
  return message;
}

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Engine::Engine(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Outcome<Engine> Engine::load(const EngineOptions& options) {
  return guarded<Engine>([&]() -> qhx::Result<Engine> {
    QHX_ASSIGN_OR_RETURN(auto engine, qhx::engine::Engine::load(options));
    return Engine(std::make_shared<Impl>(Impl{std::move(engine)}));
  });
}

ModelInfo Engine::info() const {
  const qhx::engine::Engine& engine = *impl_->engine;
  const qhx::manifest::Model& model = engine.manifest().model;
  ModelInfo info;
  info.name = model.name;
  info.family = model.family;
  info.dsp_arch = model.dsp_arch;
  info.qnn_build = model.qnn_build;
  info.context = engine.text_spec().context;
  info.vocab = engine.text_spec().vocab;
  info.prefill_rows = engine.text_spec().prefill_rows();
  info.tokens_per_picture = engine.vision() == nullptr ? 0 : engine.vision()->spec().tokens;
  info.notes = engine.notes();
  return info;
}

Outcome<Session> Engine::create_session() const {
  return guarded<Session>([&]() -> qhx::Result<Session> {
    QHX_ASSIGN_OR_RETURN(auto session, qhx::engine::Session::create(impl_->engine));
    return Session(std::make_unique<Session::Impl>(Session::Impl{std::move(session)}));
  });
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Outcome<Output> Session::generate(const Prompt& prompt, const GenerateConfig& config,
                                  const Callbacks& callbacks) {
  return guarded<Output>([&] { return impl_->session->generate(prompt, config, callbacks); });
}

void Session::reset() { impl_->session->reset(); }

}  // namespace qhexrt
