import type { Variable } from '@tensorflow/tfjs-core';
import { collectGarbage } from '../collect-garbage.ts';
import type { CompiledStep } from '../compiler.ts';
import type { Feed } from './addon.ts';
import type { Output } from './graph-builder.ts';
import type { ResidentTensors } from './resident-tensors.ts';
import type { Resident, Session } from './session.ts';
import { closedShape } from '../varying-size.ts';

/** A step inside the session. */
export class CompiledGraph implements CompiledStep {
  private hasRun = false;

  constructor(
    private readonly tensors: ResidentTensors,
    private readonly session: Session,
    /** sizes that vary are open in `shape` */
    private readonly feeds: { output: Output | undefined; dtype: number; shape: number[] }[],
    private readonly state: { variable: Variable; resident: Resident | undefined }[],
    private readonly fetches: Output[],
    private readonly targets: number[],
  ) {}

  async run(values: (Float32Array | Int32Array)[]): Promise<Float32Array[]> {
    for (const { variable, resident } of this.state) {
      if (resident && this.tensors.residentOf(this.tensors.idOf(variable)) !== resident)
        await this.tensors.adopt(variable, resident);
    }
    const feeds = this.feeds.flatMap(({ output, dtype, shape }, i): Feed[] =>
      output ? [{ ...output, dtype, shape: closedShape(shape, values[i]!.length), data: values[i]! }] : [],
    );
    const results = await this.session.run(feeds, this.fetches, this.targets);
    if (!this.hasRun) this.tidy();
    this.hasRun = true;
    this.tensors.forget(this.state.flatMap(({ resident }) => resident ?? []));
    return results.map(({ data }) => new Float32Array(data));
  }

  /** Recording, filling and, at the first run, putting the graph together take far more memory than the graph. */
  private tidy(): void {
    collectGarbage();
    this.session.trim();
  }
}
