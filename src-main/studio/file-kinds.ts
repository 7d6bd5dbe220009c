/** Kinds of files by their names. A GGUF file may be either. */
export const MODEL_FILE = /\.gguf$/i;
/** One file of safetensors is a whole model that makes pictures, or an adapter: its header tells. */
export const CHECKPOINT_FILE = /\.safetensors$/i;
export const ADAPTER_FILE = /\.(effilora|gguf|safetensors)$/i;
export const DATASET_FILE = /\.(jsonl|ndjson|json|csv|tsv|parquet|xlsx|xlsm|txt|md)(\.gz|\.zst)?$/i;
