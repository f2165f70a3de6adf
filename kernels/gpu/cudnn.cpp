#include "kernels/gpu/cudnn.h"

#ifdef LOOKALIKE_HAS_CUDNN

#include <array>
#include <map>
#include <memory>
#include <span>
#include <tuple>

#include <cudnn.h>
#include <fmt/format.h>

#include "kernels/gpu/shared_library.h"

namespace lookalike::cudnn {
namespace {

// The emulator's device memory is the host's, which cuDNN cannot use: a library of another name may stand in for it there.
#ifdef LOOKALIKE_SIMT
constexpr const char* kLibrary = "libcudnn_simt.so.9";
#else
constexpr const char* kLibrary = "libcudnn.so.9";
#endif

struct Library {
  gpu::SharedLibrary file{{kLibrary}};
#define LOOKALIKE_CUDNN(name) decltype(&cudnn##name) name = file.function<decltype(cudnn##name)>("cudnn" #name)
  LOOKALIKE_CUDNN(GetErrorString);
  LOOKALIKE_CUDNN(Create);
  LOOKALIKE_CUDNN(Destroy);
  LOOKALIKE_CUDNN(SetStream);
  LOOKALIKE_CUDNN(CreateTensorDescriptor);
  LOOKALIKE_CUDNN(DestroyTensorDescriptor);
  LOOKALIKE_CUDNN(SetTensor4dDescriptor);
  LOOKALIKE_CUDNN(CreateFilterDescriptor);
  LOOKALIKE_CUDNN(DestroyFilterDescriptor);
  LOOKALIKE_CUDNN(SetFilter4dDescriptor);
  LOOKALIKE_CUDNN(CreateConvolutionDescriptor);
  LOOKALIKE_CUDNN(DestroyConvolutionDescriptor);
  LOOKALIKE_CUDNN(SetConvolution2dDescriptor);
  LOOKALIKE_CUDNN(SetConvolutionMathType);
  LOOKALIKE_CUDNN(GetConvolutionForwardAlgorithm_v7);
  LOOKALIKE_CUDNN(GetConvolutionForwardWorkspaceSize);
  LOOKALIKE_CUDNN(ConvolutionForward);
  LOOKALIKE_CUDNN(GetConvolutionBackwardDataAlgorithm_v7);
  LOOKALIKE_CUDNN(GetConvolutionBackwardDataWorkspaceSize);
  LOOKALIKE_CUDNN(ConvolutionBackwardData);
  LOOKALIKE_CUDNN(GetConvolutionBackwardFilterAlgorithm_v7);
  LOOKALIKE_CUDNN(GetConvolutionBackwardFilterWorkspaceSize);
  LOOKALIKE_CUDNN(ConvolutionBackwardFilter);
#undef LOOKALIKE_CUDNN
};

const Library& library() {
  static const Library result;
  return result;
}

void check(cudnnStatus_t status, const std::string& what) {
  if (status != CUDNN_STATUS_SUCCESS) throw gpu::Failure(fmt::format("{}: {}", what, library().GetErrorString(status)));
}

template <class T>
using Owned = std::shared_ptr<std::remove_pointer_t<T>>;

template <class T>
Owned<T> make(cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T), const char* what) {
  T made;
  check(create(&made), what);
  return {made, destroy};
}

// A handle serves one thread at a time.
cudnnHandle_t handle() {
  thread_local const auto result = make(library().Create, library().Destroy, "cudnnCreate");
  return result.get();
}

struct Descriptors {
  Owned<cudnnTensorDescriptor_t> x, z;
  Owned<cudnnFilterDescriptor_t> w;
  Owned<cudnnConvolutionDescriptor_t> conv;
};

struct Forward {
  using Choice = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr const char* kName = "cudnnConvolutionForward";
  static constexpr auto kChoose = &Library::GetConvolutionForwardAlgorithm_v7;
  static constexpr auto kWorkspace = &Library::GetConvolutionForwardWorkspaceSize;
  static constexpr auto kMultiply = &Library::ConvolutionForward;
  static auto arrays(const Descriptors& of) { return std::tuple(of.x.get(), of.w.get(), of.z.get()); }
};

struct BackwardData {
  using Choice = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr const char* kName = "cudnnConvolutionBackwardData";
  static constexpr auto kChoose = &Library::GetConvolutionBackwardDataAlgorithm_v7;
  static constexpr auto kWorkspace = &Library::GetConvolutionBackwardDataWorkspaceSize;
  static constexpr auto kMultiply = &Library::ConvolutionBackwardData;
  static auto arrays(const Descriptors& of) { return std::tuple(of.w.get(), of.z.get(), of.x.get()); }
};

struct BackwardWeights {
  using Choice = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr const char* kName = "cudnnConvolutionBackwardFilter";
  static constexpr auto kChoose = &Library::GetConvolutionBackwardFilterAlgorithm_v7;
  static constexpr auto kWorkspace = &Library::GetConvolutionBackwardFilterWorkspaceSize;
  static constexpr auto kMultiply = &Library::ConvolutionBackwardFilter;
  static auto arrays(const Descriptors& of) { return std::tuple(of.x.get(), of.z.get(), of.w.get()); }
};

// body() with the struct of a pass.
template <class Body>
auto with_pass(Pass pass, const Body& body) {
  switch (pass) {
    case Pass::forward:
      return body(Forward{});
    case Pass::backward_data:
      return body(BackwardData{});
    default:
      return body(BackwardWeights{});
  }
}

Descriptors describe(const Conv2dParams& p, bool bf16) {
  const Library& c = library();
  const auto type = bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const auto small = [](int64_t n) { return static_cast<int>(n); };
  const char* const what = "describing a convolution to cuDNN";
  Descriptors made{make(c.CreateTensorDescriptor, c.DestroyTensorDescriptor, what),
                   make(c.CreateTensorDescriptor, c.DestroyTensorDescriptor, what),
                   make(c.CreateFilterDescriptor, c.DestroyFilterDescriptor, what),
                   make(c.CreateConvolutionDescriptor, c.DestroyConvolutionDescriptor, what)};
  // Sizes in the order n, c, h, w whatever the layout.
  check(c.SetTensor4dDescriptor(made.x.get(), CUDNN_TENSOR_NHWC, type, small(p.batch), small(p.in_c), small(p.in_h),
                                small(p.in_w)),
        what);
  check(c.SetTensor4dDescriptor(made.z.get(), CUDNN_TENSOR_NHWC, type, small(p.batch), small(p.out_c), small(p.out_h()),
                                small(p.out_w())),
        what);
  check(c.SetFilter4dDescriptor(made.w.get(), type, CUDNN_TENSOR_NHWC, small(p.out_c), small(p.in_c), small(p.kernel_h),
                                small(p.kernel_w)),
        what);
  const int stride = small(p.stride);
  check(c.SetConvolution2dDescriptor(made.conv.get(), small(p.pad_top), small(p.pad_left), stride, stride, 1, 1,
                                     CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
        what);
  return made;
}

template <class P>
struct Plan {
  Descriptors of;
  decltype(P::Choice::algo) algorithm;
  size_t bytes;
};

template <class P>
Plan<P> make_plan(const Conv2dParams& p, bool bf16) {
  constexpr int kChoices = 32;
  constexpr size_t kMostBytes = size_t{1} << 30;
  const Library& c = library();
  const Descriptors of = describe(p, bf16);
  const auto [a, b, result] = P::arrays(of);
  const std::string what =
      fmt::format("{} of {}x{}x{}x{} and {}x{}x{}x{}, stride {}, padding {} and {}", P::kName, p.batch, p.in_h, p.in_w,
                  p.in_c, p.out_c, p.kernel_h, p.kernel_w, p.in_c, p.stride, p.pad_top, p.pad_left);
  const auto math = bf16 ? CUDNN_TENSOR_OP_MATH : p.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
  check(c.SetConvolutionMathType(of.conv.get(), math), what);
  std::array<typename P::Choice, kChoices> choices;
  int found = 0;
  check((c.*P::kChoose)(handle(), a, b, of.conv.get(), result, kChoices, &found, choices.data()), what);
  for (const auto& choice : std::span(choices).first(found)) {
    if (choice.status != CUDNN_STATUS_SUCCESS || choice.determinism != CUDNN_DETERMINISTIC) continue;
    // A choice is an algorithm with its math; but fp32 stays fp32.
    if (math != CUDNN_FMA_MATH) check(c.SetConvolutionMathType(of.conv.get(), choice.mathType), what);
    size_t bytes = 0;
    const auto status = (c.*P::kWorkspace)(handle(), a, b, of.conv.get(), result, choice.algo, &bytes);
    if (status == CUDNN_STATUS_SUCCESS && bytes <= kMostBytes) return {of, choice.algo, bytes};
  }
  throw gpu::Failure(what + ": cuDNN has no algorithm that repeats bit for bit");
}

template <class P>
const Plan<P>& plan_of(const Conv2dParams& p, bool bf16) {
  using Key = std::array<int64_t, 12>;
  thread_local std::map<Key, Plan<P>> plans;
  const Key key{p.batch,    p.in_h,   p.in_w,    p.in_c,     p.out_c, p.kernel_h,
                p.kernel_w, p.stride, p.pad_top, p.pad_left, p.tf32,  bf16};
  auto plan = plans.find(key);
  if (plan == plans.end()) plan = plans.emplace(key, make_plan<P>(p, bf16)).first;
  return plan->second;
}

}  // namespace

std::string why_not() {
  static const std::string result = [] {
    if (!library().file.why_not().empty()) return library().file.why_not();
    try {
      handle();
      return std::string();
    } catch (const gpu::Failure& failure) {
      return std::string(failure.what());
    }
  }();
  return result;
}

int64_t workspace_bytes(Pass pass, const Conv2dParams& p, bool bf16) {
  return with_pass(pass, [&]<class P>(P) { return static_cast<int64_t>(plan_of<P>(p, bf16).bytes); });
}

void multiply(Pass pass, const Conv2dParams& p, bool bf16, const void* a, const void* b, void* result, void* workspace,
              gpu::Stream stream) {
  with_pass(pass, [&]<class P>(P) {
    const Plan<P>& plan = plan_of<P>(p, bf16);
    const auto [of_a, of_b, of_result] = P::arrays(plan.of);
    const float one = 1, zero = 0;
    check(library().SetStream(handle(), stream), "cudnnSetStream");
    check((library().*P::kMultiply)(handle(), &one, of_a, a, of_b, b, plan.of.conv.get(), plan.algorithm, workspace,
                                    plan.bytes, &zero, of_result, result),
          P::kName);
  });
}

}  // namespace lookalike::cudnn

#else

namespace lookalike::cudnn {

std::string why_not() {
  return "this build has no cuDNN, whose header cudnn.h was not found";
}

int64_t workspace_bytes(Pass, const Conv2dParams&, bool) {
  throw gpu::Failure(why_not());
}

void multiply(Pass, const Conv2dParams&, bool, const void*, const void*, void*, void*, gpu::Stream) {
  throw gpu::Failure(why_not());
}

}  // namespace lookalike::cudnn

#endif
