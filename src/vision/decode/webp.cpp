#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
#include <memory>
#include <string>

#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

struct DeleteDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};
using Demuxer = std::unique_ptr<WebPDemuxer, DeleteDemuxer>;

// A frame's place in the canvas and its compressed bytes (borrowed from the file).
struct Frame {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
  WebPData data{};
};

Result<Frame> first_frame(const WebPDemuxer* demuxer) {
  WebPIterator iterator;
  if (WebPDemuxGetFrame(demuxer, 1, &iterator) == 0) return corrupt("no frame");
  const Frame frame{iterator.x_offset, iterator.y_offset, iterator.width, iterator.height,
                    iterator.fragment};
  const bool complete = iterator.complete != 0;
  WebPDemuxReleaseIterator(&iterator);
  if (!complete) return corrupt("the file ends before its picture does");
  return frame;
}

int orientation_of(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) == 0) return 1;
  const int orientation =
      exif_orientation({reinterpret_cast<const std::byte*>(chunk.chunk.bytes), chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

}  // namespace

Result<Image> decode_webp(Bytes file, const ImageLimits& limits) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
  const Demuxer demuxer(WebPDemux(&data));
  if (demuxer == nullptr)
    return corrupt("damaged or cut off: " + std::to_string(file.size()) + " bytes");
  const std::uint64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const std::uint64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  QHX_RETURN_IF_ERROR(check_size(width, height, limits));
  QHX_ASSIGN_OR_RETURN(const Frame frame, first_frame(demuxer.get()));
  const auto right = static_cast<std::uint64_t>(frame.x) + static_cast<std::uint64_t>(frame.width);
  const auto bottom =
      static_cast<std::uint64_t>(frame.y) + static_cast<std::uint64_t>(frame.height);
  if (right > width || bottom > height) return corrupt("the first frame leaves the canvas");

  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(frame.width) *
                                   static_cast<std::size_t>(frame.height) * 4);
  if (WebPDecodeRGBAInto(frame.data.bytes, frame.data.size, pixels.data(), pixels.size(),
                         frame.width * 4) == nullptr) {
    return corrupt("damaged picture data");
  }
  flatten_over_white(pixels);
  Image image{static_cast<int>(width), static_cast<int>(height), {}};
  if (right - static_cast<std::uint64_t>(frame.x) == width &&
      bottom - static_cast<std::uint64_t>(frame.y) == height) {
    image.rgb = std::move(pixels);
  } else {  // an animation whose first frame does not cover the canvas: the rest is transparent
    image.rgb.assign(image.pixels() * 3, 255);
    const std::size_t row = static_cast<std::size_t>(frame.width) * 3;
    for (int y = 0; y < frame.height; ++y) {
      const std::size_t place =
          (static_cast<std::size_t>(frame.y) + static_cast<std::size_t>(y)) * width +
          static_cast<std::size_t>(frame.x);
      std::memcpy(image.rgb.data() + place * 3, pixels.data() + static_cast<std::size_t>(y) * row,
                  row);
    }
  }
  return apply_orientation(std::move(image), orientation_of(demuxer.get()));
}

}  // namespace qhx::vision
