#include "kernels/conv2d_pooled.h"
#include "kernels/conv2d_pooled_tile.h"
#include "kernels/conv2d_windows.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

constexpr int64_t kSweptFloats = 9216;    // that one pass over a list or over many lists keeps in the first-level cache
constexpr int64_t kListEntries = 32768;   // of a band's lists
constexpr int64_t kScatteredPixels = 64;  // that one load of weights into the first-level cache serves

const PooledTiles& tiles() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::kPooledTiles;
  if (isa() == Isa::avx2) return avx2::kPooledTiles;
#endif
  return base::kPooledTiles;
}

// Lists lie in the workspace of floats.
static_assert(sizeof(int32_t) == sizeof(float));
constexpr int64_t list_floats(int64_t lists, int64_t capacity) {
  return lists * (2 * capacity + 1);
}
PooledLists make_lists(float* workspace, int64_t lists, int64_t capacity) {
  auto* at = reinterpret_cast<int32_t*>(workspace);
  return {at, workspace + lists * capacity, at + 2 * lists * capacity, capacity};
}

struct WeightPlan {
  int64_t pitch;  // of a window's row in the sums
  Windows windows;
  int64_t items, channel_floats, group_floats, groups;

  explicit WeightPlan(const Conv2dParams& p)
      : pitch(round_up(p.kernel_w * p.in_c, tiles().lanes)),
        windows(p, band_rows(p), pitch != p.kernel_w * p.in_c),
        items(p.batch * windows.bands.count),
        channel_floats(p.kernel_h * pitch),
        group_floats(p.out_c * (channel_floats + 1)),
        groups(weight_groups(items, group_floats)) {}

  int64_t capacity() const { return windows.bands.height() / 2 * windows.p.y_w() + tiles().lanes; }
  // Vectors read up to a vector behind the last window.
  int64_t band_floats() const { return round_up(windows.scratch() + tiles().lanes, 16); }
  int64_t scratch() const { return round_up(band_floats() + list_floats(windows.p.out_c, capacity()), 16); }

 private:
  static int64_t band_rows(const Conv2dParams& p) {
    const int64_t in_row = (p.in_w + p.pad_left + p.pad_right) * p.in_c * p.stride;
    return 2 * std::max<int64_t>(1, std::min(kSweptFloats / (2 * in_row), kListEntries / (p.y_w() * p.out_c)));
  }
};

struct DataPlan {
  int64_t taps, lanes, planes;  // planes: vectors of channels of an input pixel
  int64_t columns, rows;        // of a padded plane
  int64_t part_channels;        // whose weights for one plane stay in the first-level cache
  int64_t band;                 // pooled rows

  explicit DataPlan(const Conv2dParams& p)
      : taps(p.kernel_h * p.kernel_w),
        lanes(tiles().lanes),
        planes((p.in_c + lanes - 1) / lanes),
        columns((2 * p.y_w() - 1) * p.stride + p.kernel_w),
        rows((2 * p.y_h() - 1) * p.stride + p.kernel_h),
        part_channels(std::min(p.out_c, std::max<int64_t>(1, kSweptFloats / (taps * lanes)))),
        band(std::min(p.y_h(), std::max<int64_t>(1, kScatteredPixels / p.y_w()))) {}

  int64_t plane_floats() const { return rows * columns * lanes; }
  int64_t weight_floats(int64_t out_c) const { return planes * out_c * taps * lanes; }
  int64_t capacity() const { return part_channels + lanes; }
  int64_t lists(int64_t y_w) const { return band * y_w * 4; }
  int64_t scratch(int64_t y_w) const {
    return round_up(planes * plane_floats() + list_floats(lists(y_w), capacity()), 16);
  }
};

}  // namespace

bool backward_weights_is_pooled(const Conv2dParams& p) {
  return p.pool == 2 && 2 * p.kernel_w * p.in_c >= tiles().lanes;
}

bool backward_data_is_pooled(const Conv2dParams& p) {
  return p.pool == 2 && 2 * p.in_c >= tiles().lanes && p.kernel_h * p.kernel_w <= tiles().most_taps;
}

int64_t pooled_backward_weights_workspace(const Conv2dParams& p) {
  const WeightPlan plan(p);
  return round_up(plan.groups * plan.group_floats, 16) + omp_get_max_threads() * plan.scratch();
}

