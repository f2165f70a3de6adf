#!/usr/bin/env python3
"""Small files of weights as PyTorch, h5py and onnx write them, and what is in them: weights/. README.md tells how to run it."""
import collections
import os
import pathlib
import zipfile

import h5py
import numpy
import onnx
import torch
from onnx import helper, numpy_helper

import make_golden

HERE = pathlib.Path(__file__).resolve().parent / "weights"


def repack(source, target, change=lambda name, data: data, compression=zipfile.ZIP_STORED):
    """A copy of a zip archive with other contents or compression."""
    with zipfile.ZipFile(HERE / source) as old, zipfile.ZipFile(HERE / target, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def make_torch():
    base = torch.arange(24, dtype=torch.float32) / 8 - 1
    state = collections.OrderedDict(
        f32=base[:6].reshape(2, 3).clone(),
        f16=torch.tensor([1.5, -2, 65504, 6e-8, float("inf")]).half(),
        bf16=torch.tensor([1.5, -2, 3e38, 1e-40]).bfloat16(),
        f64=torch.tensor([0.1, -1e300], dtype=torch.float64),
        i64=torch.tensor(-(1 << 40)),
        i32=torch.tensor([[-7, 8]], dtype=torch.int32),
        u8=torch.tensor([0, 255], dtype=torch.uint8),
        flags=torch.tensor([True, False, True]),
        empty=torch.zeros(0, 3),
        view=base[4:12].reshape(2, 4),
        transposed=base[:12].reshape(3, 4).t(),
        channels_last=base.reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        every_third=base[1::3],
        repeated=base[2:4].reshape(2, 1).expand(2, 5),
    )
    expected = {}
    for name, tensor in state.items():
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        expected[name] = tensor.byte() if tensor.dtype == torch.bool else tensor
    state["parameter"] = torch.nn.Parameter(base[20:].clone())
    expected["parameter"] = state["parameter"]
    make_golden.write_safetensors("weights/expected", expected, keep_types=True)

    torch.save(state, HERE / "zip.pth")
    torch.save(state, HERE / "zip_protocol4.pth", pickle_protocol=4)
    torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    repack("zip.pth", "deflated.pth", compression=zipfile.ZIP_DEFLATED)

    # A module's state dict has an attribute, _metadata.
    module = torch.nn.Sequential(collections.OrderedDict(conv=torch.nn.Conv2d(1, 2, 1), bn=torch.nn.BatchNorm2d(2)))
    checkpoint = {"epoch": 3, "lr": 0.1, "name": None, "state_dict": module.state_dict()}
    torch.save(checkpoint, HERE / "checkpoint.pth")
    torch.save({"model": module.state_dict()}, HERE / "checkpoint_legacy.pth", _use_new_zipfile_serialization=False)
    make_golden.write_safetensors("weights/checkpoint", module.state_dict(), keep_types=True)


class CallsSystem:
    def __reduce__(self):
        return os.system, ("true",)


def make_refused():
    small = {"weight": torch.arange(6, dtype=torch.float32)}
    torch.save({"weight": small["weight"], "x": CallsSystem()}, HERE / "calls_system.pth")
    torch.save({"weight": small["weight"], "x": CallsSystem()}, HERE / "calls_system_legacy.pth",
               _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(1, 1), HERE / "whole_module.pth")
    torch.save({"weight": small["weight"].short()}, HERE / "short.pth")
    torch.save({"weight": torch.zeros(2, dtype=torch.complex64)}, HERE / "complex.pth")
    torch.save({"weight": torch.zeros(1).expand(1 << 40)}, HERE / "repeated_bomb.pth")
    torch.save({"weight": torch.zeros(1 << 20)}, HERE / "bomb.tmp")
    repack("bomb.tmp", "bomb.pth", compression=zipfile.ZIP_DEFLATED)
    (HERE / "bomb.tmp").unlink()
    torch.save(small, HERE / "small.tmp")
    repack("small.tmp", "short_storage.pth", lambda name, data: data[:-4] if "/data/" in name else data)
    repack("small.tmp", "big_endian.pth", lambda name, data: data)
    with zipfile.ZipFile(HERE / "big_endian.pth", "a") as archive:
        archive.writestr("small/byteorder", "big")
    torch.save(small, HERE / "small.tmp", _use_new_zipfile_serialization=False)
    data = bytearray((HERE / "small.tmp").read_bytes())
    data[-32] = 7  # of the storage's 6 elements
    (HERE / "long_storage_legacy.pth").write_bytes(data)
    (HERE / "small.tmp").unlink()


def make_hdf5():
    kernel = numpy.arange(24, dtype="float32").reshape(2, 3, 4)
    with h5py.File(HERE / "keras.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1_conv"]
        file["conv1_conv/conv1_conv/kernel:0"] = kernel
        file["conv1_conv/conv1_conv/bias:0"] = numpy.array([0.5, -1], dtype="float64")
        file["bn/scalar:0"] = numpy.float32(2)
        file.create_dataset("packed/half:0", data=kernel.astype("float16"), compression="gzip", chunks=(1, 3, 4))
    with h5py.File(HERE / "integers.h5", "w") as file:
        file["iterations"] = numpy.int64(3)
    with h5py.File(HERE / "bomb.h5", "w") as file:
        file.create_dataset("zeros", shape=(1 << 40,), dtype="float32", chunks=(1 << 16,), compression="gzip")
    with h5py.File(HERE / "external.h5", "w") as file:
        file.create_dataset("w", shape=(3,), dtype="float32", external=[("another_file", 0, 12)])


def make_onnx():
    values = numpy.arange(6, dtype="float32").reshape(2, 3) - 2
    tensors = [
        numpy_helper.from_array(values, "raw"),
        helper.make_tensor("listed", onnx.TensorProto.FLOAT, [2, 3], values.flatten()),
        numpy_helper.from_array(values.astype("float16"), "half"),
        numpy_helper.from_array(values.astype("float64"), "double"),
        helper.make_tensor("listed_double", onnx.TensorProto.DOUBLE, [1], [0.1]),
        numpy_helper.from_array(numpy.array(-5), "scalar"),
        helper.make_tensor("listed_int64", onnx.TensorProto.INT64, [3], [1, -1, 1 << 40]),
    ]

    def save(name, tensors):
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph",
                                  [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
                                  [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])], tensors)
        onnx.save(helper.make_model(graph), HERE / name)

    save("tensors.onnx", tensors)
    save("text.onnx", [helper.make_tensor("words", onnx.TensorProto.STRING, [1], [b"a"])])
    outside = numpy_helper.from_array(values, "outside")
    outside.ClearField("raw_data")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="other.bin")
    save("external.onnx", [outside])


if __name__ == "__main__":
    torch.manual_seed(0)
    HERE.mkdir(exist_ok=True)
    make_torch()
    make_refused()
    make_hdf5()
    make_onnx()
