#include "engine/data/idx.h"

#include <algorithm>
#include <memory>
#include <new>

#include <zlib.h>

#include "engine/core/error.h"
#include "engine/data/image.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 31;
// A deflated byte can stand for 1032 (zlib's technical details). Drawings of few strokes come to
// less than a tenth of that, bombs do not.
constexpr int64_t kMaxInflation = 100, kSmall = 1 << 20;

// The content of a plain or gzip file, from its beginning to its end.
class Content {
 public:
  explicit Content(const std::string& path) : path_(path), file_(path) {
    uint8_t magic[2] = {};
    file_.read(0, magic, std::min<int64_t>(file_.size(), 2));
    if (magic[0] != 0x1F || magic[1] != 0x8B) return;
    zlib_.reset(new z_stream{});
    // 16: a gzip header, and its checksum at the end.
    if (inflateInit2(zlib_.get(), 15 + 16) != Z_OK) throw std::bad_alloc();
  }

  // Whether `bytes` can follow at all.
  bool may_hold(int64_t bytes) const {
    return bytes <= (zlib_ ? file_.size() * kMaxInflation + kSmall : file_.size() - at_);
  }

  void read(void* to, int64_t bytes) {
    if (!zlib_) {
      check(bytes <= file_.size() - at_, "{}: it ends after {} bytes, expected {} more", path_, file_.size(),
            bytes - (file_.size() - at_));
      file_.read(at_, to, bytes);
      at_ += bytes;
      return;
    }
    const int64_t left = inflate_some(to, bytes);
    check(left == 0, "{}: the compressed data ends early, expected {} more bytes", path_, left);
  }

  // Error unless everything was read and the checksum is right.
  void finish() {
    bool more = at_ < file_.size();
    if (zlib_) {
      char extra;
      more = inflate_some(&extra, 1) == 0;
      check(more || ended_, "{}: the compressed data ends early", path_);
      more |= at_ < file_.size() || zlib_->avail_in > 0;
    }
    check(!more, "{}: it goes on after the values that its header counts", path_);
  }

 private:
  // How many of `bytes` the end left missing.
  int64_t inflate_some(void* to, int64_t bytes) {
    auto* out = static_cast<Bytef*>(to);
    while (bytes > 0 && !ended_) {
      if (zlib_->avail_in == 0) {
        zlib_->avail_in = static_cast<uInt>(std::min<int64_t>(std::ssize(buffer_), file_.size() - at_));
        zlib_->next_in = buffer_.data();
        file_.read(at_, buffer_.data(), zlib_->avail_in);
        at_ += zlib_->avail_in;
        if (zlib_->avail_in == 0) break;
      }
      const auto piece = static_cast<uInt>(std::min<int64_t>(bytes, 1 << 30));
      zlib_->next_out = out;
      zlib_->avail_out = piece;
      const int status = inflate(zlib_.get(), Z_NO_FLUSH);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      check(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, "{}: damaged gzip data ({})", path_,
            zlib_->msg ? zlib_->msg : "no reason given");
      ended_ = status == Z_STREAM_END;
      out += piece - zlib_->avail_out;
      bytes -= piece - zlib_->avail_out;
    }
    return bytes;
  }

  struct End {
    void operator()(z_stream* stream) const {
      inflateEnd(stream);
      delete stream;
    }
  };

  std::string path_;
  InputFile file_;
  int64_t at_ = 0;
  std::unique_ptr<z_stream, End> zlib_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(1 << 16);
  bool ended_ = false;
};

struct Idx {
  std::vector<int64_t> dimensions;
  std::vector<uint8_t> values;
};

Idx read_bytes(const std::string& path, int dimensions) {
  Content content(path);
  const auto number = [&] {
    uint8_t b[4];
    content.read(b, 4);
    return int64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
  };
  const int64_t magic = number();
  check(magic == (0x800 | dimensions), "{}: it begins with {:#010x}, expected {:#010x}, IDX of bytes in {} dimension{}",
        path, magic, 0x800 | dimensions, dimensions, dimensions == 1 ? "" : "s");
  Idx idx;
  int64_t size = 1;
  for (int i = 0; i < dimensions; i++) {
    idx.dimensions.push_back(number());
    // At most 2^31 by less than 2^32.
    size *= idx.dimensions.back();
    check(size <= kMaxBytes, "{}: it claims {} values, expected at most {}", path, size, kMaxBytes);
  }
  check(content.may_hold(size), "{}: it claims {} values, more than the file can hold", path,
        fmt::join(idx.dimensions, " x "));
  idx.values.resize(size);
  content.read(idx.values.data(), size);
  content.finish();
  return idx;
}

}  // namespace

RawImages read_idx(const std::string& images, const std::string& labels) {
  Idx pixels = read_bytes(images, 3);
  const Idx numbers = read_bytes(labels, 1);
  const int64_t count = pixels.dimensions[0];
  check(numbers.dimensions[0] == count, "{}: {} labels for the {} images of {}", labels, numbers.dimensions[0], count,
        images);
  check(!pixels.values.empty(), "{}: {} values, expected images", images, fmt::join(pixels.dimensions, " x "));
  check(pixels.dimensions[1] * pixels.dimensions[2] <= kMaxPixels, "{}: images of {} x {} pixels, expected at most {}",
        images, pixels.dimensions[1], pixels.dimensions[2], kMaxPixels);
  RawImages raw{.height = pixels.dimensions[1],
                .width = pixels.dimensions[2],
                .channels = 1,
                .pixels = std::move(pixels.values),
                .labels = {numbers.values.begin(), numbers.values.end()}};
  for (int32_t label = 0; label <= std::ranges::max(raw.labels); label++)
    raw.classes.push_back(fmt::format("{}", label));
  return raw;
}

}  // namespace lookalike
