import fs from 'node:fs';
import path from 'node:path';
import type { NamedTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { DECODER_SITES, type SiteName } from '../models/types.ts';
import { storedLora, type ForeignSite } from './foreign-lora.ts';
import { parsePeftConfig, type PeftConfig } from './peft-config.ts';
import { peftModules } from './peft-patterns.ts';
import type { StoredAdapter } from './stored-adapter.ts';
import { readNamedTensors } from './tensor-file.ts';

/** module, layer, site, kind; an adapter's name (`default`) may stand before `weight`. */
const KEY =
  /^(?:base_model\.model\.)?((?:model\.)?(?:(?:language|text)_model\.)?(?:model\.)?layers\.(\d+)\.(self_attn|mlp)\.(\w+))\.lora_(A|B|magnitude_vector)(?:\.(?!weight$)[\w-]+)?(?:\.weight)?$/;
const ATTENTION: readonly string[] = DECODER_SITES.slice(0, 4);
const MOST_LAYERS = 1000;
const MERGE = 'merge it into its base model in PEFT (merge_and_unload) and open the result as a model';

type Parts = Partial<Record<'A' | 'B' | 'magnitude_vector', NamedTensor>>;
interface Module {
  name: string;
  layer: number;
  site: SiteName;
  parts: Parts;
}

/**
 * Reads a PEFT folder as an adapter of method `lora`.
 * @param json content of its adapter_config.json
 * @throws UserError for what a plain LoRA can't say
 */
export async function readPeftFolder(folder: string, json: unknown): Promise<StoredAdapter> {
  const configFile = path.join(folder, 'adapter_config.json');
  const config = parsePeftConfig(json, configFile);
  const file = weightsFile(folder);
  const modules = modulesOf((await readNamedTensors(file)).tensors, file);
  const { sites, partial } = placed(modules, config, configFile, file);
  return storedLora(
    sites,
    {
      rank: config.r,
      alpha: config.lora_alpha,
      rsLora: config.use_rslora ?? false,
      dropout: config.lora_dropout ?? 0,
      baseModel: { name: config.base_model_name_or_path ?? 'unknown', architecture: 'unknown' },
      partial,
    },
    file,
  );
}

function weightsFile(folder: string): string {
  const file = path.join(folder, 'adapter_model.safetensors');
  if (fs.existsSync(file)) return file;
  if (fs.existsSync(path.join(folder, 'adapter_model.bin')))
    throw new UserError(
      `${folder} holds adapter_model.bin, a pickle, which can run programs as it is read and is not opened; load it with PEFT where you trust it and save it again with save_pretrained(…, safe_serialization=True), which writes adapter_model.safetensors`,
    );
  throw new UserError(`${folder} holds an adapter_config.json and no adapter_model.safetensors; copy the whole folder`);
}

/** The adapted linears by their names in the model. */
function modulesOf(tensors: NamedTensor[], file: string): Module[] {
  const modules = new Map<string, Module>();
  for (const tensor of tensors) {
    const [, name, layer, block, site, kind] = KEY.exec(tensor.name) ?? [];
    const isSite = DECODER_SITES.includes(site as SiteName) && ATTENTION.includes(site!) === (block === 'self_attn');
    if (!name || !isSite || Number(layer) >= MOST_LAYERS)
      throw new UserError(`${file} ${noDecoderLinear(tensor.name)}`);
    const place = `${Number(layer)}.${site}`;
    const module = modules.get(place) ?? { name, layer: Number(layer), site: site as SiteName, parts: {} };
    modules.set(place, module);
    if (module.parts[kind as keyof Parts] || module.name !== name)
      throw new UserError(
        `${file} holds two adapters of ${place} ("${tensor.name.slice(0, 120)}"); save one of them alone`,
      );
    module.parts[kind as keyof Parts] = tensor;
  }
  return [...modules.values()];
}

/** Why a tensor of the file can't be held. */
function noDecoderLinear(name: string): string {
  const quoted = `"${name.slice(0, 120)}"`;
  if (/vision|visual|image|audio|speech|mm_|multi_modal|projector/.test(name))
    return `adapts ${quoted}, which belongs to the model's vision or audio part; only its text model is read. Train the adapter on the language layers alone, or ${MERGE}`;
  if (/\.bias$/.test(name)) return `holds the bias ${quoted}, which is no part of a plain LoRA; ${MERGE}`;
  if (/lora_embedding|embed_tokens|lm_head|wte/.test(name))
    return `adapts ${quoted}: embedding and head can't be adapted here, only the linears of decoder blocks; ${MERGE}`;
  if (/expert|moe/.test(name)) return `adapts ${quoted}, which belongs to a mixture of experts; those are not read`;
  if (!/\.lora_/.test(name)) return `holds ${quoted}, a whole weight beside the LoRA; ${MERGE}`;
  return `adapts ${quoted}, which is no linear of a decoder block; only ${DECODER_SITES.join(', ')} are read`;
}

/** The sites with their ranks and scales by PEFT's patterns; each must be what the configuration says, no more and no less. */
function placed(modules: Module[], config: PeftConfig, configFile: string, file: string) {
  const prefixes = [...new Set(modules.map(({ name }) => name.slice(0, name.indexOf('layers.'))))];
  if (prefixes.length > 1) throw new UserError(`${file} names its layers in two ways, ${prefixes.join(' and ')}`);
  const layers = 1 + Math.max(-1, ...modules.map(({ layer }) => layer));
  const byName = new Map(modules.map((module) => [module.name, module]));
  // One layer more than the file knows: a configuration that adapts it, too, means all layers there are.
  const grid = Array.from({ length: layers + 1 }, (_, layer) =>
    DECODER_SITES.map((site) => ({
      layer,
      site,
      name: `${prefixes[0] ?? ''}layers.${layer}.${ATTENTION.includes(site) ? 'self_attn' : 'mlp'}.${site}`,
    })),
  ).flat();
  const meant = peftModules(config, grid.map(({ name }) => name), configFile); // prettier-ignore
  const isAllLinear = config.target_modules === 'all-linear';
  const sites: ForeignSite[] = [];
  grid.slice(0, -DECODER_SITES.length).forEach(({ layer, site, name }, index) => {
    const { isTarget, rank, alpha } = meant[index]!;
    const { A: a, B: b, magnitude_vector: magnitude } = byName.get(name)?.parts ?? {};
    if (!a && !b && !magnitude && (!isTarget || isAllLinear)) return;
    if (!isTarget) throw new UserError(`${file} adapts ${name}, which target_modules of ${configFile} doesn't name`);
    if (!a || !b || (config.use_dora && !magnitude))
      throw new UserError(
        `${file} lacks a tensor of ${name}, which ${configFile} names: it is not whole. Save it again.`,
      );
    if (a.shape[0] !== rank)
      throw new UserError(`${file}: ${a.name} has the rank ${a.shape[0]}, and ${configFile} gives it ${rank}`);
    if (magnitude && !config.use_dora)
      throw new UserError(`${file} holds ${magnitude.name}, and ${configFile} doesn't set use_dora`);
    sites.push({ layer, site, a, b, scale: alpha / (config.use_rslora ? Math.sqrt(rank) : rank), magnitude });
  });
  const beyond = meant.slice(-DECODER_SITES.length);
  const targets = DECODER_SITES.filter((name) => sites.some(({ site }) => site === name));
  const isWhole = sites.length === layers * targets.length && targets.every((site) => beyond[DECODER_SITES.indexOf(site)]!.isTarget); // prettier-ignore
  return { sites, partial: !isWhole };
}
