#!/usr/bin/env python3
"""Golden values: what PyTorch computes for our ops, losses, optimisers and networks. README.md tells how to run it.

Inputs are rounded to float, so that float and double runs start from the same numbers; everything is computed in
double. Tensors lie in our layouts: activations NHWC, convolution weights KRSC, linear weights [out, in].
"""
import json
import pathlib
import struct

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent


def write_safetensors(name, tensors, keep_types=False):
    """Inputs that floats hold are stored as floats, everything else as doubles, unless the types are kept."""
    header, data = {}, b""
    for key, tensor in tensors.items():
        values = tensor.detach().contiguous().numpy()
        if not keep_types and tensor.dtype == torch.float64 and (values.astype("float32") == values).all():
            values = values.astype("float32")
        kind = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint8": "U8"}[str(values.dtype)]
        header[key] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def random(*shape, scale=1.0, shift=0.0):
    """Normal numbers that a float can hold."""
    return (torch.randn(*shape) * scale + shift).float().double()


def run_case(tensors, name, function, **inputs):
    """Stores the inputs of y = function(*inputs), y, a random dy (1 where y is a scalar) and the gradients d<input>."""
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    y = function(*leaves.values())
    dy = random(*y.shape) if y.dim() else torch.ones((), dtype=y.dtype)
    y.backward(dy)
    stored = {**inputs, "y": y, "dy": dy, **{f"d{key}": leaf.grad for key, leaf in leaves.items()}}
    tensors.update({f"{name}.{key}": value for key, value in stored.items()})


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv2d(x, weight, bias=None, stride=1, padding=0):
    return nhwc(F.conv2d(nchw(x), nchw(weight), bias, stride, padding))


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0):
    """weight: [in, height, width, out]. output_padding -1: without the last row and column."""
    y = F.conv_transpose2d(nchw(x), nchw(weight), bias, stride, padding, max(output_padding, 0))
    return nhwc(y if output_padding >= 0 else y[..., :-1, :-1])


def max_pool(x, size=2, stride=2, padding=0):
    return nhwc(F.max_pool2d(nchw(x), size, stride, padding))


def batch_norm(x, gamma, beta, running_mean, running_variance, training, epsilon=1e-5, momentum=0.1):
    """Each view normalised by itself, one after the other; the running averages change in place."""
    channels_second = nchw if x.dim() == 4 else lambda v: v
    views = x.chunk(2) if training else [x]
    ys = [F.batch_norm(channels_second(v), running_mean, running_variance, gamma, beta, training, momentum, epsilon)
          for v in views]
    y = torch.cat(ys)
    return nhwc(y) if x.dim() == 4 else y


