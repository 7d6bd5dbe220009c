"""
Writes kernels.json: which operations have a kernel for CUDA devices in TensorFlow's wheel for GPUs, by the wheel's own registry,
which answers without a GPU and without CUDA's libraries.

    pip download --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
        --platform manylinux_2_27_x86_64 tensorflow==2.21.0
    unzip tensorflow-2.21.0-*.whl 'tensorflow/libtensorflow*'
    python3 make_kernels.py tensorflow > kernels.json

The wheel is the one that src-main/engine/tensorflow/install.ts lays down for NVIDIA GPUs.
"""

import ctypes
import json
import os
import sys

folder = sys.argv[1]
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
framework = ctypes.CDLL(os.path.join(folder, 'libtensorflow_framework.so.2'), mode=ctypes.RTLD_GLOBAL)
library = ctypes.CDLL(os.path.join(folder, 'libtensorflow_cc.so.2'), mode=ctypes.RTLD_GLOBAL)


class Buffer(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), ('length', ctypes.c_size_t), ('deallocator', ctypes.c_void_p)]


def function(name, result, *arguments):
    found = getattr(library, name, None) or getattr(framework, name)
    found.restype, found.argtypes = result, list(arguments)
    return found


status = function('TF_NewStatus', ctypes.c_void_p)()
version = function('TF_Version', ctypes.c_char_p)().decode()
buffer = function('TF_GetAllRegisteredKernels', ctypes.POINTER(Buffer), ctypes.c_void_p)(status).contents
registry = ctypes.string_at(buffer.data, buffer.length)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of a protocol buffer: bytes of what has a length, else whole numbers."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def types(value):
    """AttrValue { list { type: [...] } }"""
    found = []
    for _, part in (entry for entry in fields(value) if entry[0] == 1):
        for number, packed in fields(part):
            at = 0
            while number == 6 and isinstance(packed, bytes) and at < len(packed):
                one, at = varint(packed, at)
                found.append(one)
            if number == 6 and isinstance(packed, int):
                found.append(packed)
    return sorted(found)


kernels = {}
for _, definition in fields(registry):  # KernelList { kernel: [KernelDef] }
    operation = device = label = ''
    constraints = {}
    host = []
    for number, value in fields(definition):
        if number == 1:
            operation = value.decode()
        elif number == 2:
            device = value.decode()
        elif number == 3:
            parts = dict(fields(value))
            constraints[parts[1].decode()] = types(parts[2])
        elif number == 4:
            host.append(value.decode())
        elif number == 5:
            label = value.decode()
    if device in ('GPU', 'DEFAULT') and not label and not operation.startswith('_'):
        kernels.setdefault(operation, []).append((constraints, sorted(host)))


def joined(list_of):
    """Kernels that differ in one attribute's types become one."""
    groups = {}
    for constraints, host in list_of:
        names = sorted(constraints)
        name = names[0] if names else None
        rest = json.dumps([{key: constraints[key] for key in names[1:]}, name, host], sort_keys=True)
        groups.setdefault(rest, set()).update(constraints[name] if name else [])
    result = []
    for rest, values in groups.items():
        others, name, host = json.loads(rest)
        entry = {**({name: sorted(values)} if name else {}), **others}
        result.append({'types': entry, **({'host': host} if host else {})})
    return sorted(result, key=lambda entry: json.dumps(entry, sort_keys=True))


print('{')
print(f'"made": "by make_kernels.py from the registry of TensorFlow {version}, wheel tensorflow for CUDA",')
print('"kernels": {')
print(',\n'.join(f'{json.dumps(name)}: {json.dumps(joined(kernels[name]), separators=(",", ":"))}' for name in sorted(kernels)))
print('}}')
