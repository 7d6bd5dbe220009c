import type { Served } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { OnModel } from '../stage/types.ts';
import { ownAddresses, ownNames } from './addresses.ts';
import type { ModelProcess } from './answer.ts';
import { serveModel, type ModelServer } from './server.ts';
import { warmUp } from './warm-up.ts';

export interface Serving {
  adapter: { id: string; name: string; model: string; folder: string };
  on: OnModel;
  port: number;
  network: boolean;
}

/** The one adapter that the studio serves to other programs, with its base model. */
export class ServedAdapter {
  #current: { server: ModelServer; served: Served } | undefined;
  /** starts and stops one after the other, so that none leaves a server behind that nobody knows of */
  #last: Promise<unknown> = Promise.resolve();
  readonly #stage: ModelProcess;

  constructor(stage: ModelProcess) {
    this.#stage = stage;
  }

  get served(): Served | null {
    return this.#current?.served ?? null;
  }

  /** Serves an adapter in place of what was served. @throws UserError when it doesn't fit its base model, or the port is taken */
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

  async #start({ adapter, on, port, network }: Serving): Promise<Served> {
    const { id, name, model, folder } = adapter;
    if (name === model)
      throw new UserError(`The base model is called "${model}" already; rename the adapter to serve it.`);
    await warmUp(this.#stage, on, folder);
    await this.#stop();
    const place = network ? { host: '0.0.0.0', names: ownNames() } : { host: '127.0.0.1' };
    const adapters = new Map([[name, folder]]);
    const server = await serveModel({ stage: this.#stage, on, baseName: model, adapters, port, ...place }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error;
        throw new UserError(`Port ${port} is taken or not allowed on this machine; choose another one.`);
      },
    );
    const url = server.url.replace('0.0.0.0', ownAddresses()[0] ?? '127.0.0.1');
    const served = { adapterId: id, url, token: server.token ?? null, models: [model, name] };
    this.#current = { server, served };
    return served;
  }

  async #stop(): Promise<void> {
    await this.#current?.server.close();
    this.#current = undefined;
  }
}
