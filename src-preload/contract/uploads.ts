/** Files of rows that a page may send to the studio. */
export const DATASET_KINDS = ['.jsonl', '.json', '.csv', '.tsv', '.parquet', '.xlsx', '.txt', '.md'];

/** What rows name; which of them are read is said by row. */
export const PICTURE_KINDS = ['.png', '.jpg', '.jpeg', '.webp', '.gif', '.bmp', '.tif', '.tiff'];

/** Whether a file of a dataset's folder is about it, by its own name: it holds no rows. */
export const isAbout = (name: string): boolean => /^(readme|license|licence|notice|changelog)\b/i.test(name);

/** What is sent of a dataset's folder, and of the folders in it: so many files at most, so many folders deep. */
export const DATASET_FOLDER_KINDS = [...DATASET_KINDS, ...PICTURE_KINDS];
export const MOST_DATASET_FILES = 50_000;
export const DATASET_DEPTH = 5;

/** What a folder of pictures without rows lacks. */
export const needsTable = (folder: string): string =>
  `${folder} holds pictures, and no table that says what is asked about them. Put a metadata.csv beside them, with the columns image, question and answer: a picture’s file name, a question about it, and the right answer.`;

/** Single files that a page may send to the studio. */
export const FILE_KINDS = ['.gguf', '.safetensors', '.effilora', ...DATASET_KINDS];

/** What the studio reads of a model's or an adapter's folder; a page sends nothing else of it. */
export const FOLDER_KINDS = ['.safetensors', '.json', '.jinja', '.model', '.txt', '.md'];

/** Files of a folder at most: their names and sizes go in the request's address. */
export const MOST_FOLDER_FILES = 128;

/** `.gguf` of `Model.GGUF`. */
export const kindOf = (name: string): string => /\.[^.]*$/.exec(name)?.[0].toLowerCase() ?? '';
