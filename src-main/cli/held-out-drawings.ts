import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { paint } from '../models/diffusion/pipeline/paint.ts';
import type { Adaptation } from '../models/types.ts';
import { decodePicture } from '../models/vision/pictures/decode.ts';
import type { Picture } from '../models/vision/pictures/picture.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { LoadedPainter } from '../studio/stage/loaded-painter.ts';
import { kernelDistance } from '../tasks/kernel-distance.ts';
import { PictureJudge } from '../tasks/picture-judge.ts';

/** Pictures that are painted together. */
const AT_ONCE = 8;
const heldOutRow = z.object({ file_name: z.string(), text: z.string(), concept: z.string() });

/** What is painted for held-out captions, and what that is worth. */
export interface Worth {
  /** kernel inception distance to the held-out drawings, by the features of the example's judge */
  kid: number;
  /** share of the pictures in which it sees what their caption names */
  conceptAccuracy: number;
  pictures: Picture[];
}

/** The drawings that an example holds out, with their captions and the judge of both; on the engine in use until `dispose`. */
export class HeldOutDrawings {
  private constructor(
    private readonly captions: { text: string; concept: string }[],
    private readonly judge: PictureJudge,
    /** of the drawings */
    private readonly features: Float32Array[],
  ) {}

  /** @param folder the example's */
  static async open(folder: string): Promise<HeldOutDrawings> {
    const at = (name: string) => path.join(folder, 'held-out', name);
    const lines = fs.readFileSync(at('metadata.jsonl'), 'utf8').trim().split('\n');
    const rows = lines.map((line) => heldOutRow.parse(JSON.parse(line)));
    const drawings = await Promise.all(rows.map(({ file_name: name }) => decodePicture(fs.readFileSync(at(name)), at(name)))); // prettier-ignore
    const judge = await PictureJudge.open(path.join(folder, 'judge.safetensors'));
    const judged = await judge.judge(drawings);
    return new HeldOutDrawings(rows, judge, judged.map((each) => each.features)); // prettier-ignore
  }

  get count(): number {
    return this.captions.length;
  }

  /** Paints the first `count` captions as the recipe's samples are painted, each from noise of its own, and judges that. */
  async worth(
    painter: LoadedPainter,
    { training }: Recipe,
    adaptation?: Adaptation,
    count = this.count,
  ): Promise<Worth> {
    const asked = this.captions.slice(0, count);
    const { resolution, sampling } = training.diffusion!;
    const { seed, ...how } = painter.completed({ width: resolution, height: resolution, ...sampling });
    const pictures: Picture[] = [];
    for (let from = 0; from < asked.length; from += AT_ONCE) {
      const prompts = asked.slice(from, from + AT_ONCE).map(({ text }) => text);
      const seeds = prompts.map((_, i) => seed + from + i);
      pictures.push(...(await paint(painter.model, painter.vae, { ...how, prompts, seeds, adaptation })));
    }
    const said = await this.judge.judge(pictures);
    const right = said.filter(({ thing }, i) => thing === asked[i]!.concept).length;
    const kid = kernelDistance(said.map(({ features }) => features), this.features); // prettier-ignore
    return { kid, conceptAccuracy: right / asked.length, pictures };
  }

  dispose(): void {
    this.judge.dispose();
  }
}
