import { UserError } from '../../engine/types.ts';
import { parseJson } from '../../models/json-file.ts';
import { parsePeftConfig } from '../../trainer/peft-config.ts';
import { peftModules } from '../../trainer/peft-patterns.ts';
import { COMPONENTS, type LoraPlace } from './places.ts';
import { DIFFUSERS_METADATA } from './write-diffusers.ts';

/** Rank and alpha by linear, as a file's header has them; alpha so that the scale is alpha / rank. */
export type HeaderScales = Map<LoraPlace, { rank: number; alpha: number; dora: boolean }>;

/**
 * What PEFT's configuration in the header of a diffusers file says of these linears; empty where there is none.
 * @param modules `name`: as the file has it, which is what the configuration's patterns are written for
 * @throws UserError for what can't be honoured
 */
export function headerScales(
  metadata: Record<string, string>,
  modules: { place: LoraPlace; name: string }[],
  file: string,
): HeaderScales {
  const scales: HeaderScales = new Map();
  const text = metadata[DIFFUSERS_METADATA];
  if (text === undefined) return scales;
  const where = `${file}, ${DIFFUSERS_METADATA}`;
  const json = parseJson(text, where);
  if (typeof json !== 'object' || json === null) throw new UserError(`${where} is no object`);
  for (const [part, component] of Object.entries(COMPONENTS)) {
    const own = modules.filter(({ place, name }) => place.group === part && name.startsWith(`${component}.`));
    const fields = Object.entries(json).filter(([name]) => name.startsWith(`${component}.`));
    if (own.length === 0 || fields.length === 0) continue;
    const said = Object.fromEntries(
      fields.map(([name, value]) => [name.slice(component.length + 1), value as unknown]),
    );
    const config = parsePeftConfig({ peft_type: 'LORA', ...said }, `${where} of ${component}`);
    const found = peftModules(config, own.map(({ name }) => name.slice(component.length + 1)), where); // prettier-ignore
    own.forEach(({ place }, i) => {
      const { rank, alpha } = found[i]!;
      scales.set(place, { rank, alpha: config.use_rslora ? alpha * Math.sqrt(rank) : alpha, dora: config.use_dora ?? false }); // prettier-ignore
    });
  }
  return scales;
}
