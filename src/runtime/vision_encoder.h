// A picture of the model's size to image tokens: patches, Stage-F where the host does it, the
// vision graph.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/mapped_file.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "manifest/manifest.h"
#include "runtime/bundle_files.h"
#include "runtime/executor.h"
#include "runtime/float_tensor.h"
#include "runtime/prompt.h"
#include "vision/image.h"
#include "vision/patches.h"
#include "vision/stage_f.h"

namespace qhx::runtime {

struct VisionSpec {
  vision::PatchParams params;
  vision::Grid grid;             // in patches
  std::size_t patch_values = 0;  // of one patch
  std::size_t input_width = 0;   // columns of the graph's input
  bool stage_f = false;          // the host embeds the patches
  std::size_t position_grid = 0;
  std::size_t tokens = 0;  // rows of image_embeds
  std::size_t hidden = 0;  // of the text model
  std::size_t deepstack = 0;
};

// From the manifest (which has a vision section), compared with the graph and the text model.
// Errors as make_text_spec().
Result<VisionSpec> make_vision_spec(const manifest::Manifest& manifest, const qnn::GraphInfo& graph,
                                    const TextSpec& text);

// What passes between the stages, for --dump. Called in the order of the fields; spans are valid
// during the call only.
struct VisionObserver {
  virtual ~VisionObserver() = default;
  virtual Status patches(std::span<const float> values, std::size_t rows, std::size_t columns) = 0;
  virtual Status vision_in(std::span<const float> values, std::size_t rows,
                           std::size_t columns) = 0;
  virtual Status features(const ImageFeatures& features, std::size_t hidden) = 0;
};

// Thread-safe; calls take turns. Loads the graph and the tables when first used. `files`,
// `artifacts` and `graphs` outlive it.
class VisionEncoder {
 public:
  VisionEncoder(const VisionSpec& spec, const BundleFiles& files,
                const manifest::Artifacts& artifacts, GraphProvider& graphs, int threads)
      : spec_(spec), files_(files), artifacts_(artifacts), graphs_(graphs), threads_(threads) {}

  const VisionSpec& spec() const { return spec_; }

  // `image` has the spec's size (QHX_CHECK). `observer` may be null. The graph rests after each
  // picture: while text is made of it, a vision encoder's weights would be memory for nothing, and
  // to get them back from the page cache takes a hundredth of the time that a picture does.
  Result<ImageFeatures> encode(const vision::Image& image, VisionObserver* observer);

 private:
  // What is needed to run: made once.
  struct Loaded {
    explicit Loaded(int threads) : pool(threads) {}
    ThreadPool pool;
    MappedFile patch, bias, positions;
    std::optional<vision::StageF> stage_f;
    std::vector<float> patch_rows;
    FloatTensor input;
    FloatTensor embeds;
    std::vector<FloatTensor> deepstack;
    std::shared_ptr<GraphExecutor> executor;
    std::unique_ptr<BoundGraph> graph;
  };
  Status load();
  Status load_tables(Loaded& loaded) const;
  Status bind(Loaded& loaded) const;

  VisionSpec spec_;
  const BundleFiles& files_;
  const manifest::Artifacts& artifacts_;
  GraphProvider& graphs_;
  int threads_;
  std::mutex mutex_;
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace qhx::runtime
