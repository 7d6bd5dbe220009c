/** What a run is asked to do while it is under way, and what it answers. The loop looks between steps. */
export class RunControl {
  /** pause: write a checkpoint and end, to be resumed; stop: end here, with the adapter as it stands */
  asked: 'pause' | 'stop' | undefined;
  /** a new ratio for the Reducer, until the loop takes it */
  ratio: number | undefined;
  /** whether steps are under way: before that there is nothing to be kept */
  isStepping = false;
  /** what is under way and has to end before what was asked is done, after "waits for" */
  doing = 'the model and the data to be opened';
}
