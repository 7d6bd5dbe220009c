/** Of protocol buffers' wire format, the fields of a message: numbers, or bytes of what is inside. */
export function* fieldsOf(bytes: Uint8Array): Generator<[number: number, value: bigint | Uint8Array]> {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const wire = key & 7;
    if (wire === 0) yield [key >> 3, varint()];
    else {
      const length = wire === 2 ? Number(varint()) : wire === 1 ? 8 : 4;
      yield [key >> 3, bytes.subarray(at, at + length)];
      at += length;
    }
  }
}

/** All messages at a path of fields. */
export function messagesAt(bytes: Uint8Array, path: number[]): Uint8Array[] {
  const [first, ...rest] = path;
  if (first === undefined) return [bytes];
  return [...fieldsOf(bytes)].flatMap(([number, value]) =>
    number === first && typeof value !== 'bigint' ? messagesAt(value, rest) : [],
  );
}

/**
 * The most bytes that tensors took at once in a run that was traced in full, as TensorFlow's own records of it tell: in a RunMetadata
 * (tensorflow/core/framework/step_stats.proto) step_stats, dev_stats, node_stats, memory and allocation_records, each a time and bytes.
 */
export function peakAllocated(runMetadata: Uint8Array): number {
  const records = messagesAt(runMetadata, [1, 1, 2, 6, 6]).map((record) => {
    const fields = new Map(fieldsOf(record));
    return { time: fields.get(1) as bigint, bytes: Number(BigInt.asIntN(64, (fields.get(2) ?? 0n) as bigint)) };
  });
  let [bytes, peak] = [0, 0];
  for (const record of records.sort((a, b) => Number(a.time - b.time))) {
    bytes += record.bytes;
    peak = Math.max(peak, bytes);
  }
  return peak;
}