def make_ops():
    tensors = {}
    convolutions = {  # name: (x, weight, has bias, stride, padding)
        "conv2d_5x5": ((2, 7, 6, 3), (5, 5, 5, 3), True, 1, 2),
        "conv2d_3x3": ((2, 6, 5, 5), (4, 3, 3, 5), False, 1, 1),
        "conv2d_stride": ((2, 9, 8, 3), (6, 3, 3, 3), True, 2, 1),
        "conv2d_4x2": ((1, 8, 9, 2), (3, 4, 2, 2), True, 3, 1),
        "conv2d_1x1": ((2, 3, 4, 1), (2, 1, 1, 1), True, 1, 0),
    }
    for name, (x, weight, has_bias, stride, padding) in convolutions.items():
        inputs = dict(x=random(*x), weight=random(*weight))
        if has_bias:
            inputs["bias"] = random(weight[0])
        run_case(tensors, name, lambda x, weight, bias=None: conv2d(x, weight, bias, stride, padding), **inputs)
    run_case(tensors, "conv2d_relu_pool", lambda *v: max_pool(F.relu(conv2d(*v, padding=1))),
             x=random(2, 5, 6, 3), weight=random(4, 3, 3, 3), bias=random(4))

    image = random(2, 5, 7, 3)
    run_case(tensors, "max_pool2d", max_pool, x=image)
    run_case(tensors, "max_pool2d_overlapping", lambda x: max_pool(x, 3, 2), x=image)
    run_case(tensors, "avg_pool2d", lambda x: nhwc(F.avg_pool2d(nchw(x), 2)), x=image)
    run_case(tensors, "global_avg_pool", lambda x: x.mean((1, 2)), x=image)
    run_case(tensors, "global_max_pool", lambda x: x.amax((1, 2)), x=image)
    run_case(tensors, "linear", F.linear, x=random(5, 7), weight=random(3, 7), bias=random(3))
    run_case(tensors, "linear_no_bias", F.linear, x=random(4, 6), weight=random(9, 6))
    for name, shape in {"batch_norm1d": (6, 4), "batch_norm2d": (4, 3, 2, 5)}.items():
        inputs = dict(x=random(*shape, scale=2, shift=1), gamma=random(shape[-1]), beta=random(shape[-1]))
        before = [random(shape[-1]), random(shape[-1]).abs() + 0.5]
        for mode in ("training", "eval"):
            mean, variance = (v.float().double() for v in before)
            key = f"{name}_{mode}"
            tensors.update({f"{key}.mean": mean.clone(), f"{key}.variance": variance.clone()})
            run_case(tensors, key, lambda *v: batch_norm(*v, mean, variance, mode == "training"), **inputs)
            tensors.update({f"{key}.mean_after": mean, f"{key}.variance_after": variance})
    run_case(tensors, "relu", F.relu, x=random(3, 31))
    run_case(tensors, "leaky_relu", lambda x: F.leaky_relu(x, 0.1), x=random(3, 31))
    run_case(tensors, "sigmoid", torch.sigmoid, x=random(3, 31, scale=4))
    run_case(tensors, "add", torch.add, a=random(3, 5), b=random(3, 5))
    run_case(tensors, "l2_normalize", F.normalize, x=random(5, 7))
    transposed = {  # name: (x, weight, has bias, stride, padding, output padding)
        "conv_transpose2d_double": ((2, 5, 4, 3), (3, 3, 3, 5), True, 2, 1, 1),
        "conv_transpose2d_same": ((2, 4, 5, 3), (3, 3, 3, 5), True, 2, 0, -1),
        "conv_transpose2d_4x2": ((1, 4, 3, 2), (2, 4, 2, 3), False, 3, 1, 2),
        "conv_transpose2d_3x3": ((2, 5, 6, 5), (5, 3, 3, 1), True, 1, 1, 0),
    }
    with torch.random.fork_rng():  # the files below keep their numbers
        for name, (x, weight, has_bias, *options) in transposed.items():
            inputs = dict(x=random(*x), weight=random(*weight))
            if has_bias:
                inputs["bias"] = random(weight[3])
            run_case(tensors, name, lambda x, weight, bias=None: conv_transpose2d(x, weight, bias, *options), **inputs)
        run_case(tensors, "conv_transpose2d_leaky_relu",
                 lambda *v: F.leaky_relu(conv_transpose2d(*v, stride=2, padding=1, output_padding=1), 0.1),
                 x=random(2, 3, 4, 3), weight=random(3, 3, 3, 4), bias=random(4))
        # All below zero: a zero from the padding would win.
        below = -random(2, 6, 7, 3).abs()
        run_case(tensors, "max_pool2d_padded", lambda x: max_pool(x, 3, 2, 1), x=below)
        run_case(tensors, "max_pool2d_padded_apart", lambda x: max_pool(x, 2, 3, 1), x=below)
        a, b = random(4, 5), random(4, 5)
        b[0], b[1, 2] = a[0], a[1, 2]  # where the difference is 0
        run_case(tensors, "difference", lambda a, b: (a - b).abs(), a=a, b=b)
        run_case(tensors, "difference_and_product", lambda a, b: torch.cat([(a - b).abs(), a * b], 1), a=a, b=b)
        rows = torch.tensor([3, 0, 3, 5, 3, 0], dtype=torch.int32)
        tensors["gather_rows.index"] = rows
        run_case(tensors, "gather_rows", lambda x: x[rows.long()], x=random(6, 4))
    write_safetensors("ops", tensors)


def distances(e):
    """All D = ||e_i - e_j||, with a defined gradient (zero) at D = 0."""
    squared = (e[:, None] - e[None]).pow(2).sum(-1)
    return torch.where(squared > 0, squared.clamp(min=1e-300).sqrt(), squared)


def contrastive(e, pairs, margin, half, squared_hinge):
    """pairs: rows of (i, j, similar)."""
    i, j, similar = pairs.long().T
    d = distances(e)[i, j]
    hinge = F.relu(margin**2 - d**2) if squared_hinge else F.relu(margin - d) ** 2
    return torch.where(similar == 1, d**2, hinge).mean() * (0.5 if half else 1)