void pooled_backward_weights(const Conv2dParams& p, const float* x, const float* dy, const float* y,
                             const uint8_t* argmax, float* dw, float* dbias, float* workspace) {
  const PooledTiles& t = tiles();
  const WeightPlan plan(p);
  const Windows& windows = plan.windows;
  float *partials = workspace, *scratches = partials + round_up(plan.groups * plan.group_floats, 16);
  // A group's sums: dw[out_c][kernel_h][pitch], then dbias.
  parallel_for(plan.groups, 1, [&](int64_t begin, int64_t end) {
    float* scratch = scratches + omp_get_thread_num() * plan.scratch();
    const PooledLists lists = make_lists(scratch + plan.band_floats(), p.out_c, plan.capacity());
    for (int64_t group = begin; group < end; group++) {
      float* sums = partials + group * plan.group_floats;
      std::fill_n(sums, plan.group_floats, 0.0f);
      for (int64_t i = plan.items * group / plan.groups; i < plan.items * (group + 1) / plan.groups; i++) {
        const int64_t n = i / windows.bands.count, band = i % windows.bands.count;
        const int64_t row = windows.bands.begin(band), count = windows.bands.begin(band + 1) - row;
        if (count == 0) continue;
        const Correlation c = windows.correlation(count);
        t.gather_by_channel(gradient_of(p, dy, y, argmax, n), row / 2, count / 2, c.right, c.down, lists,
                            sums + p.out_c * plan.channel_floats);
        const float* in = windows.fill(x + n * p.in_h * p.in_w * p.in_c, row, count, scratch);
        t.weight_gradient(c, in, lists, sums);
      }
    }
  });
  const int64_t run = p.kernel_w * p.in_c;
  parallel_for(p.out_c * p.kernel_h, 64, [&](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++) {
        float* to = dw + i * run;
        std::fill_n(to, run, 0.0f);
        for (int64_t group = 0; group < plan.groups; group++) {
          const float* from = partials + group * plan.group_floats + i * plan.pitch;
#pragma GCC ivdep
          for (int64_t j = 0; j < run; j++) to[j] += from[j];
        }
      }
    });
  });
  if (!dbias) return;
  std::fill_n(dbias, p.out_c, 0.0f);
  for (int64_t group = 0; group < plan.groups; group++)
    for (int64_t k = 0; k < p.out_c; k++)
      dbias[k] += partials[group * plan.group_floats + p.out_c * plan.channel_floats + k];
}

int64_t pooled_backward_data_workspace(const Conv2dParams& p) {
  const DataPlan plan(p);
  return plan.weight_floats(p.out_c) + omp_get_max_threads() * plan.scratch(p.y_w());
}

void pooled_backward_data(const Conv2dParams& p, const float* dy, const float* y, const uint8_t* argmax, const float* w,
                          float* dx, float* workspace) {
  const PooledTiles& t = tiles();
  const DataPlan plan(p);
  const int64_t lanes = plan.lanes, taps = plan.taps;
  // w[out_c, taps, in_c] -> packed[plane][out_c][taps][lanes], zero-filled behind in_c.
  float *packed = workspace, *scratches = workspace + plan.weight_floats(p.out_c);
  parallel_for(plan.planes * p.out_c, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * taps; i < end * taps; i++) {
      const int64_t plane = i / (p.out_c * taps), tap = i % (p.out_c * taps);
      const int64_t first = plane * lanes, count = std::min(lanes, p.in_c - first);
      std::copy_n(w + tap * p.in_c + first, count, packed + i * lanes);
      std::fill_n(packed + i * lanes + count, lanes - count, 0.0f);
    }
  });

  // Offsets in a plane, which is a padded image of `lanes` channels.
  const int64_t right = p.stride * lanes, below = plan.columns * lanes, down = p.stride * below;
  const int64_t place_at[4] = {0, right, down, down + right};
  parallel_for(p.batch, 1, [&](int64_t begin, int64_t end) {
    int64_t tap_at[64];
    for (int64_t tap = 0; tap < taps; tap++) tap_at[tap] = tap / p.kernel_w * below + tap % p.kernel_w * lanes;
    float* planes = scratches + omp_get_thread_num() * plan.scratch(p.y_w());
    const PooledLists lists =
        make_lists(planes + plan.planes * plan.plane_floats(), plan.lists(p.y_w()), plan.capacity());
    const auto lists_of_row = [&](int64_t i) {
      const int64_t first = i * p.y_w() * 4;
      return PooledLists{lists.at + first * lists.capacity, lists.value + first * lists.capacity, lists.count + first,
                         lists.capacity};
    };
    for (int64_t n = begin; n < end; n++) {
      const OutputGradient gradient = gradient_of(p, dy, y, argmax, n);
      std::fill_n(planes, plan.planes * plan.plane_floats(), 0.0f);
      for (int64_t row = 0; row < p.y_h(); row += plan.band)
        for (int64_t first = 0; first < p.out_c; first += plan.part_channels) {
          const int64_t rows = std::min(plan.band, p.y_h() - row);
          const int64_t channels = std::min(plan.part_channels, p.out_c - first);
          for (int64_t i = 0; i < rows; i++)
            t.gather_by_place(gradient, row + i, first, channels, taps * lanes, lists_of_row(i));
          for (int64_t plane = 0; plane < plan.planes; plane++)
            for (int64_t i = 0; i < rows; i++)
              t.scatter(taps, lists_of_row(i), p.y_w(), packed + (plane * p.out_c + first) * taps * lanes, tap_at,
                        place_at, 2 * right, planes + plane * plan.plane_floats() + (row + i) * 2 * down);
        }
      for (int64_t h = 0; h < p.in_h; h++)
        for (int64_t v = 0; v < p.in_w; v++) {
          float* to = dx + ((n * p.in_h + h) * p.in_w + v) * p.in_c;
          const int64_t from_row = h + p.pad_top, from_column = v + p.pad_left;
          const bool inside = from_row < plan.rows && from_column < plan.columns;
          for (int64_t plane = 0; plane < plan.planes; plane++, to += lanes) {
            const int64_t count = std::min(lanes, p.in_c - plane * lanes);
            if (inside)
              std::copy_n(planes + plane * plan.plane_floats() + from_row * below + from_column * lanes, count, to);
            else
              std::fill_n(to, count, 0.0f);
          }
        }
    }
  });
}

}  // namespace lookalike::cpu
