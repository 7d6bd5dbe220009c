import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clearBeginnings } from './adapters/beginnings.ts';
import { AdapterLibrary } from './adapters/library.ts';
import { BackgroundJobs } from './background/jobs.ts';
import { collectGarbage } from '../engine/collect-garbage.ts';
import { cacheFolder } from '../engine/folders.ts';
import { openLibrary } from './database/open.ts';
import type { Library } from './database/open.ts';
import { HubClient } from './hub/client.ts';
import { Downloads } from './hub/downloads.ts';
import { guessedReading } from './datasets/guessed-reading.ts';
import { DatasetLibrary, type ExampleFolder } from './datasets/library.ts';
import { modelCaches } from './library/found.ts';
import { FOLDER_MODELS } from '../models/default-model.ts';
import { ModelLibrary } from './library/models.ts';
import { AllowedPaths } from './paths.ts';
import { forked, type Launch } from '../engine/child.ts';
import { RunQueue } from './runs/queue.ts';
import { RunStore } from './runs/store.ts';
import type { TrainerPort } from './runs/trainer-port.ts';
import { fileSecret, SettingsStore } from './settings.ts';
import type { SecretStore } from './settings.ts';
import { EvaluationStore } from './evaluations/store.ts';
import { ChatStore } from './library/chats.ts';
import { ChatPictures } from './library/chat-pictures.ts';
import { ServedAdapters } from './serving/served-adapters.ts';
import { Stage } from './stage/stage.ts';
import { within } from './within.ts';
import { Worker } from './work/worker.ts';

export interface StudioOptions {
  dataFolder: string;
  trainer: TrainerPort;
  /** folders a view may name paths in, besides the studio's own and the models other programs keep */
  folders?: string[];
  secret?: SecretStore;
  /** resources/ of the checkout or the package */
  resources?: string;
  /** how the studio's helpers are started; default: as processes of Node's */
  launch?: Launch;
}

/** Everything behind the contract, whichever door it is reached through. */
export interface Studio {
  dataFolder: string;
  uploadsFolder: string;
  /** each export into a new folder in here */
  exportsFolder: string;
  /** what was downloaded from a hub: models/, datasets/ */
  hubFolder: string;
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
  /** how its helpers are started */
  launch: Launch;
  hub: HubClient;
  downloads: Downloads;
  stage: Stage;
  served: ServedAdapters;
  chats: ChatStore;
  pictures: ChatPictures;
  evaluations: EvaluationStore;
  jobs: BackgroundJobs;
  storageFolders: { name: string; folder: string }[];
  close(): Promise<void>;
}

/** Datasets that come with the studio. */
const exampleFolders = (resources: string): ExampleFolder[] => [
  { folder: join(resources, 'examples') },
  { folder: join(resources, 'picture-examples'), title: 'pictures' },
  { folder: join(resources, 'line-drawings'), title: 'line drawings' },
];

