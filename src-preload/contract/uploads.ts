/** Files of rows that a page may send to the studio. */
export const DATASET_KINDS = ['.jsonl', '.json', '.csv', '.tsv', '.parquet', '.xlsx', '.txt', '.md'];

/** Single files that a page may send to the studio. */
export const FILE_KINDS = ['.gguf', '.effilora', ...DATASET_KINDS];

/** What the studio reads of a model's or an adapter's folder; a page sends nothing else of it. */
export const FOLDER_KINDS = ['.safetensors', '.json', '.jinja', '.model', '.txt', '.md'];

/** Files of a folder at most: their names and sizes go in the request's address. */
export const MOST_FOLDER_FILES = 128;

/** `.gguf` of `Model.GGUF`. */
export const kindOf = (name: string): string => /\.[^.]*$/.exec(name)?.[0].toLowerCase() ?? '';
