import * as tf from '@tensorflow/tfjs-core';
import type { Backend } from './backend.ts';

/** tfjs's AddN binds all its inputs at once, which no device takes beyond its limit: add them up in portions. */
export function registerAddN(): void {
  const whole = tf.getKernel('AddN', 'webgpu').kernelFunc;
  tf.unregisterKernel('AddN', 'webgpu');
  tf.registerKernel({
    kernelName: 'AddN',
    backendName: 'webgpu',
    kernelFunc: ({ inputs, backend, attrs }) => {
      const { opened } = backend as Backend;
      const portion = opened.gpu.limits.maxStorageBuffersPerShaderStage - 1; // one is for the output
      const add = (tensors: tf.TensorInfo[]) =>
        whole({ inputs: tensors as unknown as tf.NamedTensorInfoMap, backend, attrs }) as tf.TensorInfo;
      const [first, ...rest] = inputs as unknown as tf.TensorInfo[];
      let sum = first!;
      while (rest.length > 0) {
        const next = add([sum, ...rest.splice(0, portion - 1)]);
        if (sum !== first) (backend as Backend).disposeData(sum.dataId);
        sum = next;
      }
      return sum === first ? add([first]) : sum;
    },
  });
}
