#include "engine/io/digest.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace lookalike {
namespace {

constexpr size_t kBlock = 64;
using Block = std::array<uint32_t, 16>;

// The first 32 bits behind the binary point.
uint32_t fraction(double x) {
  return static_cast<uint32_t>((x - std::floor(x)) * 0x1p32);
}

std::array<uint32_t, 64> cube_roots_of_primes() {
  std::array<uint32_t, 64> roots;
  int found = 0;
  for (int n = 2; found < 64; n++) {
    bool prime = true;
    for (int d = 2; d * d <= n; d++) prime = prime && n % d != 0;
    if (prime) roots[found++] = fraction(std::cbrt(n));
  }
  return roots;
}

struct Sha256 {
  static constexpr std::endian kOrder = std::endian::big;
  std::vector<uint32_t> state;

  Sha256() {
    for (int prime : {2, 3, 5, 7, 11, 13, 17, 19}) state.push_back(fraction(std::sqrt(prime)));
  }
  void add(const Block& block) {
    static const auto constants = cube_roots_of_primes();
    std::array<uint32_t, 64> w;
    std::copy(block.begin(), block.end(), w.begin());
    for (int i = 16; i < 64; i++) {
      const uint32_t early = w[i - 15], late = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (std::rotr(early, 7) ^ std::rotr(early, 18) ^ early >> 3) +
             (std::rotr(late, 17) ^ std::rotr(late, 19) ^ late >> 10);
    }
    auto [a, b, c, d, e, f, g, h] =
        std::to_array<uint32_t, 8>({state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]});
    for (int i = 0; i < 64; i++) {
      const uint32_t first =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + w[i];
      const uint32_t second = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const uint32_t sums[] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += sums[i];
  }
};

struct Md5 {
  static constexpr std::endian kOrder = std::endian::little;
  std::vector<uint32_t> state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

  void add(const Block& block) {
    static constexpr int shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
      uint32_t mixed = 0;
      int word = 0;
      switch (i / 16) {
        case 0:
          mixed = (b & c) | (~b & d), word = i;
          break;
        case 1:
          mixed = (d & b) | (~d & c), word = 5 * i + 1;
          break;
        case 2:
          mixed = b ^ c ^ d, word = 3 * i + 5;
          break;
        default:
          mixed = c ^ (b | ~d), word = 7 * i;
      }
      const auto constant = static_cast<uint32_t>(std::floor(std::abs(std::sin(i + 1)) * 0x1p32));
      const uint32_t turned = std::rotl(a + mixed + constant + block[word % 16], shifts[i / 16][i % 4]);
      a = d, d = c, c = b, b += turned;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  }
};

// Splits bytes into blocks and pads the last as both standards do: a bit, zeros, the number of bits.
template <class Sum>
class Hasher {
 public:
  void update(std::string_view bytes) {
    total_ += bytes.size();
    if (!rest_.empty()) {
      const size_t more = std::min(kBlock - rest_.size(), bytes.size());
      rest_ += bytes.substr(0, more);
      bytes.remove_prefix(more);
      if (rest_.size() < kBlock) return;
      add(rest_);
      rest_.clear();
    }
    for (; bytes.size() >= kBlock; bytes.remove_prefix(kBlock)) add(bytes);
    rest_ = bytes;
  }
  std::string finish() {
    const uint64_t bits = 8 * total_;
    std::string padding(1 + (2 * kBlock - 9 - total_ % kBlock) % kBlock, '\0');
    padding[0] = '\x80';
    for (int i = 0; i < 8; i++) padding += static_cast<char>(bits >> 8 * (Sum::kOrder == std::endian::big ? 7 - i : i));
    update(padding);
    std::string text;
    for (uint32_t word : sum_.state) {
      if (Sum::kOrder == std::endian::little) word = __builtin_bswap32(word);
      text += fmt::format("{:08x}", word);
    }
    return text;
  }

 private:
  void add(std::string_view bytes) {
    Block block;
    std::memcpy(block.data(), bytes.data(), kBlock);
    if (Sum::kOrder == std::endian::big) {
      for (uint32_t& word : block) word = __builtin_bswap32(word);
    }
    sum_.add(block);
  }

  Sum sum_;
  std::string rest_;
  uint64_t total_ = 0;
};

template <class Sum>
std::string digest(std::string_view bytes) {
  Hasher<Sum> hasher;
  hasher.update(bytes);
  return hasher.finish();
}

template <class Sum>
std::string digest(const InputFile& file) {
  Hasher<Sum> hasher;
  std::string chunk;
  for (int64_t at = 0; at < file.size(); at += static_cast<int64_t>(chunk.size())) {
    chunk.resize(std::min<int64_t>(1 << 20, file.size() - at));
    file.read(at, chunk.data(), static_cast<int64_t>(chunk.size()));
    hasher.update(chunk);
  }
  return hasher.finish();
}

}  // namespace

std::string sha256(std::string_view bytes) {
  return digest<Sha256>(bytes);
}

std::string md5(std::string_view bytes) {
  return digest<Md5>(bytes);
}

std::string sha256(const InputFile& file) {
  return digest<Sha256>(file);
}

std::string md5(const InputFile& file) {
  return digest<Md5>(file);
}

}  // namespace lookalike
