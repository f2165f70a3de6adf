#include "engine/io/zip.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include <zlib.h>

#include "engine/core/error.h"
#include "engine/io/weight_file.h"

namespace lookalike {
namespace {

constexpr int64_t kEndRecord = 22, kDirectoryRecord = 46, kLocalHeader = 30;
constexpr int64_t kMaxComment = 65535;
// The longest match of deflate, 258 bytes, takes two bits; an empty block and the like take a few bytes.
constexpr int64_t kMaxDeflation = 1032, kDeflationSlack = 64;

// A little-endian number of `bytes` bytes.
int64_t number(const std::string& text, int64_t at, int bytes) {
  int64_t value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(text[at + i]);
  return value;
}

bool has_signature(const std::string& text, int64_t at, const char* signature) {
  return text.compare(at, 4, std::string("PK") + signature) == 0;
}

std::string read_part(const InputFile& file, int64_t offset, int64_t bytes) {
  std::string text(bytes, '\0');
  file.read(offset, text.data(), bytes);
  return text;
}

// Unpacks into exactly out.size() bytes.
bool inflate_into(std::string& out, const InputFile& file, int64_t offset, int64_t packed) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  std::vector<unsigned char> chunk(std::min<int64_t>(packed, 1 << 16));
  // zlib counts in 32 bits; neither size passes them here. A byte of room beyond the end shows an entry that goes on.
  unsigned char beyond;
  stream.next_out = reinterpret_cast<unsigned char*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  int status = Z_OK;
  try {
    while (status == Z_OK && stream.total_out <= out.size()) {
      if (stream.avail_in == 0 && packed > 0) {
        const int64_t bytes = std::min<int64_t>(packed, static_cast<int64_t>(chunk.size()));
        file.read(offset, chunk.data(), bytes);
        offset += bytes, packed -= bytes;
        stream.next_in = chunk.data();
        stream.avail_in = static_cast<unsigned>(bytes);
      }
      if (stream.avail_out == 0) stream.next_out = &beyond, stream.avail_out = 1;
      status = inflate(&stream, Z_NO_FLUSH);
    }
  } catch (...) {
    inflateEnd(&stream);
    throw;
  }
  const bool whole = status == Z_STREAM_END && stream.total_out == out.size() && packed == 0 && stream.avail_in == 0;
  inflateEnd(&stream);
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  return whole;
}

}  // namespace

ZipFile::ZipFile(const std::filesystem::path& path) : file_(path) {
  const std::string name = path.string();
  // The record that ends the archive lies behind everything but a comment, whose length it holds.
  const int64_t tail_size = std::min(file_.size(), kEndRecord + kMaxComment);
  const std::string tail = read_part(file_, file_.size() - tail_size, tail_size);
  int64_t end = tail_size - kEndRecord;
  while (end >= 0 && !(has_signature(tail, end, "\5\6") && number(tail, end + 20, 2) == tail_size - end - kEndRecord))
    end--;
  check(end >= 0, "'{}': not a zip archive, or cut off: it has no directory at its end", name);
  const int64_t disk = number(tail, end + 4, 2), directory_disk = number(tail, end + 6, 2);
  const int64_t entries_here = number(tail, end + 8, 2), count = number(tail, end + 10, 2);
  const int64_t directory_size = number(tail, end + 12, 4), directory = number(tail, end + 16, 4);
  check(count != 0xffff && directory_size != 0xffffffff && directory != 0xffffffff,
        "'{}': a zip64 archive (more than 4 GiB or 65534 entries), which is not supported", name);
  check(disk == 0 && directory_disk == 0 && entries_here == count, "'{}': one part of a split zip archive", name);
  const int64_t end_offset = file_.size() - tail_size + end;
  check(directory <= end_offset && directory_size <= end_offset - directory,
        "'{}': the zip directory of {} bytes at byte {} does not fit in front of its end at byte {}", name,
        directory_size, directory, end_offset);

  const std::string records = read_part(file_, directory, directory_size);
  std::vector<std::pair<int64_t, int64_t>> ranges;
  int64_t at = 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t left = directory_size - at;
    check(left >= kDirectoryRecord && has_signature(records, at, "\1\2"),
          "'{}': entry {} of {} in the zip directory is damaged", name, i + 1, count);
    const int64_t name_size = number(records, at + 28, 2);
    const int64_t record = kDirectoryRecord + name_size + number(records, at + 30, 2) + number(records, at + 32, 2);
    check(record <= left, "'{}': entry {} of {} passes the end of the zip directory", name, i + 1, count);
    const std::string entry_name = records.substr(at + kDirectoryRecord, name_size);
    const std::string shown = show_name(entry_name);
    const int64_t flags = number(records, at + 8, 2), method = number(records, at + 10, 2);
    const Entry entry{method == 8, static_cast<uint32_t>(number(records, at + 16, 4)), number(records, at + 20, 4),
                      number(records, at + 24, 4), number(records, at + 42, 4)};
    check(!(flags & 1), "'{}': {} is encrypted", name, shown);
    check(method == 0 || method == 8, "'{}': {} is packed by method {}, expected stored (0) or deflated (8)", name,
          shown, method);
    check(entry.packed != 0xffffffff && entry.size != 0xffffffff && entry.header != 0xffffffff,
          "'{}': {} has zip64 sizes, which are not supported", name, shown);
    check(number(records, at + 34, 2) == 0, "'{}': {} is in another part of a split zip archive", name, shown);
    const int64_t needed = kLocalHeader + name_size + entry.packed;
    check(entry.header <= directory && needed <= directory - entry.header,
          "'{}': {} passes the end of the archive's data at byte {}", name, shown, directory);
    check(entry.deflated ? entry.size <= kMaxDeflation * entry.packed + kDeflationSlack : entry.size == entry.packed,
          "'{}': {} claims {} bytes unpacked, which {} bytes cannot hold", name, shown, entry.size, entry.packed);
    check(entries_.emplace(entry_name, entry).second, "'{}': the archive has {} twice", name, shown);
    ranges.emplace_back(entry.header, entry.header + needed);
    at += record;
  }
  std::ranges::sort(ranges);
  for (size_t i = 1; i < ranges.size(); i++)
    check(ranges[i - 1].second <= ranges[i].first, "'{}': entries of the zip archive overlap at byte {}", name,
          ranges[i].first);
}

std::string ZipFile::read(const std::string& name, int64_t limit) const {
  const std::string path = file_.path().string();
  const auto found = entries_.find(name);
  check(found != entries_.end(), "'{}': the archive has no {}", path, show_name(name));
  const Entry& entry = found->second;
  check(entry.size <= limit, "'{}': {} claims {} bytes, at most {} expected", path, show_name(name), entry.size, limit);
  const std::string header = read_part(file_, entry.header, kLocalHeader);
  const int64_t data = entry.header + kLocalHeader + number(header, 26, 2) + number(header, 28, 2);
  check(has_signature(header, 0, "\3\4") && data + entry.packed <= file_.size(), "'{}': {} is damaged", path,
        show_name(name));
  std::string text(entry.size, '\0');
  if (entry.deflated) {
    check(inflate_into(text, file_, data, entry.packed), "'{}': {} is damaged (deflate)", path, show_name(name));
  } else {
    file_.read(data, text.data(), entry.size);
  }
  // A length beyond 32 bits does not occur here.
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  check(crc == entry.crc, "'{}': {} is damaged (CRC)", path, show_name(name));
  return text;
}

}  // namespace lookalike
