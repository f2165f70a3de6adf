#!/usr/bin/env bash
# package_gpu.sh [FOLDER]: builds for sm_90a and gathers what bench/gpu_report.sh needs on a machine with a GPU and nothing installed: stripped binaries,
# the shared libraries they want (not cuBLAS, cuDNN or PyTorch, which are looked for there) and the scripts; FOLDER.tar.xz holds the same in a third of
# the size. Default folder: build-package/gpu. There: tar xf gpu.tar.xz && gpu/bench/gpu_report.sh
set -euo pipefail
cd "$(dirname "$0")/.."
command -v nvcc >/dev/null || { echo "skipped: there is no nvcc"; exit 0; }
folder=${1:-build-package/gpu}
programs=(lookalike tests/gpu_test tests/make_pairs bench/gpu_bench bench/train_bench bench/embed_bench)
cmake -S . -B build-package -G Ninja -DLOOKALIKE_GPU=cuda -DCMAKE_CUDA_ARCHITECTURES=90a-real -DCMAKE_CUDA_FLAGS=--compress-mode=size >/dev/null
cmake --build build-package --target $(basename -a "${programs[@]}")
rm -rf "$folder"
mkdir -p "$folder"/{lib,bench,tests}
for program in "${programs[@]}"; do
  strip -o "$folder/$(basename "$program")" "build-package/$program"
  # The C library and the driver are the machine's own.
  ldd "build-package/$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
    { grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux.*|libcuda)\.so' || true; } | xargs -r -I{} cp -Ln {} "$folder/lib/"
done
cp -r bench/gpu_report.sh bench/peers "$folder/bench/"
cp -r tests/golden tests/e2e "$folder/tests/"
cp -r models "$folder/"
find "$folder/tests/golden" "$folder/models" -type f ! -name '*.py' ! -name '*.toml' -delete
# The binaries share most of their kernels, so a dictionary that spans them all is what makes it small.
tar -C "$(dirname "$folder")" -c "$(basename "$folder")" | xz --lzma2=preset=6,dict=256MiB >"$folder.tar.xz"
du -m "$folder.tar.xz"