/** Opens the library in `dataFolder` and starts the queue. */
export function openStudio(options: StudioOptions): Studio {
  const { dataFolder } = options;
  const resources = options.resources ?? fileURLToPath(new URL('../../resources', import.meta.url));
  const runsFolder = join(dataFolder, 'runs');
  const uploadsFolder = join(dataFolder, 'uploads');
  const exportsFolder = join(dataFolder, 'exports');
  const adaptersFolder = join(dataFolder, 'adapters');
  const tablesFolder = join(dataFolder, 'tables');
  // Created for the user alone: others on this machine have no business in it.
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const hubFolder = join(dataFolder, 'hub');
  const picturesFolder = join(dataFolder, 'pictures');
  const folders = { runsFolder, adaptersFolder, exportsFolder, uploadsFolder, hubFolder, tablesFolder, picturesFolder };
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  const library = openLibrary(join(dataFolder, 'library.db'));
  const runs = new RunStore(library);
  const settings = new SettingsStore(library);
  const worker = new Worker(options.launch);
  const stage = new Stage(options.launch);
  const served = new ServedAdapters(stage, dataFolder);
  const queue = new RunQueue(runs, options.trainer, runsFolder, (folder) => worker.call('keepCheckpoint', { folder }));
  const examples = exampleFolders(resources);
  const models = new ModelLibrary(library, join(resources, 'models.json'));
  const datasets = new DatasetLibrary(library, examples, tablesFolder);
  const secret = options.secret ?? fileSecret(dataFolder);
  const hub = new HubClient(() => secret.read());
  const downloads = openDownloads({ hub, hubFolder, models, datasets, worker });
  const chosen = options.folders ?? [homedir()];
  const own = [dataFolder, ...[...FOLDER_MODELS, ...examples, ...modelCaches()].map(({ folder }) => folder)];
  const adapters = new AdapterLibrary(library, runs, worker, adaptersFolder);
  adapters.followRuns(queue);
  queue.start();
  const collecting = setInterval(collectGarbage, COLLECT_MS).unref();
  const jobs = new BackgroundJobs(library);
  const pictures = new ChatPictures(library, worker, folders.picturesFolder);
  for (const cleared of [jobs.recover(), clearBeginnings(adaptersFolder), pictures.sweep()])
    void cleared.catch((error: unknown) => console.error(error));
  return {
    dataFolder,
    uploadsFolder,
    exportsFolder,
    hubFolder,
    library,
    runs,
    queue,
    settings,
    worker,
    launch: options.launch ?? forked,
    stage,
    served,
    chats: new ChatStore(library),
    pictures,
    evaluations: new EvaluationStore(library),
    jobs,
    adapters,
    models,
    datasets,
    secret,
    hub,
    downloads,
    allowed: new AllowedPaths(
      () => [...chosen, ...settings.values().folders, ...own],
      () => settings.chosenPaths(),
    ),
    storageFolders: storageFolders(folders),
    close() {
      clearInterval(collecting);
      return close({ downloads, served, queue, jobs, adapters, worker, stage, library });
    },
  };
}

/** What arrives joins the library. */
function openDownloads({
  hub,
  hubFolder,
  models,
  datasets,
  worker,
}: Pick<Studio, 'hub' | 'hubFolder' | 'models' | 'datasets' | 'worker'>): Downloads {
  return new Downloads(
    hub,
    (kind) => join(hubFolder, `${kind}s`),
    async (kind, path) => {
      if (kind === 'model') models.add(path, await worker.call('inspectModel', { reference: path }));
      else await datasets.add(path, { reading: await guessedReading(worker, path) });
    },
  );
}

/**
 * Between two collections of the garbage that days of pages coming and going leave, milliseconds: some 25 ms of work each. V8 by
 * itself lets it lie until the heap has grown by half.
 */
const COLLECT_MS = 60_000;

type Closed = Pick<Studio, 'downloads' | 'served' | 'queue' | 'jobs' | 'adapters' | 'worker' | 'stage' | 'library'>;

/** All at once, each within its time: whatever hangs, the studio ends. */
async function close({ downloads, served, queue, jobs, adapters, worker, stage, library }: Closed): Promise<void> {
  downloads.close();
  await Promise.all([served.stop(), queue.close(), jobs.close()].map((end) => within(end, CLOSE_MS)));
  await within(adapters.enterEnded(), LAST_MS);
  worker.close();
  stage.close();
  library.close();
}

/** Of the ten seconds that closing takes at most: for what is running, and for what it has left, milliseconds. */
const CLOSE_MS = 8_500;
const LAST_MS = 1_000;

/** What the studio keeps on the disk, as the settings show it. */
function storageFolders(
  folders: Record<`${'runs' | 'adapters' | 'exports' | 'uploads' | 'hub' | 'tables' | 'pictures'}Folder`, string>,
) {
  return [
    { name: 'Runs', folder: folders.runsFolder },
    { name: 'Adapters', folder: folders.adaptersFolder },
    { name: 'Exports', folder: folders.exportsFolder },
    { name: 'Uploaded files', folder: folders.uploadsFolder },
    { name: 'Pictures of conversations', folder: folders.picturesFolder },
    { name: 'From the hub', folder: folders.hubFolder },
    { name: 'Datasets of your own', folder: folders.tablesFolder },
    { name: 'Engine and embedded model', folder: cacheFolder() },
  ];
}
