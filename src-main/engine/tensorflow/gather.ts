import * as tf from '@tensorflow/tfjs-core';
import { attribute, AttributeType, DataType } from './addon.ts';
import type { NodeBackend } from './fused.ts';

/**
 * tfjs-node's gather reads its indices back to check them, which a recorded step cannot do (and which costs an eager one a
 * wait). TensorFlow checks them itself when it runs.
 */
export function registerGather(): void {
  tf.unregisterKernel('GatherV2', 'tensorflow');
  tf.registerKernel({
    kernelName: 'GatherV2',
    backendName: 'tensorflow',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { x, indices } = inputs as unknown as { x: tf.Tensor; indices: tf.Tensor };
      const { axis, batchDims } = attrs as unknown as { axis: number; batchDims: number };
      const axisTensor = tf.scalar(axis, 'int32');
      const type = (name: string, dtype: tf.DataType) =>
        attribute.type(name, dtype === 'int32' ? DataType.int32 : dtype === 'bool' ? DataType.bool : DataType.float);
      const attributes = [
        { name: 'batch_dims', type: AttributeType.int, value: batchDims },
        type('Tparams', x.dtype),
        type('Tindices', indices.dtype),
        type('Taxis', 'int32'),
      ];
      const result = (backend as NodeBackend).executeSingleOutput('GatherV2', attributes, [x, indices, axisTensor]);
      axisTensor.dispose();
      return result;
    },
  });
}