def triplets(d, labels, negatives):
    """The triplets (anchor, positive, negative) that mining picks by the distances d."""
    rows = range(len(labels))
    for a in rows:
        positives = [p for p in rows if p != a and labels[p] == labels[a]]
        others = sorted((n for n in rows if labels[n] != labels[a]), key=lambda n: d[a, n])
        if not positives or not others:
            continue
        if negatives == "batch_hard":
            yield a, max(positives, key=lambda p: d[a, p]), others[0]
        for p in positives if negatives != "batch_hard" else []:
            if negatives == "semi_hard":
                yield a, p, next((n for n in others if d[a, n] > d[a, p]), others[-1])
            if negatives == "all":
                yield from ((a, p, n) for n in others)


def triplet(e, labels, negatives, margin, squared):
    d = distances(e)
    chosen = torch.tensor(list(triplets(d.detach(), labels.tolist(), negatives)))
    if squared:
        d = d**2
    a, p, n = chosen.T
    return F.relu(d[a, p] - d[a, n] + margin).mean()


def nt_xent(e, temperature):
    a, b = e.chunk(2)
    logits = a @ b.T / temperature
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def barlow_twins(z, weight):
    """As the authors' code has it, without the sum over processes."""
    a, b = (F.batch_norm(view, None, None, training=True, eps=1e-5) for view in z.chunk(2))
    c = a.T @ b / len(a)
    diagonal = torch.diagonal(c)
    return (1 - diagonal).pow(2).sum() + weight * (c.pow(2).sum() - diagonal.pow(2).sum())


def make_output_losses(tensors):
    """Element by element and over classes: ordinary numbers, and where a formula could overflow or lose everything."""
    losses = {"bce_with_logits": F.binary_cross_entropy_with_logits, "bce": F.binary_cross_entropy, "mse": F.mse_loss}
    for name, loss in losses.items():
        y, t = random(3, 4, 5), torch.rand(3, 4, 5).float().double()
        extremes = torch.tensor([0, -0.0, 1e-3, -1e-3, 30, -30, 87, -87, 800, -800, 1e30, -1e30]).float().double()
        hard = torch.tensor([0, 1, 0.25]).double().repeat(4)
        if name == "bce":
            y = torch.rand(3, 4, 5).float().double()
            extremes = torch.tensor([0, 1, 0, 1, 1, 0, 2.0**-40, 1 - 2.0**-24, 1e-38, 0.5, 0.5, 0.75]).float().double()
        if name == "mse":
            extremes, hard = torch.tensor([0, 1e-20, 3, -1e15]).float().double(), torch.tensor([0, 0, 3, 0]).double()
        for case, (values, targets) in {name: (y, t), f"{name}_extremes": (extremes, hard)}.items():
            tensors[f"{case}.t"] = targets
            run_case(tensors, case, lambda x: loss(x, targets), x=values)
    far = random(4, 3)
    far[0, 1], far[1, 0], far[2] = 1e4, -1e30, far[2, 0]
    for case, x in {"softmax_cross_entropy": random(6, 7), "softmax_cross_entropy_extremes": far}.items():
        classes = torch.randint(x.shape[1], x.shape[:1], dtype=torch.int32)
        tensors[f"{case}.classes"] = classes
        run_case(tensors, case, lambda x: F.cross_entropy(x, classes.long()), x=x)


