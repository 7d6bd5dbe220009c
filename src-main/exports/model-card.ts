import { counted } from '../../src-preload/counted.ts';
import { stringify } from 'yaml';
import { droppedHeads } from '../effilora/adapter-file.ts';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { isRouted } from '../effilora/methods/registry.ts';
import type { ExportTarget } from '../../src-preload/contract/choices.ts';
import type { FidelityReport } from './request.ts';

/** What the card is about. */
export interface CardFacts {
  name: string;
  description: AdapterDescription;
  /** what the base model makes */
  makes: 'texts' | 'pictures';
  to: ExportTarget;
  type: string;
  fidelity: FidelityReport | null;
}

const USE: Record<ExportTarget, (name: string) => string> = {
  peft: () =>
    "```python\nfrom peft import PeftModel\n\nmodel = PeftModel.from_pretrained(base_model, 'this-folder')\n```",
  gguf: (name) => `\`\`\`sh\nllama-cli -m base-model.gguf --lora ${name}.gguf\n\`\`\``,
  'merged-safetensors': () =>
    "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\nmodel = AutoModelForCausalLM.from_pretrained('this-folder')\ntokenizer = AutoTokenizer.from_pretrained('this-folder')\n```",
  'merged-gguf': (name) => `\`\`\`sh\nllama-cli -m ${name}.gguf\n\`\`\``,
  diffusers: () => "```python\npipe.load_lora_weights('this-folder')\n```",
  kohya: (name) =>
    `Put ${name}.safetensors where A1111, Forge or ComfyUI look for LoRAs; in A1111 and Forge write \`<lora:${name}:1>\` in the prompt.`,
  'merged-diffusers': () =>
    "```python\nfrom diffusers import DiffusionPipeline\n\npipe = DiffusionPipeline.from_pretrained('this-folder')\n```",
  'merged-checkpoint': (name) =>
    `Put ${name}.safetensors where ComfyUI, A1111 or Forge look for checkpoints; for stable-diffusion.cpp: \`sd -m ${name}.safetensors\`.`,
  effilora: (name) => `\`\`\`sh\neffilora import ${name}.effilora\n\`\`\``,
};

/** A model card (Markdown with Hugging Face's front matter) for what is exported; the head map lies beside it. */
export function modelCard({ name, description, makes, to, type, fidelity }: CardFacts): string {
  const { baseModel, method, datasets, recipe, metrics, heads } = description;
  const merged = to.startsWith('merged');
  const paints = makes === 'pictures';
  const front = {
    base_model: baseModel.name,
    library_name: paints ? 'diffusers' : merged ? 'transformers' : 'peft',
    pipeline_tag: paints ? 'text-to-image' : 'text-generation',
    tags: ['effilora', method.name, merged ? 'merged' : 'lora'],
  };
  const dropped = droppedHeads(description).size;
  const all = Object.keys(heads).length;
  const measured = Object.values(heads).some(({ importance }) => importance > 0);
  const sections = [
    `---\n${stringify(front)}---`,
    `# ${name}`,
    `A fine-tune of ${baseModel.name} (${baseModel.architecture}) with ${method.name}: ${structureOf(method)}. ${whatOf(to, method)} Numbers are ${type === 'same' ? 'as in the base model' : type}.`,
    '## Use',
    USE[to](name),
    ...(fidelity ? fidelitySection(fidelity, paints ? 'pictures' : 'tokens') : []),
    '## Training',
    table(
      ['metric', 'value'],
      Object.entries(metrics).map(([key, value]) => [key, value === null ? '' : String(+value.toPrecision(6))]),
    ),
    table(
      ['dataset', 'examples', 'SHA-256'],
      datasets.map((data) => [data.name, String(data.examples), `\`${data.sha256.slice(0, 16)}…\``]),
    ),
    `Base model: SHA-256 \`${baseModel.sha256}\`.`,
    Object.keys(recipe).length > 0 ? `### Recipe\n\n\`\`\`yaml\n${stringify(withoutFolders(recipe))}\`\`\`` : '',
    measured
      ? `## Heads\n\n${all} heads, ${dropped} of them left out. The darker, the more the loss depends on it.\n\n![Head map](head-map.svg)`
      : '',
  ];
  return `${sections.filter(Boolean).join('\n\n')}\n`;
}

const WHAT: Record<ExportTarget, string> = {
  peft: 'This is a plain LoRA for PEFT.',
  gguf: 'This is a plain LoRA for llama.cpp.',
  'merged-safetensors': 'The adapter is merged into the weights.',
  'merged-gguf': 'The adapter is merged into the weights, as one GGUF file.',
  diffusers: 'This is a plain LoRA for diffusers.',
  kohya: 'This is a plain LoRA as kohya’s scripts keep it, for A1111, Forge and ComfyUI.',
  'merged-diffusers': 'The adapter is merged into the weights.',
  'merged-checkpoint':
    'The adapter is merged into the weights, as one file under the names that Stable Diffusion’s makers gave.',
  effilora: 'This is the adapter itself, for EffiLoRA Studio.',
};

/** PEFT has these as they are; every other form of one is a plain LoRA. */
const OWN_IN_PEFT: Partial<Record<string, string>> = {
  vera: 'This is a VeRA for PEFT.',
  adalora: 'This is an AdaLoRA for PEFT.',
};

const whatOf = (to: ExportTarget, { name }: AdapterDescription['method']): string =>
  (to === 'peft' && OWN_IN_PEFT[name]) || WHAT[to];

function structureOf({ name, rank, heads, alpha, targets }: AdapterDescription['method']): string {
  const many = !isRouted({ name }) ? '' : `, ${counted(heads, 'head')} a site`;
  return `rank ${rank}${many}, alpha ${alpha}, on ${targets.join(', ')}`;
}

function fidelitySection(
  { summary, error, heldOut, calibration, rank, form }: FidelityReport,
  unit: 'pictures' | 'tokens',
): string[] {
  const rows = [
    ['form', form],
    ['rank', String(rank)],
    ...(calibration ? [['calibrated on', `${calibration.dataset}, ${calibration.tokens} ${unit}`]] : []),
    ['relative output error', error.exported.toFixed(4)],
    ['the same with the router averaged', error.averaged.toFixed(4)],
    ...(heldOut
      ? [
          ['held-out loss, base model', heldOut.base.toFixed(4)],
          ['held-out loss, adapter', heldOut.exact.toFixed(4)],
          ['held-out loss, this export', heldOut.exported.toFixed(4)],
        ]
      : []),
  ];
  return ['## How close it is', summary, table(['', ''], rows)];
}

function table(header: string[], rows: string[][]): string {
  if (rows.length === 0) return '';
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A recipe for other eyes: files by their names, without the folders of the machine it was made on. */
export function withoutFolders(recipe: Record<string, unknown>): Record<string, unknown> {
  const bare = (value: unknown): unknown => {
    if (typeof value === 'string') return /[\\/]/.test(value) ? value.split(/[\\/]/).at(-1) : value;
    if (Array.isArray(value)) return value.map(bare);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bare(inner)]));
  };
  return bare(recipe) as Record<string, unknown>;
}
