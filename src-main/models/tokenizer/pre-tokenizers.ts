import { GPT2_WORDS } from './cutters.ts';

/** How a byte-level tokenizer cuts text into words before merging. */
export interface Split {
  /** regular expressions that cut one after the other, each what the one before left whole; between matches is a word, too */
  patterns: string[];
  /** NFC first, as the makers' own tokenizer has it (llama.cpp leaves it out) */
  normalize?: boolean;
  /** a word that is a token as a whole is not merged up to */
  wholeWords?: boolean;
  /** texts begin with the token for it unless the file says otherwise */
  addBos?: boolean;
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const words = (digits: string, letters = String.raw`\p{L}`) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?${letters}+|${digits}| ?[^\\s${letters.replace(/[[\]]/g, '')}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
/** Words that also end where a small letter is followed by a capital one; llama.cpp tells them by A-Z and a-z only. */
const cased = (contractions: string, digits: string) =>
  [
    `[^\\r\\n\\p{L}\\p{N}]?(?:(?=\\p{L})[^a-z])*(?:(?=\\p{L})[^A-Z])+${contractions}`,
    `[^\\r\\n\\p{L}\\p{N}]?(?:(?=\\p{L})[^a-z])+(?:(?=\\p{L})[^A-Z])*${contractions}`,
    digits,
    String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ].join('|');
/** Letters with marks, signs apart from letters. */
const MARKED_WORDS =
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|' +
  String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const KANA_AND_HAN = '[一-龥぀-ゟ゠-ヿ]+';
/** The cased letters that DeepSeek's first tokenizer names. */
const DEEPSEEK_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';

/** Each digit alone, then GPT-2's words. */
const DIGITS_AND_WORDS: Split = { patterns: ['\\p{N}', GPT2_WORDS] };
const GPT2: Split = { patterns: [GPT2_WORDS] };
const LLAMA3: Split = { patterns: [words('\\p{N}{1,3}')], wholeWords: true, addBos: true };
const THREE_DIGITS: Split = { patterns: [words('\\p{N}{1,3}')] };
const ONE_DIGIT: Split = { patterns: [words('\\p{N}')] };
const QWEN2: Split = { patterns: [words('\\p{N}')], normalize: true };
const DEEPSEEK3: Split = { patterns: ['\\p{N}{1,3}', KANA_AND_HAN, MARKED_WORDS] };
const GPT4O: Split = { patterns: [cased(`${CONTRACTIONS}?`, '\\p{N}{1,3}')] };
const BLOOM: Split = { patterns: [' ?[^(\\s|.,!?…。，、।۔،)]+'] };
const BAILING: Split = {
  patterns: [
    String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
  ],
};

/** llama.cpp's for files that name none: punctuation and digits apart. */
export const DEFAULT_SPLIT: Split = {
  patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2_WORDS, '\\p{N}+', '[0-9][0-9][0-9]'],
};

const KINDS: [names: string, split: Split][] = [
  ['gpt-2 phi-2 gigachat a.x-4.0 mellum exaone4 mpt olmo jais trillion granite-docling', GPT2],
  ['smollm starcoder refact command-r codeshell exaone minerva-7b mellum2', DIGITS_AND_WORDS],
  ['llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2', LLAMA3],
  ['dbrx smaug-bpe glm4 chatglm-bpe', THREE_DIGITS],
  ['qwen2', QWEN2],
  ['deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2', ONE_DIGIT],
  ['qwen35', { patterns: [words('\\p{N}', String.raw`[\p{L}\p{M}]`)], normalize: true }],
  ['deepseek-v3 hunyuan-dense joyai-llm', DEEPSEEK3],
  [
    'deepseek-llm',
    {
      patterns: [
        '[\\r\\n]',
        `\\s?[${DEEPSEEK_LETTERS}]+`,
        '\\s?[!-/:-~！-／：-～‘-‟　-。]+',
        '\\s+$',
        '[一-龥ࠀ-一가-퟿]+',
        '\\p{N}+',
      ],
    },
  ],
  ['deepseek-coder', { patterns: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', '[一-龥ࠀ-一가-퟿]+', '\\p{N}'] }],
  ['falcon', { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', GPT2_WORDS, '[0-9][0-9][0-9]'] }],
  ['gpt-4o llama4 kanana2 talkie minimax-m2', GPT4O],
  ['tekken', { patterns: [cased('', '\\p{N}')], wholeWords: true, addBos: true }],
  ['poro-chat bloom gpt3-finnish', BLOOM],
  ['viking', { patterns: [...BLOOM.patterns, '\\p{N}'] }],
  [
    'jais-2',
    {
      patterns: [
        `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|` +
          `${[512, 256, 128, 64, 32, 16, 8, 4].map((many) => `\\s{${many}}(?!\\S)`).join('|')}|\\s{1,2}(?!\\S)|\\s{1}`,
      ],
    },
  ],
  ['superbpe', { patterns: ['\\p{N}+', '(?=([0-9]{3})+(?![0-9]))'] }],
  ['bailingmoe bailingmoe2 llada-moe', BAILING],
  [
    'seed-coder',
    {
      patterns: [
        `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
      ],
    },
  ],
  ['laguna', { patterns: ['[^\\n]+|[\\n]+', words('\\p{N}')] }],
  [
    'exaone-moe',
    {
      patterns: [
        `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`,
      ],
    },
  ],
  ['minicpm5', { patterns: ['\\p{N}{1,3}', words('\\p{N}+')], wholeWords: true }],
];

/** By GGUF's tokenizer.ggml.pre (llama.cpp, llama-vocab.cpp). */
export const SPLITS: Record<string, Split> = Object.fromEntries(
  KINDS.flatMap(([names, split]) => names.split(' ').map((name) => [name, split])),
);