def make_losses():
    tensors = {}
    n, dimensions = 8, 6
    # Partners near each other, so that some triplets are active and some are not; rows of length 1.
    centre = torch.randn(n, dimensions)
    e = F.normalize(torch.cat([centre, centre]) + 0.5 * torch.randn(2 * n, dimensions)).float().double()
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 5, 6] * 2, dtype=torch.int32)  # a class of four, and of two
    pairs = torch.tensor([(i, n + i, 1) for i in range(n)] + [(i, n + (i + 3) % n, 0) for i in range(n)] +
                         [(2, 2, 1), (3, 0, 0)], dtype=torch.int32)
    tensors.update({"labels": labels, "pairs": pairs})
    for half in (False, True):
        for squared_hinge in (False, True):
            name = "contrastive" + ("_half" if half else "") + ("_squared" if squared_hinge else "")
            run_case(tensors, name, lambda e: contrastive(e, pairs, 1.25, half, squared_hinge), e=e)
    for negatives in ("semi_hard", "batch_hard", "all"):
        for squared in (False, True):
            name = f"triplet_{negatives}" + ("_squared" if squared else "")
            run_case(tensors, name, lambda e: triplet(e, labels, negatives, 0.5, squared), e=e)
    run_case(tensors, "nt_xent", lambda e: nt_xent(e, 0.1), e=e)
    run_case(tensors, "nt_xent_one", lambda e: nt_xent(e, 0.1), e=e[:2])
    with torch.random.fork_rng():  # the files below keep their numbers
        make_output_losses(tensors)
        run_case(tensors, "barlow_twins", lambda z: barlow_twins(z, 0.0051), z=random(14, 5, scale=2, shift=3))
        flat = random(10, 4)
        flat[:5, 2] = 0.5  # a column of one view without variance
        run_case(tensors, "barlow_twins_flat", lambda z: barlow_twins(z, 0.5), z=flat)
    write_safetensors("losses", tensors)


OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "adam": lambda groups: torch.optim.Adam(groups, lr=1e-2),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=1e-2),
}


def make_optimizers():
    """weight (decays) and bias (doesn't): both before, ten gradients for each, and both after every step; the first
    gradients clipped; learning rates."""
    tensors = {}
    start = {"weight": random(3, 5), "bias": random(5)}
    gradients = {name: random(10, *value.shape) for name, value in start.items()}
    for name, value in start.items():
        tensors.update({f"{name}.before": value, f"{name}.gradients": gradients[name]})
    for kind, make in OPTIMIZERS.items():
        values = {name: value.clone().requires_grad_() for name, value in start.items()}
        optimizer = make([{"params": [values["weight"]], "weight_decay": 0.05},
                          {"params": [values["bias"]], "weight_decay": 0}])
        steps = {name: [] for name in values}
        for step in range(10):
            for name, value in values.items():
                value.grad = gradients[name][step].clone()
            optimizer.step()
            for name, value in values.items():
                steps[name].append(value.detach().clone())
        tensors.update({f"{kind}.{name}": torch.stack(after) for name, after in steps.items()})
    for name, gradient in gradients.items():
        start[name].grad = gradient[0].clone()
    tensors["norm"] = torch.nn.utils.clip_grad_norm_(start.values(), 1.5)
    tensors.update({f"{name}.clipped": value.grad for name, value in start.items()})
    tensors.update(schedules())
    write_safetensors("optimizers", tensors)


def schedules():
    """Learning rates of 12 steps: a linear warm-up of 3 and then each schedule."""
    def rates(steps, scheduler, **options):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        scheduler = scheduler(optimizer, **options)
        result = []
        for _ in range(steps):
            result += scheduler.get_last_lr()
            optimizer.step()
            scheduler.step()
        return result

    lr = torch.optim.lr_scheduler
    warmup = rates(3, lr.LinearLR, start_factor=1 / 4, total_iters=3)
    main = {"constant": rates(9, lr.ConstantLR, factor=1),
            "step": rates(9, lr.StepLR, step_size=2, gamma=0.3),
            "cosine": rates(9, lr.CosineAnnealingLR, T_max=9, eta_min=0.01)}
    return {f"schedule.{name}": torch.tensor(warmup + values) for name, values in main.items()}


def layer(parameters, name, *shape, bias=True):
    """A layer's weight and bias, uniform in +-1 / sqrt(fan_in)."""
    bound = torch.tensor(shape[1:]).prod().item() ** -0.5
    uniform = lambda *size: ((2 * torch.rand(*size) - 1) * bound).float().double()
    parameters[f"{name}.weight"] = uniform(*shape)
    if bias:
        parameters[f"{name}.bias"] = uniform(shape[0])


def norm_layer(parameters, buffers, name, width):
    parameters.update({f"{name}.weight": torch.ones(width).double(), f"{name}.bias": torch.zeros(width).double()})
    buffers.update({f"{name}.running_mean": torch.zeros(width).double(),
                    f"{name}.running_var": torch.ones(width).double()})


