#!/usr/bin/env python3
"""Times embedding of random images with the twin of an ImageNet network: what bench/embed_bench does, in another runtime.

    embed.py RUNTIME [--model efficientnet_lite0 squeezenet] [--size N] [--batch N...] [--seconds S] [--channels-last] [--compile]
             [--device cuda] [--autocast]

RUNTIME: torch, onnxruntime or openvino. The other two get the network from PyTorch as ONNX, and run on the CPU alone. --autocast is bf16 where
PyTorch deems it safe. Prints one line of JSON for each model and batch.
"""
import argparse
import io
import json
import os
import pathlib
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
sys.dont_write_bytecode = True
warnings.filterwarnings("ignore")

import torch  # noqa: E402

from make_pretrained import EfficientNetLite, SqueezeNet  # noqa: E402

THREADS = len(os.sched_getaffinity(0))


def as_onnx(network, images):
    file = io.BytesIO()
    options = {"dynamo": False} if int(torch.__version__.split(".")[0]) > 1 else {}
    torch.onnx.export(network, (images,), file, opset_version=17, input_names=["images"], output_names=["features"], **options)
    return pads_in_convolutions(file.getvalue())


def pads_in_convolutions(model):
    """TensorFlow's uneven padding as an attribute of the convolution behind it, which costs a runtime nothing."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    model = onnx.load_from_string(model)
    graph = model.graph
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    if not pads:
        return model.SerializeToString()
    names = [pad.input[1] for pad in pads.values()]
    graph.value_info.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None) for name in names)
    constants = onnx.utils.Extractor(model).extract_model([], names)
    constants = dict(zip(names, ReferenceEvaluator(constants).run(names, {})))
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] not in pads:
            continue
        pad = pads[node.input[0]]
        top, left, bottom, right = (int(constants[pad.input[1]][i]) for i in (2, 3, 6, 7))
        attribute = next(a for a in node.attribute if a.name == "pads")
        assert list(attribute.ints) == [0, 0, 0, 0]
        attribute.ints[:] = [top, left, bottom, right]
        node.input[0] = pad.input[0]
    used = {name for node in graph.node if node.op_type != "Pad" for name in node.input}
    for pad in pads.values():
        assert pad.output[0] not in used
        graph.node.remove(pad)
    return model.SerializeToString()


def fold(network):
    """Batch norms into the convolutions before them."""
    for layer in network.modules():
        if hasattr(layer, "conv") and hasattr(layer, "norm"):
            layer.conv, layer.norm = torch.nn.utils.fuse_conv_bn_eval(layer.conv, layer.norm), torch.nn.Identity()


def make_torch(network, images, args):
    torch.set_num_threads(THREADS)
    fold(network)
    network, images = network.to(args.device), images.to(args.device)
    if args.channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if args.compile:
        torch._dynamo.reset()  # for another batch it would compile for all
        network = torch.compile(network, mode="reduce-overhead" if args.device == "cuda" else None)

    def run():
        with torch.inference_mode(), torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.autocast):
            return network(images).float().cpu()

    return run, torch.__version__


def make_onnxruntime(network, images, args):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(as_onnx(network, images), options, providers=["CPUExecutionProvider"])
    feed = {"images": images.numpy()}
    return lambda: session.run(None, feed), onnxruntime.__version__


def make_openvino(network, images, args):
    import openvino
    core = openvino.Core()
    # Its default is bfloat16 where the processor has it.
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(io.BytesIO(as_onnx(network, images))), "CPU", config).create_infer_request()
    feed = {0: images.numpy()}
    return lambda: request.infer(feed), openvino.__version__.split("-")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runtime", choices=["torch", "onnxruntime", "openvino"])
    parser.add_argument("--model", nargs="+", choices=["efficientnet_lite0", "squeezenet"], default=["efficientnet_lite0"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", nargs="+", type=int, default=[32])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--autocast", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda" and args.runtime != "torch":
        parser.error("--device cuda is for torch")
    make = {"torch": make_torch, "onnxruntime": make_onnxruntime, "openvino": make_openvino}[args.runtime]
    for model in args.model:
        for batch in args.batch:
            torch.manual_seed(0)
            network = (EfficientNetLite if model == "efficientnet_lite0" else SqueezeNet)().eval()
            run, version = make(network, 2 * torch.rand(batch, 3, args.size, args.size) - 1, args)
            for _ in range(3):  # warm-up
                run()
            runs, fastest, start = 0, float("inf"), time.perf_counter()
            while runs < 3 or time.perf_counter() - start < args.seconds:
                begin = time.perf_counter()
                run()
                runs, fastest = runs + 1, min(fastest, time.perf_counter() - begin)
            print(json.dumps({"model": model, "size": args.size, "batch": batch, "runtime": args.runtime, "version": version,
                              "images_per_s": runs * batch / (time.perf_counter() - start), "best_images_per_s": batch / fastest,
                              "threads": THREADS}), flush=True)


if __name__ == "__main__":
    main()
