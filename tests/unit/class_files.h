// The bytes of made-up IDX files.
#pragma once

#include <string>
#include <vector>

#include <zlib.h>

#include "tests/unit/data_files.h"

namespace lookalike {

// A header that claims these dimensions, and the values as they are.
inline std::string idx_file(const std::vector<uint32_t>& dimensions, const std::string& values) {
  std::string bytes{0, 0, 8, static_cast<char>(dimensions.size())};
  for (const uint32_t size : dimensions)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
  return bytes + values;
}

inline std::string gzip(std::string bytes) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

}  // namespace lookalike