class Network:
    rate = 1e-3

    def __init__(self):
        self.parameters, self.buffers = {}, {}

    def norm(self, x, name, training, **options):
        p, b = self.parameters, self.buffers
        return batch_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], b[f"{name}.running_mean"], b[f"{name}.running_var"],
                          training, **options)

    def linear(self, x, name):
        return F.linear(x, self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias"))

    def training_loss(self, images):
        return self.loss(self.forward(images, training=True))

    def optimizer(self):
        """Of a bias before a batch norm Adam would follow what rounding leaves."""
        return torch.optim.SGD(self.parameters.values(), lr=self.rate, momentum=0.9)


class SiameseCnn(Network):
    """models/siamese_cnn.cpp with filters [4, 6], embedding 8, on 16x16x3."""

    def __init__(self):
        super().__init__()
        layer(self.parameters, "conv1", 4, 5, 5, 3)
        layer(self.parameters, "conv2", 6, 3, 3, 4)
        layer(self.parameters, "embedding", 8, 4 * 4 * 6)

    def forward(self, x, training):
        p = self.parameters
        x = conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=2)
        x = max_pool(F.relu(x))
        x = conv2d(x, p["conv2.weight"], p["conv2.bias"], padding=1)
        x = max_pool(F.relu(x))
        return self.embed(x.flatten(1))

    def embed(self, features):
        return F.normalize(self.linear(features, "embedding"))

    def loss(self, e):
        labels = torch.arange(len(e)) % (len(e) // 2)
        return triplet(e, labels, "batch_hard", 0.5, squared=False)

    def optimizer(self):
        return torch.optim.Adam(self.parameters.values(), lr=1e-3)


class ConvnetBn(Network):
    """models/convnet_bn.cpp with channels [4, 6, 8], pool_after [1, 2], embedding 8 and a grid, on 16x16x3."""

    channels = (4, 6, 8)

    def __init__(self, grid=1):
        super().__init__()
        self.grid = grid
        inputs = 3
        for i, width in enumerate(self.channels, start=1):
            layer(self.parameters, f"conv{i}", width, 3, 3, inputs, bias=False)
            norm_layer(self.parameters, self.buffers, f"norm{i}", width)
            inputs = width
        layer(self.parameters, "embedding", 8, grid * grid * inputs)

    def forward(self, x, training):
        for i in range(1, len(self.channels) + 1):
            x = conv2d(x, self.parameters[f"conv{i}.weight"], padding=1)
            x = F.leaky_relu(self.norm(x, f"norm{i}", training), 0.1)
            if i < 3:
                x = max_pool(x)
        x = nhwc(F.adaptive_avg_pool2d(nchw(x), self.grid))
        return F.normalize(self.linear(x.flatten(1), "embedding"))

    def loss(self, e):
        return nt_xent(e, 0.1)

    def optimizer(self):
        decay = [p for p in self.parameters.values() if p.dim() > 1]
        rest = [p for p in self.parameters.values() if p.dim() == 1]
        return torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0}], lr=2e-3)


