#!/usr/bin/env bash
# package_gpu.sh [FOLDER]: builds for sm_90a and gathers what bench/gpu_report.sh needs on a machine with a GPU and nothing installed: stripped binaries,
# the shared libraries they want (not cuBLAS, cuDNN or PyTorch, which are looked for there) and the scripts. Default folder: build-package/gpu.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v nvcc >/dev/null || { echo "skipped: there is no nvcc"; exit 0; }
folder=${1:-build-package/gpu}
programs=(tests/gpu_test bench/gpu_bench bench/train_bench)
cmake -S . -B build-package -G Ninja -DLOOKALIKE_GPU=cuda -DCMAKE_CUDA_ARCHITECTURES=90a-real -DCMAKE_CUDA_FLAGS=--compress-mode=size >/dev/null
cmake --build build-package --target gpu_test gpu_bench train_bench
rm -rf "$folder"
mkdir -p "$folder/lib" "$folder/peers"
for program in "${programs[@]}"; do
  strip -o "$folder/$(basename "$program")" "build-package/$program"
  # The C library and the driver are the machine's own.
  ldd "build-package/$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
    { grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux.*|libcuda)\.so' || true; } | xargs -r -I{} cp -Ln {} "$folder/lib/"
done
cp bench/gpu_report.sh "$folder/"
cp bench/peers/*.py "$folder/peers/"
size=$(du -sm "$folder" | cut -f1)
echo "$folder: $size MiB"
((size < 64)) || { echo "more than 64 MiB"; exit 1; }
