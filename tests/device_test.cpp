// What sessions do to a device: which memory it maps and for how long, and when it is asked for
// full speed. The device and its memory are fakes that count.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "fakes/fake_device.h"
#include "fakes/toy_bundle.h"
#include "runtime/qnn_graphs.h"

namespace qhx {
namespace {

using fakes::ToyBundle;
using fakes::ToyOptions;
using runtime::Role;
using testing::HasSubstr;

constexpr std::uint32_t kPicture = 16;

template <class T>
T& exported(const char* library, const char* name) {
  // Global, so that the fake device finds the fake memory, and the product finds it by its soname.
  void* object = ::dlopen(library, RTLD_NOW | RTLD_GLOBAL);
  QHX_CHECK(object != nullptr);
  return *static_cast<T*>(::dlsym(object, name));
}

nlohmann::json describe(const std::vector<qnn::TensorInfo>& tensors) {
  nlohmann::json list = nlohmann::json::array();
  for (const qnn::TensorInfo& tensor : tensors)
    list.push_back(
        {{"name", tensor.name}, {"dims", tensor.dims}, {"type", qnn::name(tensor.type)}});
  return list;
}

// A toy bundle whose graphs are in binaries for the fake device.
class DeviceTest : public testing::Test {
 protected:
  DeviceTest() {
    const auto calls = std::tuple(device_memory_.map, device_memory_.unmap);
    device_memory_ = {};
    std::tie(device_memory_.map, device_memory_.unmap) = calls;
    device_ = {};
    set_log_sink([this](LogLevel, std::string_view line) { log_ += std::string(line) + "\n"; },
                 LogLevel::kWarn);
    ToyOptions options;
    options.vocab = ToyBundle::kVocab;
    options.type = QNN_DATATYPE_FLOAT_16;
    options.further_contexts = {16};
    bundle_ = std::make_unique<ToyBundle>(options, kPicture);
    const auto toy = bundle_->engine();
    QHX_CHECK(toy.ok());
    const fakes::ToyModel& model = bundle_->model();
    write("llm", {model.infos(Role::kDecode), model.infos(Role::kPrefill)});
    write("lmhead", {model.infos(Role::kHead)});
    write("vision", {model.infos(Role::kVision)});
    manifest_ = bundle_->manifest();
    manifest_.model.dsp_arch = "v79";
    manifest_.model.soc_model = 69;
    manifest_.plan.vision = model.infos(Role::kVision)[0]->name;
  }
  ~DeviceTest() override { set_log_sink({}, LogLevel::kWarn); }

  void write(const std::string& role,
             const std::vector<std::vector<const qnn::GraphInfo*>>& graph_lists) {
    nlohmann::json graphs = nlohmann::json::array();
    for (const auto& list : graph_lists) {
      for (const qnn::GraphInfo* graph : list) {
        graphs.push_back({{"name", graph->name},
                          {"inputs", describe(graph->inputs)},
                          {"outputs", describe(graph->outputs)}});
      }
    }
    const nlohmann::json document = {
        {"build", "v2.51.0.1"}, {"arch", 79}, {"soc", 69}, {"graphs", graphs}};
    const std::string text = "FAKEHTP\n" + document.dump();
    QHX_CHECK(write_file(bundle_->folder() / (role + ".bin"), text).ok());
    bundle_->manifest().artifacts.contexts[role] = role + ".bin";
  }

  std::shared_ptr<engine::Engine> engine() {
    const runtime::BundleFiles files(bundle_->folder(), manifest_.artifacts);
    auto system = qnn::SystemLibrary::open(QHX_FAKE_HTP);
    EXPECT_TRUE(system.ok()) << system.status();
    auto library = qnn::BackendLibrary::open(QHX_FAKE_HTP);
    EXPECT_TRUE(library.ok()) << library.status();
    auto graphs = runtime::QnnGraphs::open(manifest_, files, **system, *library);
    EXPECT_TRUE(graphs.ok()) << graphs.status();
    auto engine =
        engine::Engine::assemble(manifest_, bundle_->folder(), std::move(graphs).value(), 1);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *engine;
  }

  static Result<qhexrt::Output> generate(engine::Session& session, bool picture = false,
                                         qhexrt::Callbacks callbacks = {}) {
    qhexrt::Prompt prompt;
    prompt.messages = {qhexrt::user("abc")};
    if (picture) {
      qhexrt::Picture p;
      p.width = p.height = kPicture;
      p.rgb.resize(std::size_t{3} * kPicture * kPicture);
      prompt.messages[0].parts.push_back({"", std::move(p)});
    }
    qhexrt::GenerateConfig config;
    config.max_new_tokens = 4;
    return session.generate(prompt, config, callbacks);
  }