class Resnet50(Network):
    """models/resnet50.cpp with width 2, blocks [2, 1, 1], on 24x24x3; Keras's variant with pool = flatten."""

    def __init__(self, keras):
        super().__init__()
        self.keras, self.blocks = keras, []
        self.add("conv1", "bn1", 3, 2, 7)
        inputs = 2
        for stage, (width, count) in enumerate(zip((2, 4, 8), (2, 1, 1)), start=1):
            for i in range(count):
                block, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
                self.add(f"{block}.conv1", f"{block}.bn1", inputs, width, 1)
                self.add(f"{block}.conv2", f"{block}.bn2", width, width, 3)
                self.add(f"{block}.conv3", f"{block}.bn3", width, 4 * width, 1)
                if i == 0:
                    self.add(f"{block}.downsample.0", f"{block}.downsample.1", inputs, 4 * width, 1)
                self.blocks.append((block, stride))
                inputs = 4 * width

    def add(self, conv, norm, inputs, outputs, kernel):
        layer(self.parameters, conv, outputs, kernel, kernel, inputs, bias=self.keras)
        norm_layer(self.parameters, self.buffers, norm, outputs)

    def apply(self, x, conv, norm, stride, training):
        weight = self.parameters[f"{conv}.weight"]
        x = conv2d(x, weight, self.parameters.get(f"{conv}.bias"), stride, weight.shape[1] // 2)
        return self.norm(x, norm, training, epsilon=1.001e-5 if self.keras else 1e-5)

    def forward(self, x, training):
        x = F.relu(self.apply(x, "conv1", "bn1", 2, training))
        x = max_pool(x, 3, 2, 1)
        for block, stride in self.blocks:
            first, second = (stride, 1) if self.keras else (1, stride)
            y = F.relu(self.apply(x, f"{block}.conv1", f"{block}.bn1", first, training))
            y = F.relu(self.apply(y, f"{block}.conv2", f"{block}.bn2", second, training))
            y = self.apply(y, f"{block}.conv3", f"{block}.bn3", 1, training)
            if f"{block}.downsample.0.weight" in self.parameters:
                x = self.apply(x, f"{block}.downsample.0", f"{block}.downsample.1", stride, training)
            x = F.relu(x + y)
        return x.flatten(1) if self.keras else x.mean((1, 2))

    def loss(self, e):
        return nt_xent(F.normalize(e), 0.1)


# Samples that are the pairs to judge: which of them are similar.
SIMILAR = torch.tensor([1, 0, 1, 0])


class MatchedCnn(SiameseCnn):
    """SiameseCnn whose pairs a classifier of 5 hidden units judges (models/head.cpp)."""

    def __init__(self):
        super().__init__()
        layer(self.parameters, "matcher.dense", 5, 2 * 8)
        layer(self.parameters, "matcher.output", 1, 5)

    def loss(self, e):
        a, b = e.chunk(2)
        hidden = F.relu(self.linear(torch.cat([(a - b).abs(), a * b], 1), "matcher.dense"))
        return F.binary_cross_entropy_with_logits(self.linear(hidden, "matcher.output")[:, 0], SIMILAR.double())


class DistanceCnn(SiameseCnn):
    """SiameseCnn with a hidden layer of 9 units and a learned distance (models/head.cpp)."""

    def __init__(self):
        super().__init__()
        layer(self.parameters, "dense1", 9, 4 * 4 * 6)
        layer(self.parameters, "embedding", 8, 9)
        layer(self.parameters, "matcher.output", 1, 8)

    def embed(self, features):
        return super().embed(F.relu(self.linear(features, "dense1")))

    def loss(self, e):
        a, b = e.chunk(2)
        logits = self.linear((a - b).abs(), "matcher.output")[:, 0]
        return F.binary_cross_entropy_with_logits(logits, SIMILAR.double())


class BarlowConvnet(ConvnetBn):
    """ConvnetBn with a projector [6, 5] that only training has."""

    rate = 1e-4

    def __init__(self):
        super().__init__()
        layer(self.parameters, "projector.dense1", 6, 8, bias=False)
        norm_layer(self.parameters, self.buffers, "projector.norm1", 6)
        layer(self.parameters, "projector.dense2", 5, 6, bias=False)

    def loss(self, e):
        hidden = F.relu(self.norm(self.linear(e, "projector.dense1"), "projector.norm1", training=True))
        return barlow_twins(self.linear(hidden, "projector.dense2"), 0.05)

    optimizer = Network.optimizer


class Encoder(Network):
    """The layers of models/autoencoder.cpp with filters [4, 6] up to the embedding, on 16x16x3."""

    def __init__(self):
        super().__init__()
        layer(self.parameters, "encoder.conv1", 4, 3, 3, 3)
        layer(self.parameters, "encoder.conv2", 6, 3, 3, 4)

    def forward(self, x, training):
        p = self.parameters
        for name in ("encoder.conv1", "encoder.conv2"):
            x = max_pool(F.leaky_relu(conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding=1), 0.3))
        return x.flatten(1)


class Autoencoder(Encoder):
    """With a decoder [3, 4]: it draws the left images from the right ones."""

    def __init__(self):
        super().__init__()
        for name, inputs, outputs in (("decoder.conv1", 6, 3), ("decoder.conv2", 3, 4)):
            layer(self.parameters, name, inputs, 3, 3, outputs, bias=False)
            self.parameters[f"{name}.bias"] = random(outputs, scale=0.1)
        layer(self.parameters, "decoder.output", 3, 3, 3, 4)

    def training_loss(self, images):
        left, right = images.chunk(2)
        p = self.parameters
        x = self.forward(right, training=True).reshape(-1, 4, 4, 6)
        for name in ("decoder.conv1", "decoder.conv2"):
            x = F.leaky_relu(conv_transpose2d(x, p[f"{name}.weight"], p[f"{name}.bias"], 2, 0, -1), 0.3)
        logits = conv2d(x, p["decoder.output.weight"], p["decoder.output.bias"], padding=1)
        return F.binary_cross_entropy_with_logits(logits, left)

    def optimizer(self):
        return torch.optim.Adam(self.parameters.values(), lr=self.rate)


