import { noSoftwareGpu, onGpuHere, softwareGpu } from '../support/software-gpu.ts';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { largestDifference } from './support.ts';

describe.skipIf(noSoftwareGpu)(
  `a real model on webgpu, ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`,
  () => {
    it('has the logits that it has on tensorflow, from the same quantized file', async ({ skip }) => {
      skip(onGpuHere, 'It compares with TensorFlow, which is not in the kit');
      const file = await openTextModel(await resolveModel('smollm2-135m'));
      const inputIds = Int32Array.from(file.tokenizer!.encode('The capital of France is'));
      const batch = {
        ...{ rows: 1, length: inputIds.length, inputIds, labels: inputIds },
        ...{ positions: inputIds.map((_, t) => t), segments: new Int32Array(inputIds.length) },
      };
      const logitsOn = async (engine: EngineName) => {
        await openEngine(engine);
        const model = await loadCausalLM(file);
        const logits = model.logits(batch);
        const values = (await logits.data()) as Float32Array;
        logits.dispose();
        model.dispose();
        return values;
      };
      const [theirs, ours] = [await logitsOn('tensorflow'), await logitsOn('webgpu')];
      expect(largestDifference(ours, theirs)).toBeLessThan(1e-4);
      const last = ours.subarray(-file.config.vocabularySize);
      expect(file.tokenizer!.decode(Int32Array.of(last.indexOf(Math.max(...last))))).toBe(' Paris');
      expect((await openWebgpu()).opened.log).toEqual([]);
      await file.close();
    });
  },
);
