#!/usr/bin/env bash
# resnet50_test.sh LOOKALIKE: whole files of ResNet50 with random weights, as torchvision and Keras write them, are imported and give torchvision's
# activations after every block.
set -euo pipefail
lookalike=$1 python=/usr/bin/python3
root=$(cd "$(dirname "$0")/../.." && pwd)
if ! "$python" -c 'import torchvision' 2>/dev/null; then
  echo "skipped: ResNet50 against torchvision: no torchvision in $python"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PYTHONPATH=$root/weights PYTHONDONTWRITEBYTECODE=1 "$python" - "$work" <<'PYTHON'
import sys

import torch
import torchvision
from make_reference import stages_of, write_safetensors

try:
    import h5py
except ImportError:
    h5py = None


def network(keras):
    """Of random weights; Keras's variant is torchvision's with biases, another epsilon, and the stride in the first convolution of a block."""
    model = torchvision.models.resnet50()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            scale = 0.2 if name.endswith("bn3") else 1  # as of trained networks: errors grow less from block to block
            torch.nn.init.uniform_(module.weight, 0.5 * scale, 1.5 * scale)
            torch.nn.init.normal_(module.bias, std=0.1)
            module.momentum = 1  # the forward pass below sets the running averages
            if keras:
                module.eps = 1.001e-5
        elif isinstance(module, torch.nn.Conv2d) and keras:
            module.bias = torch.nn.Parameter(0.1 * torch.randn(module.out_channels))
            if module.kernel_size == (3, 3) and module.stride == (2, 2):  # of a block
                module.stride = (1, 1)
                model.get_submodule(name.replace("conv2", "conv1")).stride = (2, 2)
    with torch.no_grad():
        model(torch.randn(4, 3, 224, 224))
    return model


def write_keras(path, state):
    """Each layer a group in a group of the same name, kernels HWIO, the dense layer [in, out]."""
    leaves = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    with h5py.File(path, "w") as file:
        for name, value in state.items():
            *owner, leaf = name.split(".")
            if leaf == "num_batches_tracked":
                continue
            norm = "bn" in owner[-1] or owner[-2:] == ["downsample", "1"]
            if owner == ["fc"]:
                layer = "predictions"
            else:
                layer = "conv1" if len(owner) == 1 else "conv{}_block{}_{}".format(
                    int(owner[0][-1]) + 1, int(owner[1]) + 1, 0 if owner[2] == "downsample" else owner[2][-1])
                layer += "_bn" if norm else "_conv"
            keras_leaf = leaves.get(leaf) or {"weight": "gamma" if norm else "kernel", "bias": "beta" if norm else "bias"}[leaf]
            if value.dim() == 4:
                value = value.permute(2, 3, 1, 0)
            file[f"{layer}/{layer}/{keras_leaf}:0"] = (value.t() if value.dim() == 2 else value).numpy()


work = sys.argv[1]
torch.manual_seed(0)
for variant in ["torchvision", "keras"] if h5py else ["torchvision"]:
    model = network(variant == "keras")
    if variant == "keras":
        write_keras(f"{work}/keras.h5", model.state_dict())
    else:
        torch.save(model.state_dict(), f"{work}/torchvision.pth")
    stages = stages_of(model.double(), torch.randn(1, 3, 224, 224).double())
    write_safetensors(f"{work}/{variant}.reference", {name: value.float() for name, value in stages.items()})
PYTHON
# check FILE: imports it and compares every block with FILE's reference.
check() {
  local about
  if ! about=$("$lookalike" weights import "$1" --model resnet50 --allow-unknown --out "$work/model.safetensors" 2>&1); then
    echo "$about"
    [[ $about == *"without the HDF5 library"* ]] && return
    return 1
  fi
  "$lookalike" weights verify "$work/model.safetensors" --reference "${1%.*}.reference"
}
check "$work/torchvision.pth"
if [[ -e $work/keras.h5 ]]; then check "$work/keras.h5"; else echo "skipped: Keras's file of ResNet50: no h5py in $python"; fi
