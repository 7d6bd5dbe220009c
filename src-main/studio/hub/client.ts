import { z } from 'zod';
import type { HubEntry } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';

export type HubKind = 'model' | 'dataset';

/** A file of a repository. The checksum is a SHA-256 for large files, git's blob id (a SHA-1) for the others. */
export interface HubFile {
  path: string;
  bytes: number;
  checksum: { sha256: string } | { gitBlob: string };
}

const SHOWN = 20;
/** A hub that says nothing for this long is not reached, milliseconds. */
const PATIENCE_MS = 15_000;

const searchAnswer = z.array(
  z.object({
    id: z.string(),
    downloads: z.number().default(0),
    likes: z.number().default(0),
    gated: z.union([z.boolean(), z.string()]).default(false),
    tags: z.array(z.string()).default([]),
  }),
);
const treeAnswer = z.array(
  z.object({
    type: z.string(),
    path: z.string().max(1024),
    size: z.number().int().nonnegative().default(0),
    oid: z.string(),
    lfs: z.object({ oid: z.string() }).optional(),
  }),
);

/**
 * A Hugging Face hub, or a mirror that `HF_ENDPOINT` names (huggingface.co/docs/hub/api).
 * Every call throws a UserError when the hub can't be reached or says no.
 */
export class HubClient {
  constructor(
    private readonly token: () => Promise<string | undefined>,
    private readonly endpoint = process.env['HF_ENDPOINT'] ?? 'https://huggingface.co',
  ) {}

  async search(kind: HubKind, query: string): Promise<HubEntry[]> {
    const parameters = new URLSearchParams({ search: query, sort: 'downloads', direction: '-1', limit: String(SHOWN) });
    const found = searchAnswer.parse(await this.json(`/api/${kind}s?${parameters}`));
    return found.map(({ id, downloads, likes, gated, tags }) => ({
      repository: id,
      downloads,
      likes,
      gated: gated !== false,
      licence: tags.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null,
    }));
  }

  async files(kind: HubKind, repository: string): Promise<HubFile[]> {
    const tree = treeAnswer.parse(await this.json(`/api/${kind}s/${repository}/tree/main?recursive=true`));
    return tree
      .filter(({ type, path }) => type === 'file' && isPlainPath(path))
      .map(({ path, size, oid, lfs }) => ({
        path,
        bytes: size,
        checksum: lfs ? { sha256: lfs.oid } : { gitBlob: oid },
      }));
  }

  /** A file's content from byte `from` on; status 206 when the hub goes on there, 200 when it starts again. */
  async open(kind: HubKind, repository: string, path: string, from: number, signal: AbortSignal): Promise<Response> {
    const prefix = kind === 'dataset' ? '/datasets' : '';
    const way = path.split('/').map(encodeURIComponent).join('/');
    const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    return this.ask(`${prefix}/${repository}/resolve/main/${way}`, range, signal);
  }

  private async json(path: string): Promise<unknown> {
    return (await this.ask(path, {}, AbortSignal.timeout(PATIENCE_MS))).json();
  }

  private async ask(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const token = await this.token();
    const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(`${this.endpoint}${path}`, {
      headers: { ...headers, ...authorization },
      signal,
    }).catch((error: unknown) => {
      if (signal.aborted && (signal.reason as Error).name === 'AbortError') throw error;
      throw new UserError(
        `The hub ${this.endpoint} can't be reached from this machine. Check the network, or download the files elsewhere and browse for them here.`,
      );
    });
    if (response.ok) return response;
    if (response.status === 401 || response.status === 403)
      throw new UserError(
        'The hub asks for an agreement or a token here. Agree on its page, and keep your token in the settings.',
      );
    if (response.status === 404) throw new UserError('The hub has no such repository or file. Check the spelling.');
    throw new UserError(`The hub answered with an error (${response.status}). Try again in a while.`);
  }
}

/** No way out of the folder the files are laid in. */
function isPlainPath(path: string): boolean {
  return !path.includes('\\') && !path.includes('\0') && path.split('/').every((part) => !/^\.{0,2}$/.test(part));
}
