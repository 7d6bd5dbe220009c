import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { type Addon, attribute, DataType } from '../../src-main/engine/tensorflow/addon.ts';
import { buildAddon } from '../../src-main/engine/tensorflow/addon-build.ts';
import { installTensorflow } from '../../src-main/engine/tensorflow/install.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { Session } from '../../src-main/engine/tensorflow/session.ts';

it('an update in place is run as often as it stands there: TensorFlow may merge no two that look alike', async () => {
  await openEngine('tensorflow');
  const addon = createRequire(import.meta.url)(await buildAddon(await installTensorflow(() => {}))) as Addon;
  const session = new Session(addon, { threads: 1, gpu: false });
  const floats = (shape: number[], ...values: number[]) =>
    session.constant(DataType.float, shape, new Uint8Array(Float32Array.from(values).buffer));
  const variables = [1, 0, 0].map((value) => ({ resident: session.resident(DataType.float, [1]), value }));
  await session.fill(
    variables.map(({ resident, value }) => ({
      resident,
      staged: addon.stage(DataType.float, [1], Float32Array.of(value)),
    })),
  );
  // rate 1, no corrections, no decay; with beta1 = beta2 = 0 every update moves p by exactly rate * sign(g)
  const [gradient, rows, norm] = [floats([1], 2), floats([1, 4], 1, 1, 1, 1), floats([], 0)];
  const inputs = [...variables.map(({ resident }) => resident.read), gradient, rows, norm];
  const attributes = Object.entries({ beta1: 0, beta2: 0, epsilon: 0, clip: 0 }).map(([name, value]) =>
    attribute.float(name, value),
  );
  const updates = [0, 1].map(() => session.one('StudioAdamWInPlace', attributes, inputs).node);
  await session.run([], [], updates);
  const [moved] = session.readSync(variables.map(({ resident }) => resident));
  expect(new Float32Array(moved!.data)).toEqual(Float32Array.of(-1));
});
