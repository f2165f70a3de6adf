#!/usr/bin/env python3
"""Records what torchvision's ResNet50 makes of an image, for `lookalike weights verify MODEL --reference FILE`.

    weights/make_reference.py resnet50-0676ba61.pth reference.safetensors

Needs torch and torchvision. FILE holds "input", random numbers [1,224,224,3], and "stage.NAME" for each layer: NHWC, in evaluation mode.
"""
import argparse
import json
import pathlib
import struct

import torch
import torchvision


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().contiguous().numpy()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def stages_of(network, image):
    """What each layer of torchvision's ResNet50 makes of an image [1,3,H,W] in evaluation mode: "input" and "stage.NAME", NHWC."""
    stages = {"input": image.permute(0, 2, 3, 1)}

    def record(module, name):
        def keep(_, __, y):
            stages[f"stage.{name}"] = y.permute(0, 2, 3, 1) if y.shape[2:] and name != "pool" else y.flatten(1)
        module.register_forward_hook(keep)

    # Our batch norm has the ReLU behind it.
    for module, name in ((network.conv1, "conv1"), (network.relu, "bn1"), (network.maxpool, "maxpool"),
                         (network.avgpool, "pool"), (network.fc, "fc")):
        record(module, name)
    for stage in range(1, 5):
        for i, block in enumerate(getattr(network, f"layer{stage}")):
            record(block, f"layer{stage}.{i}")
    with torch.no_grad():
        network.eval()(image)
    return stages


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a state dict of torchvision's ResNet50 (.pth)")
    parser.add_argument("out", help="the .safetensors file to write")
    arguments = parser.parse_args()

    state = torch.load(arguments.weights, map_location="cpu")
    network = torchvision.models.resnet50(num_classes=len(state["fc.bias"]))
    network.load_state_dict(state)
    torch.manual_seed(0)
    write_safetensors(arguments.out, stages_of(network, torch.randn(1, 3, 224, 224)))


if __name__ == "__main__":
    main()
