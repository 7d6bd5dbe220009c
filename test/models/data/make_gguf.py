"""Writes every-type.gguf, a tensor of random blocks of every type we read, and every-type-expected.safetensors, what the PyPI
package gguf dequantizes them to: `python make_gguf.py`. Deterministic; needs numpy, gguf, safetensors."""
import pathlib
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize
from safetensors.numpy import save_file

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
# places of the f16 scales in a block: random bits there would be infinities
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
ROWS, COLUMNS = 2, 512


def random_bytes(random, name):
    size, count = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    if name == "F32":
        return random.standard_normal((ROWS, COLUMNS), dtype=np.float32).view(np.uint8)
    if name == "F16":
        return random.standard_normal((ROWS, COLUMNS)).astype(np.float16).view(np.uint8)
    if name == "BF16":
        return (random.standard_normal((ROWS, COLUMNS), dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    blocks = random.integers(0, 256, (ROWS * COLUMNS // size, count), dtype=np.uint8)
    for place in SCALES[name]:
        blocks[:, place:place + 2] = random.standard_normal((len(blocks), 1)).astype(np.float16).view(np.uint8)
    return blocks.reshape(ROWS, -1)


def main():
    random = np.random.default_rng(3)
    folder = pathlib.Path(__file__).parent
    writer = GGUFWriter(folder / "every-type.gguf", "llama")
    writer.add_block_count(1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
    for name in TYPES:
        writer.add_tensor(f"{name.lower()}.weight", random_bytes(random, name), raw_dtype=GGMLQuantizationType[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected = {}
    for tensor in GGUFReader(folder / "every-type.gguf").tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        assert np.isfinite(values).all()
        expected[tensor.name] = np.ascontiguousarray(values.reshape(ROWS, COLUMNS))
    save_file(expected, folder / "every-type-expected.safetensors")


if __name__ == "__main__":
    main()
