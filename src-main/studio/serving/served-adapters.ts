import { EventEmitter } from 'node:events';
import type { Served } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { OnModel } from '../stage/types.ts';
import { ownAddresses } from './addresses.ts';
import { keptSecret } from '../kept-secret.ts';
import type { ModelProcess } from './answer.ts';
import { serveModel, type ModelServer } from './server.ts';
import { warmUp } from './warm-up.ts';

export interface Serving {
  /** on one base model; each is called by its name */
  adapters: { id: string; name: string; model: string; folder: string }[];
  on: OnModel;
  port: number;
  network: boolean;
}

/** Where the key lies in the data folder: the same from start to start, so that other programs are set up once. */
export const API_KEY_FILE = 'api-key';

/** The adapters that the studio serves to other programs, with their base model. Emits `change`. */
export class ServedAdapters extends EventEmitter<{ change: [] }> {
  #current: { server: ModelServer; served: Served } | undefined;
  /** starts and stops one after the other, so that none leaves a server behind that nobody knows of */
  #last: Promise<unknown> = Promise.resolve();
  readonly #stage: ModelProcess;
  readonly #dataFolder: string;

  constructor(stage: ModelProcess, dataFolder: string) {
    super();
    this.setMaxListeners(0);
    this.#stage = stage;
    this.#dataFolder = dataFolder;
  }

  get served(): Served | null {
    return this.#current?.served ?? null;
  }

  /**
   * Serves adapters in place of what was served.
   * @throws UserError when two have one name, one doesn't fit its base model, or the port is taken
   */
  start(serving: Serving): Promise<Served> {
    return this.#inTurn(() => this.#start(serving));
  }

  stop(): Promise<void> {
    return this.#inTurn(() => this.#stop());
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #start({ adapters, on, port, network }: Serving): Promise<Served> {
    const { model } = adapters[0]!;
    const folders = namedFolders(model, adapters);
    for (const folder of folders.values()) await warmUp(this.#stage, on, folder);
    await this.#stop();
    const key = await keptSecret(this.#dataFolder, API_KEY_FILE);
    const server = await serveModel({
      stage: this.#stage,
      on,
      baseName: model,
      adapters: folders,
      key,
      host: network ? '0.0.0.0' : '127.0.0.1',
      port,
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error;
      throw new UserError(`Port ${port} is taken or not allowed on this machine; choose another one.`);
    });
    const url = server.url.replace('0.0.0.0', ownAddresses()[0] ?? '127.0.0.1');
    const named = adapters.map(({ id, name }) => ({ name, adapterId: id }));
    const served = { url, token: key, models: [{ name: model, adapterId: null }, ...named] };
    this.#current = { server, served };
    this.emit('change');
    return served;
  }

  async #stop(): Promise<void> {
    await this.#current?.server.close();
    this.#current = undefined;
    this.emit('change');
  }
}

/** The adapters' folders by what they are called in `model`, where that tells every one from the others. */
function namedFolders(model: string, adapters: Serving['adapters']): Map<string, string> {
  const folders = new Map<string, string>();
  for (const { name, folder } of adapters) {
    if (name === model)
      throw new UserError(`The base model is called "${model}" already; rename the adapter to serve it.`);
    if (folders.has(name)) throw new UserError(`Two of the adapters are called "${name}"; rename one to serve both.`);
    folders.set(name, folder);
  }
  return folders;
}