  void expect_no_leaks() const {
    EXPECT_EQ(device_memory_.frees, device_memory_.allocations);
    EXPECT_EQ(device_memory_.unmaps, device_memory_.maps);
    EXPECT_EQ(device_memory_.freed_while_mapped, 0);
    EXPECT_EQ(device_.deregistrations, device_.registrations);
    EXPECT_EQ(device_.stale_handles, 0);
  }

  FakeMemory& device_memory_ = exported<FakeMemory>(QHX_FAKE_RPCMEM, "fake_memory");
  FakeDevice& device_ = exported<FakeDevice>(QHX_FAKE_HTP, "fake_device");
  std::unique_ptr<ToyBundle> bundle_;
  manifest::Manifest manifest_;
  std::string log_;
};

TEST_F(DeviceTest, EachTensorIsMappedOnceAndNoneIsCopied) {
  {
    const auto engine = this->engine();
    auto session = std::move(engine::Session::create(engine)).value();
    const int at_load = device_.registrations;
    EXPECT_GT(at_load, 0);
    ASSERT_TRUE(generate(*session).ok());
    EXPECT_EQ(device_.registrations, at_load) << "generating maps nothing";
    const int allocations = device_memory_.allocations;
    ASSERT_TRUE(generate(*session, /*picture=*/true).ok());
    EXPECT_GT(device_.registrations, at_load)
        << "the vision graph is loaded with its first picture";
    EXPECT_GT(device_memory_.allocations, allocations);
    const int loaded = device_.registrations;
    ASSERT_TRUE(generate(*session, /*picture=*/true).ok());
    EXPECT_EQ(device_.registrations, loaded);
    // A second session has buffers of its own.
    auto second = std::move(engine::Session::create(engine)).value();
    EXPECT_EQ(device_.registrations, loaded + at_load);
    ASSERT_TRUE(generate(*second).ok());
    session = nullptr;
    EXPECT_EQ(device_.deregistrations, at_load);
    ASSERT_TRUE(generate(*second).ok());
    EXPECT_GT(device_.mapped_tensors, 0);
    EXPECT_EQ(device_.copied_tensors, 0);
    EXPECT_EQ(device_.repeated, 0);
  }
  expect_no_leaks();
  EXPECT_EQ(log_, "");
}

TEST_F(DeviceTest, BuffersAreCopiedWhereTheLibraryMapsNone) {
  device_.fail_registration = -1;
  device_.registration_error = QNN_COMMON_ERROR_NOT_SUPPORTED;
  {
    auto session = std::move(engine::Session::create(engine())).value();
    EXPECT_EQ(device_.refused, 2) << "each of the two contexts is asked once";
    ASSERT_TRUE(generate(*session).ok());
    EXPECT_EQ(device_.mapped_tensors, 0);
    EXPECT_GT(device_.copied_tensors, 0);
  }
  expect_no_leaks();
  EXPECT_EQ(log_, "") << "nothing to complain of";
}

TEST_F(DeviceTest, AGraphThatCannotBeMappedWhollyIsNotMappedInPart) {
  device_.fail_registration = 4;
  device_.registration_error = QNN_COMMON_ERROR_MEM_ALLOC;
  {
    auto session = std::move(engine::Session::create(engine())).value();
    EXPECT_EQ(device_.refused, 1);
    EXPECT_EQ(device_.deregistrations, 3) << "those before it are given back";
    EXPECT_GT(device_.registrations, 3) << "other graphs are mapped";
    ASSERT_TRUE(generate(*session).ok());
    EXPECT_GT(device_.mapped_tensors, 0);
    EXPECT_GT(device_.copied_tensors, 0);
    EXPECT_THAT(log_, HasSubstr("its tensors are copied at every call: memRegister of tensor"));
  }
  expect_no_leaks();
}

TEST_F(DeviceTest, ATensorWithoutSharedMemoryIsCopied) {
  device_memory_.fail_allocation = 1;  // the cache's first
  {
    auto session = std::move(engine::Session::create(engine())).value();
    ASSERT_TRUE(generate(*session).ok());
    EXPECT_GT(device_.copied_tensors, 0);
    EXPECT_GT(device_.mapped_tensors, 0) << "the head's tensors";
    EXPECT_THAT(log_, HasSubstr("no shared memory of"));
  }
  expect_no_leaks();
}

TEST_F(DeviceTest, MemoryIsZeroAtFirstAndOutlivesItsSource) {
  qnn::TensorBuffer buffer;
  {
    const qnn::TensorMemory memory = qnn::TensorMemory::shared();
    ASSERT_TRUE(memory.is_shared());
    buffer = memory.allocate(100);
    EXPECT_GE(memory.descriptor(buffer.bytes().data()), 0);
    EXPECT_EQ(memory.descriptor(buffer.bytes().data() + 1), -1) << "not where a buffer begins";
    EXPECT_TRUE(memory.allocate(0).bytes().empty());
  }
  for (const std::byte byte : buffer.bytes()) EXPECT_EQ(byte, std::byte{0});
  EXPECT_EQ(device_memory_.frees, 0);
  buffer = {};
  expect_no_leaks();
}

TEST_F(DeviceTest, WithoutTheLibraryMemoryIsPlain) {
  for (const char* library : {"libno-such-library.so", QHX_FAKE_HTP}) {
    const qnn::TensorMemory memory = qnn::TensorMemory::shared(library);
    EXPECT_FALSE(memory.is_shared());
    qnn::TensorBuffer buffer = memory.allocate(100);
    EXPECT_EQ(buffer.bytes().size(), 100u);
    EXPECT_EQ(memory.descriptor(buffer.bytes().data()), -1);
  }
  EXPECT_EQ(device_memory_.allocation_calls, 0);
  EXPECT_THAT(log_, HasSubstr("has no rpcmem_alloc")) << "a library that should have it";
}

TEST_F(DeviceTest, FullSpeedWhileGenerating) {
  {
    auto session = std::move(engine::Session::create(engine())).value();
    EXPECT_STREQ(device_.votes, "c");
    std::string during;
    qhexrt::Callbacks callbacks;
    callbacks.on_token = [&](std::string_view, std::int32_t, bool final) {
      if (!final) during = device_.votes;
      return true;
    };
    ASSERT_TRUE(generate(*session, false, callbacks).ok());
    EXPECT_EQ(during, "cF");
    EXPECT_STREQ(device_.votes, "cFr");
    ASSERT_TRUE(generate(*session).ok());
    EXPECT_STREQ(device_.votes, "cFrFr");
  }
  EXPECT_STREQ(device_.votes, "cFrFrd");
}

TEST_F(DeviceTest, TheVoteEndsWithTheLastGeneration) {
  const auto engine = this->engine();
  auto outer = std::move(engine::Session::create(engine)).value();
  auto inner = std::move(engine::Session::create(engine)).value();
  qhexrt::Callbacks callbacks;
  callbacks.on_token = [&](std::string_view, std::int32_t, bool final) {
    if (!final) {
      EXPECT_TRUE(generate(*inner).ok());
      EXPECT_STREQ(device_.votes, "cF");
    }
    return true;
  };
  ASSERT_TRUE(generate(*outer, false, callbacks).ok());
  EXPECT_STREQ(device_.votes, "cFr");
}

TEST_F(DeviceTest, TheVoteEndsWithErrorsAndCancelling) {
  const auto engine = this->engine();
  auto session = std::move(engine::Session::create(engine)).value();
  device_.fail_execution = 2;
  EXPECT_EQ(generate(*session).status().code(), StatusCode::kBackend);
  EXPECT_STREQ(device_.votes, "cFr");
  qhexrt::Callbacks callbacks;
  callbacks.should_cancel = [] { return true; };
  const auto cancelled = generate(*session, false, callbacks);
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->finish_reason, qhexrt::FinishReason::kCancelled);
  EXPECT_STREQ(device_.votes, "cFrFr");
  callbacks = {};
  callbacks.on_token = [](std::string_view, std::int32_t, bool) { return false; };
  ASSERT_TRUE(generate(*session, false, callbacks).ok());
  EXPECT_STREQ(device_.votes, "cFrFrFr");
  qhexrt::GenerateConfig refused;
  refused.temperature = -1;
  EXPECT_FALSE(session->generate({}, refused, {}).ok());
  EXPECT_STREQ(device_.votes, "cFrFrFr") << "what is refused asks for nothing";
}

TEST_F(DeviceTest, VotesThatFailOrAreMissingDoNotStopAGeneration) {
  device_.vote_error = QNN_COMMON_ERROR_INVALID_ARGUMENT;
  {
    auto session = std::move(engine::Session::create(engine())).value();
    EXPECT_TRUE(generate(*session).ok());
    EXPECT_THAT(log_, HasSubstr("performance vote: setPowerConfig"));
  }
  log_.clear();
  device_ = {};
  device_.infrastructure = false;
  auto session = std::move(engine::Session::create(engine())).value();
  EXPECT_TRUE(generate(*session).ok());
  EXPECT_STREQ(device_.votes, "");
  EXPECT_EQ(log_, "");
}

}  // namespace
}  // namespace qhx