class EncoderWithHead(Encoder):
    """conv_encoder with the head dense [7], norm with epsilon 0.05 and momentum 0.3, embedding 5."""

    rate = 1e-4

    def __init__(self):
        super().__init__()
        layer(self.parameters, "head.dense1", 7, 4 * 4 * 6)
        norm_layer(self.parameters, self.buffers, "head.norm1", 7)
        layer(self.parameters, "head.embedding", 5, 7)

    def forward(self, x, training):
        x = F.relu(self.linear(super().forward(x, training), "head.dense1"))
        x = self.norm(x, "head.norm1", training, epsilon=0.05, momentum=0.3)
        return F.normalize(self.linear(x, "head.embedding"))

    def loss(self, e):
        labels = torch.arange(len(e)) % (len(e) // 2)
        return triplet(e, labels, "batch_hard", 0.5, squared=True)


class Digits(Network):
    """models/digits.cpp with filters [4, 6, 8], dense 7, on 28x28x1."""

    blocks = ((4, 1, 2), (6, 1, 2), (8, 0, 1))  # filters, padding, pool

    def __init__(self):
        super().__init__()
        inputs = 1
        for i, (filters, *_) in enumerate(self.blocks, start=1):
            layer(self.parameters, f"conv{i}", filters, 3, 3, inputs, bias=False)
            norm_layer(self.parameters, self.buffers, f"norm{i}", filters)
            inputs = filters
        layer(self.parameters, "dense", 7, 8)
        norm_layer(self.parameters, self.buffers, "norm4", 7)
        layer(self.parameters, "embedding", 2, 7)

    def forward(self, x, training):
        for i, (_, padding, pool) in enumerate(self.blocks, start=1):
            x = conv2d(x, self.parameters[f"conv{i}.weight"], padding=padding)
            x = self.norm(x, f"norm{i}", training)
            if pool > 1:
                x = max_pool(x, pool, pool)
        x = nhwc(F.avg_pool2d(nchw(x), 5)).flatten(1)
        return self.linear(self.norm(self.linear(x, "dense"), "norm4", training), "embedding")

    def loss(self, e):
        n = len(e) // 2
        pairs = torch.stack([torch.arange(n), torch.arange(n, 2 * n), SIMILAR], 1)
        return contrastive(e, pairs, 5, half=False, squared_hinge=False)


def make_model(name, model, size=16, channels=3, steps=10):
    """Images [2N, size, size, channels]; parameters and buffers before; loss and gradients of the first step; the losses of all steps,
    parameters and buffers after them, and what the trained network makes of the images in evaluation."""
    for parameter in model.parameters.values():
        parameter.requires_grad_()
    images = torch.rand(4, size, size, channels)
    images = torch.cat([images, (images + 0.3 * torch.randn_like(images)).clamp(0, 1)]).float().double()
    tensors = {"images": images}
    state = {**model.parameters, **model.buffers}
    tensors.update({f"before.{key}": value.detach().clone() for key, value in state.items()})
    optimizer = model.optimizer()
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model.training_loss(images)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            tensors.update({f"gradient.{key}": value.grad.clone() for key, value in model.parameters.items()})
        optimizer.step()
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors.update({f"after.{key}": value for key, value in state.items()})
    tensors["embeddings"] = model.forward(images, training=False)
    write_safetensors(name, tensors)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    make_ops()
    make_losses()
    make_optimizers()
    make_model("siamese_cnn", SiameseCnn())
    make_model("convnet_bn", ConvnetBn())
    make_model("resnet50_torchvision", Resnet50(keras=False), size=24, steps=3)
    make_model("resnet50_keras", Resnet50(keras=True), size=24, steps=3)
    make_model("matched_cnn", MatchedCnn())
    make_model("barlow_convnet", BarlowConvnet())
    make_model("autoencoder", Autoencoder())
    make_model("encoder_head", EncoderWithHead())
    make_model("digits", Digits(), size=28, channels=1)
    make_model("distance_cnn", DistanceCnn())
    make_model("grid_convnet", ConvnetBn(grid=2))
