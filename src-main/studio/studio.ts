import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AdapterLibrary } from './adapters/library.ts';
import { openLibrary } from './database/open.ts';
import type { Library } from './database/open.ts';
import { DatasetLibrary } from './library/datasets.ts';
import { modelCaches } from './library/found.ts';
import { ModelLibrary } from './library/models.ts';
import { AllowedPaths } from './paths.ts';
import { RunQueue } from './runs/queue.ts';
import { RunStore } from './runs/store.ts';
import type { TrainerPort } from './runs/trainer-port.ts';
import { fileSecret, SettingsStore } from './settings.ts';
import type { SecretStore } from './settings.ts';
import { Worker } from './work/worker.ts';

export interface StudioOptions {
  dataFolder: string;
  trainer: TrainerPort;
  /** folders a view may name paths in, besides the studio's own and the models other programs keep */
  folders?: string[];
  secret?: SecretStore;
  /** resources/ of the checkout or the package */
  resources?: string;
}

/** Everything behind the contract, whichever door it is reached through. */
export interface Studio {
  dataFolder: string;
  uploadsFolder: string;
  library: Library;
  runs: RunStore;
  queue: RunQueue;
  models: ModelLibrary;
  datasets: DatasetLibrary;
  adapters: AdapterLibrary;
  settings: SettingsStore;
  secret: SecretStore;
  allowed: AllowedPaths;
  worker: Worker;
  storageFolders: { name: string; folder: string }[];
  close(): Promise<void>;
}

/** Opens the library in `dataFolder` and starts the queue. */
export function openStudio(options: StudioOptions): Studio {
  const { dataFolder } = options;
  const resources = options.resources ?? fileURLToPath(new URL('../../resources', import.meta.url));
  const runsFolder = join(dataFolder, 'runs');
  const uploadsFolder = join(dataFolder, 'uploads');
  const adaptersFolder = join(dataFolder, 'adapters');
  for (const folder of [runsFolder, uploadsFolder, adaptersFolder]) mkdirSync(folder, { recursive: true });
  const library = openLibrary(join(dataFolder, 'library.db'));
  const runs = new RunStore(library);
  const settings = new SettingsStore(library);
  const worker = new Worker();
  const queue = new RunQueue(runs, options.trainer, runsFolder);
  const chosen = options.folders ?? [homedir()];
  const own = [dataFolder, join(resources, 'examples'), ...modelCaches().map(({ folder }) => folder)];
  const adapters = new AdapterLibrary(library, runs, worker, adaptersFolder);
  adapters.followRuns(queue);
  queue.start();
  return {
    dataFolder,
    uploadsFolder,
    library,
    runs,
    queue,
    settings,
    worker,
    models: new ModelLibrary(library, join(resources, 'models.json')),
    adapters,
    datasets: new DatasetLibrary(library, join(resources, 'examples')),
    secret: options.secret ?? fileSecret(dataFolder),
    allowed: new AllowedPaths(() => [...chosen, ...settings.values().folders, ...own]),
    storageFolders: [
      { name: 'Runs', folder: runsFolder },
      { name: 'Adapters', folder: adaptersFolder },
      { name: 'Uploaded files', folder: uploadsFolder },
    ],
    async close() {
      await queue.close();
      await adapters.enterEnded();
      worker.close();
      library.close();
    },
  };
}
