#!/usr/bin/env bash
# resnet50_test.sh CHECK: ResNet50 of full size with random weights, both variants, gives torchvision's activations after every stage.
set -euo pipefail
check=$1 python=/usr/bin/python3
golden=$(cd "$(dirname "$0")/../golden" && pwd)
if ! "$python" -c 'import torchvision' 2>/dev/null; then
  echo "skipped: no torchvision in $python"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for variant in torchvision keras; do
  PYTHONPATH=$golden PYTHONDONTWRITEBYTECODE=1 "$python" - $variant "$work/$variant" <<'PYTHON'
import sys

import torch
import torchvision
from make_golden import nhwc, write_safetensors

variant, path = sys.argv[1:]
torch.manual_seed(0)
model = torchvision.models.resnet50()
for name, module in model.named_modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        scale = 0.2 if name.endswith("bn3") else 1  # as of trained networks: errors grow less from block to block
        torch.nn.init.uniform_(module.weight, 0.5 * scale, 1.5 * scale)
        torch.nn.init.normal_(module.bias, std=0.1)
        module.momentum = 1  # the forward pass below sets the running averages
        if variant == "keras":
            module.eps = 1.001e-5
    elif isinstance(module, torch.nn.Conv2d) and variant == "keras":
        module.bias = torch.nn.Parameter(0.1 * torch.randn(module.out_channels))
        if module.kernel_size == (3, 3) and module.stride == (2, 2):  # of a block
            module.stride = (1, 1)
            model.get_submodule(name.replace("conv2", "conv1")).stride = (2, 2)
images = torch.randn(2, 3, 224, 224)
with torch.no_grad():
    model(torch.randn(4, 3, 224, 224))
    model.double()
    tensors = {"images": nhwc(images)}
    for stage in range(1, 5):
        model.get_submodule(f"layer{stage}").register_forward_hook(
            lambda module, inputs, y, name=f"layer{stage}": tensors.update({name: nhwc(y)}))
    tensors["logits"] = model.eval()(images.double())
for name, value in model.state_dict().items():
    if not name.endswith("num_batches_tracked"):
        tensors[name] = nhwc(value) if value.dim() == 4 else value
write_safetensors(path, tensors)
PYTHON
  "$check" $variant "$work/$variant.safetensors"
done
