#!/usr/bin/env python3
"""The PyTorch twin of our training step, timed: same network, loss, optimiser, batch and threads as bench/train_bench.

    train_torch.py MODEL... [--device cuda] [--autocast] [--channels-last] [--compile] [--mode MODE] [--fused] [--seconds S]

MODEL: siamese_cnn, convnet_bn, autoencoder, resnet50 or efficientnet_lite0. Prints one line of JSON for each. Runs on PyTorch 1.13 (Debian's python3-torch) and on the newest one; data is random and in
memory, so that nothing but the training step is measured. Steps run until S seconds have passed after the warm-up.
"""
import argparse
import json
import os
import pathlib
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class SiameseCnn(nn.Module):
    pairs, size, channels = 32, 64, 3

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.dense = nn.Linear(128 * (self.size // 4) ** 2, 128)

    def forward(self, images):
        return F.normalize(self.dense(self.features(images).flatten(1)))

    def loss(self, images):
        return batch_hard_triplet(self(images), margin=0.5)

    def optimizer(self, **options):
        return torch.optim.Adam(self.parameters(), lr=1e-6, **options)


class ConvnetBn(nn.Module):
    pairs, size, channels = 64, 64, 3
    widths = (32, 32, 64, 64, 128, 128, 128)

    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for i, width in enumerate(self.widths, start=1):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
                       nn.LeakyReLU(0.1, inplace=True)]
            if i % 2 == 0:
                layers.append(nn.MaxPool2d(2))
            inputs = width
        self.features = nn.Sequential(*layers)
        self.dense = nn.Linear(inputs, 128)

    def forward(self, images):
        return F.normalize(self.dense(self.features(images).mean((2, 3))))

    def loss(self, images):
        left, right = images.chunk(2)  # two passes: batch norm keeps its statistics per view
        return nt_xent(self(left), self(right), temperature=0.1)

    def optimizer(self, **options):
        return torch.optim.AdamW(self.parameters(), lr=2e-3, weight_decay=0.05, **options)


class Crop(nn.Module):
    """Without the last row and column: a transposed convolution of stride 2 then doubles an image, as Keras's "same" does."""

    def forward(self, x):
        return x[..., :-1, :-1]


class Autoencoder(nn.Module):
    pairs, size, channels = 16, 128, 1
    filters, decoder_filters, slope = (32, 32, 32), (16, 16, 16), 0.3

    def __init__(self):
        super().__init__()
        layers, inputs = [], self.channels
        for width in self.filters:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(self.slope, inplace=True), nn.MaxPool2d(2)]
            inputs = width
        self.encoder = nn.Sequential(*layers)
        layers = []
        for width in self.decoder_filters:
            layers += [nn.ConvTranspose2d(inputs, width, 3, stride=2), nn.LeakyReLU(self.slope, inplace=True), Crop()]
            inputs = width
        self.decoder = nn.Sequential(*layers, nn.Conv2d(inputs, self.channels, 3, padding=1))

    def forward(self, images):
        return self.encoder(images).flatten(1)

    def draw(self, images):
        """Logits of pictures."""
        return self.decoder(self.encoder(images))

    def loss(self, images):
        return F.binary_cross_entropy_with_logits(self.draw(images), images)

    def optimizer(self, **options):
        return torch.optim.Adam(self.parameters(), lr=1e-3, **options)


class ResNet50(nn.Module):
    pairs, size, channels = 8, 224, 3

    def __init__(self):
        super().__init__()
        from torchvision.models import resnet50
        self.backbone = resnet50()
        self.backbone.fc = nn.Identity()

    def forward(self, images):
        return F.normalize(self.backbone(images))

    def loss(self, images):
        left, right = images.chunk(2)
        return batch_hard_triplet(torch.cat([self(left), self(right)]), margin=0.5)

    def optimizer(self, **options):
        return torch.optim.SGD(self.parameters(), lr=1e-2, momentum=0.9, **options)


class EfficientNetLite0(nn.Module):
    pairs, size, channels = 32, 224, 3

    def __init__(self):
        super().__init__()
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/golden"))
        from make_pretrained import EfficientNetLite
        self.backbone = EfficientNetLite()
        del self.backbone.fc  # the classes have no part in it
        self.dense = nn.Linear(1280, 256)

    def forward(self, images):
        x = self.backbone.stem(images)
        for block in self.backbone.stages.values():
            x = block(x)
        return F.normalize(self.dense(F.dropout(self.backbone.top(x).mean((2, 3)), 0.3)))

    def loss(self, images):
        left, right = images.chunk(2)
        return nt_xent(self(left), self(right), temperature=0.05)

    def optimizer(self, **options):
        return torch.optim.AdamW(self.parameters(), lr=2e-4, weight_decay=0.05, **options)


def batch_hard_triplet(embeddings, margin):
    """Row i and row N + i are a pair; every row is an anchor, its negative the nearest row of another pair."""
    n = len(embeddings) // 2
    squared = (2 - 2 * embeddings @ embeddings.T).clamp(min=1e-12)
    pair = torch.arange(2 * n, device=embeddings.device) % n
    nearest = squared.masked_fill(pair[:, None] == pair[None], float("inf")).min(1).values
    positive = (embeddings - embeddings.roll(n, 0)).pow(2).sum(1).clamp(min=1e-12)
    return F.relu(positive.sqrt() - nearest.sqrt() + margin).mean()


def nt_xent(left, right, temperature):
    logits = left @ right.T / temperature
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


MODELS = {"siamese_cnn": SiameseCnn, "convnet_bn": ConvnetBn, "autoencoder": Autoencoder, "resnet50": ResNet50, "efficientnet_lite0": EfficientNetLite0}


def train(name, args):
    torch.manual_seed(0)
    model = MODELS[name]()
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    model = model.to(args.device, memory_format=layout)
    images = 2 * model.pairs
    shape = (images, model.channels, model.size, model.size)
    batches = [torch.rand(shape).contiguous(memory_format=layout).to(args.device) for _ in range(4)]
    optimizer = model.optimizer(**({"fused": True} if args.fused else {}))
    loss_of = torch.compile(model.loss, mode=args.mode) if args.compile else model.loss

    def step(i):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.autocast):
            loss = loss_of(batches[i % len(batches)])
        loss.backward()
        optimizer.step()
        return loss

    # Reading a loss waits for the device: on the GPU only every so many steps, as our trainer does.
    stretch = 16 if args.device == "cuda" else 1
    for i in range(3):
        step(i).item()
    steps, times, start = 0, [], time.perf_counter()
    while (now := time.perf_counter()) - start < args.seconds or steps < 3:
        for _ in range(stretch - 1):
            step(steps)
            steps += 1
        loss = step(steps).item()
        times.append((time.perf_counter() - now) / stretch)
        steps += 1
    seconds = time.perf_counter() - start
    print(json.dumps({"model": name, "images_per_s": steps * images / seconds,
                      "best_images_per_s": images / min(times), "steps": steps, "loss": loss,
                      "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", choices=MODELS)
    parser.add_argument("--channels-last", action="store_true", help="NHWC memory format")
    parser.add_argument("--compile", action="store_true", help="torch.compile the loss (PyTorch 2)")
    parser.add_argument("--mode", help="of torch.compile, such as reduce-overhead, which records CUDA graphs")
    parser.add_argument("--fused", action="store_true", help="the fused optimiser (PyTorch 2)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--autocast", action="store_true", help="bf16 where PyTorch deems it safe")
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # its own count can come out as 1 on virtual machines
    for name in args.models:
        train(name, args)


if __name__ == "__main__":
    main()
