import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { isOfLanguage } from '../effilora/methods/structure.ts';
import { readSiteName, readSiteTensor, siteName, type SiteId } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import type { ModelFile } from '../models/types.ts';
import { inFileForm, modulePath, seeingLinears } from '../models/vision/towers/sites.ts';
import { linearPath } from '../models/weights.ts';
import { writePeftFolder } from './peft-folder.ts';
import { languageModule, nameInside } from './seeing-names.ts';

/** What its name in a whole model is told by: of text alone, or with what sees. */
export type Base = Pick<ModelFile, 'sees'>;

/** Writes PEFT's two files of a plain LoRA. */
export async function writePeft(
  folder: string,
  { options, tensors }: PlainLora,
  baseModel: string,
  base: Base = {},
): Promise<void> {
  const moduleOf = modulesOf(base);
  const named = tensors.map((tensor) => {
    const { key, shape, data } = keyed(tensor, moduleOf, base);
    return { name: `base_model.model.${key}`, shape, data };
  });
  const config = {
    peft_type: 'LORA' as const,
    r: options.rank,
    lora_alpha: options.alpha,
    lora_dropout: 0,
    target_modules: targetModulesOf({ options, tensors }, base),
    modules_to_save: options.whole ? [connectorModule(base)] : null,
    use_rslora: options.rsLora,
    use_dora: options.dora,
    init_lora_weights: true,
  };
  await writePeftFolder(folder, baseModel, config, named);
}

/** A tensor under its name in the whole model, and in the form that the model has it. */
function keyed({ name, shape, data }: NamedTensor, moduleOf: (site: SiteId) => string, { sees }: Base) {
  const site = readSiteTensor(name);
  if (!site) return { key: modulePath(name, sees!.config), ...inFileForm({ name, shape }, data) };
  const module = moduleOf(site);
  const key = site.part === 'magnitude' ? `${module}.lora_magnitude_vector` : `${module}.lora_${site.part}.weight`;
  return { key, shape: site.part === 'B' ? shape.slice(1) : shape, data };
}

/** Where a site's linear is in the whole model. */
export function modulesOf(base: Base): (site: SiteId) => string {
  const config = base.sees?.config;
  const seeing = new Map(
    config && seeingLinears(config).map(({ name, site }) => [siteName(site), modulePath(name, config)]),
  );
  const language = languageModule(base);
  return (site) => seeing.get(siteName(site)) ?? nameInside(linearPath(site.block, site.site), language);
}

/** The last part of the connector's name, by which PEFT finds what is trained whole. */
function connectorModule({ sees }: Base): string {
  const { kind } = sees!.config.connector;
  return kind === 'shuffle' ? 'connector' : kind === 'merge' ? 'merger' : 'multi_modal_projector';
}

/** What PEFT compares with the ends of modules' names, or, as one text, with the whole name as a regular expression. */
export function targetModulesOf({ options: { sites, targets }, tensors }: PlainLora, base: Base): string[] | string {
  const moduleOf = modulesOf(base);
  const language = languageModule(base);
  if (sites) return sites.map((place) => moduleOf(readSiteName(place)!));
  // What sees pictures has linears of the same names, and layers that are not run: each is named.
  if (!targets.every(isOfLanguage))
    return tensors.flatMap(({ name }) => {
      const site = readSiteTensor(name);
      return site?.part === 'A' ? moduleOf(site) : [];
    });
  if (language === 'model') return targets;
  return `${language.replaceAll('.', '\\.')}\\.layers\\.\\d+\\.(self_attn|mlp)\\.(${targets.join('|')})`;
}
