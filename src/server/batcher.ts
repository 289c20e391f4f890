import { AbortError } from "../errors.ts";
import { platform } from "../platform.ts";

/** One text of a request. */
export interface Item {
  /** What it costs to run: tokens. */
  readonly cost: number;
  /** Items of one key have one result: they are run once a batch. */
  readonly key: string;
}

/** What a batch was. */
export interface BatchEvent {
  /** Requests that had texts in it. */
  requests: number;
  texts: number;
  /** Without those that stood in it twice. */
  distinct: number;
  tokens: number;
  /** Milliseconds. */
  took: number;
}

export interface BatchOptions {
  /** Tokens of a batch; a longer text goes alone. More makes a batch no faster, and what comes next wait longer. Default 512. */
  tokens?: number;
  /** Texts of a batch. Default 256; 1 turns batching off. */
  texts?: number;
  /** Milliseconds to wait for company when nothing runs. Default 0: what gathered while the engine was busy goes together. */
  window?: number;
  /** Batches that run at once: as many as the model has engines. Default 1. */
  lanes?: number;
}

export interface QueueOptions extends BatchOptions {
  /** Texts that may wait. */
  queue: number;
  onBatch?: (event: BatchEvent) => void;
  onQueue?: (waiting: number) => void;
}

/** The queue has no room. */
export class QueueFullError extends Error {
  override readonly name = "QueueFullError";

  constructor(
    readonly waiting: number,
    /** Seconds until what waits is probably done. */
    readonly retry_after: number,
  ) {
    super(`${waiting} texts are waiting`);
  }
}

interface Job<T, R> {
  readonly items: readonly T[];
  /** The first that no batch has taken. */
  next: number;
  /** How many have no result. */
  left: number;
  readonly results: R[];
  readonly end: (error?: unknown) => void;
  /** Lets it run batches, its own texts and others'. */
  lead: () => void;
  /** Whether it was let, and how many engines it keeps busy. */
  led: boolean;
  lanes: number;
  over: boolean;
}

interface Taken<T, R> {
  readonly job: Job<T, R>;
  readonly index: number;
}

/**
 * Gathers the texts of many requests into batches: one batch runs, and what comes meanwhile makes the next one. Requests take turns, a text
 * each, so that a long one does not hold up short ones.
 */
export class Batcher<T extends Item, R> {
  readonly #run: (items: readonly T[], signal: AbortSignal) => Promise<readonly R[]>;
  readonly #options: Required<BatchOptions> & QueueOptions;
  readonly #queue: Job<T, R>[] = [];
  #waiting = 0;
  #cost = 0;
  /** How many jobs run batches now. */
  #leaders = 0;
  /** Jobs with texts in each run, and what ends it. */
  readonly #running = new Set<{ readonly jobs: Set<Job<T, R>>; readonly control: AbortController }>();
  /** Milliseconds a token, as last seen. */
  #pace = 0.1;

  constructor(run: (items: readonly T[], signal: AbortSignal) => Promise<readonly R[]>, options: QueueOptions) {
    this.#run = run;
    this.#options = { tokens: 512, texts: 256, window: 0, lanes: 1, ...options };
  }

  /** Texts that wait for a batch. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The result of each item, in order. @throws QueueFullError, AbortError, and what the run of these items throws */
  submit(items: readonly T[], signal?: AbortSignal): Promise<readonly R[]> {
    if (signal?.aborted) return Promise.reject(new AbortError(signal.reason));
    if (!items.length) return Promise.resolve([]);
    // A request that alone is more than the queue holds is taken when nothing waits: it would never be, otherwise.
    if (this.#waiting && this.#waiting + items.length > this.#options.queue)
      return Promise.reject(
        new QueueFullError(this.#waiting, Math.max(1, Math.ceil((this.#cost * this.#pace) / 1000))),
      );
    return new Promise((resolve, reject) => {
      const leave = () => {
        job.end(new AbortError(signal?.reason));
        this.#leave(job);
      };
      const job: Job<T, R> = {
        items,
        next: 0,
        left: items.length,
        results: new Array(items.length),
        over: false,
        lead: () => {},
        led: false,
        lanes: 0,
        end: (error) => {
          if (job.over) return;
          job.over = true;
          signal?.removeEventListener("abort", leave);
          if (error === undefined) resolve(job.results);
          else reject(error);
        },
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.#queue.push(job);
      this.#wait(items, 1);
      void new Promise<void>((go) => {
        job.lead = go;
      }).then(() => this.#work(job));
      if (this.#leaders < this.#options.lanes) this.#promote(job);
    });
  }

  #wait(items: readonly T[], sign: 1 | -1): void {
    this.#waiting += sign * items.length;
    for (const { cost } of items) this.#cost += sign * cost;
    this.#options.onQueue?.(this.#waiting);
  }

  /** Takes a job's texts out of the queue. A batch that nobody waits for any more ends. */
  #leave(job: Job<T, R>): void {
    const place = this.#queue.indexOf(job);
    if (place >= 0) this.#queue.splice(place, 1);
    this.#wait(job.items.slice(job.next), -1);
    job.next = job.items.length;
    // Who went away may never run again, where its host ends it.
    this.#leaders -= job.lanes;
    job.lanes = 0;
    this.#next();
    for (const { jobs, control } of this.#running) if (jobs.has(job) && [...jobs].every((j) => j.over)) control.abort();
  }

  /** Makes it a job that runs batches. */
  #promote(job: Job<T, R>): void {
    this.#leaders++;
    job.lanes++;
    job.led = true;
    job.lead();
  }

  /** Where an engine is free, lets another job run batches. */
  #next(): void {
    const next = this.#queue.find(({ led }) => !led);
    if (next && this.#leaders < this.#options.lanes) this.#promote(next);
  }

  /**
   * Runs batches until this job is over, then lets the next one do it: on Workers, what a request has begun ends with it, so that none
   * may work for the others once it has its answer.
   */
  async #work(job: Job<T, R>): Promise<void> {
    while (!job.over && this.#queue.length) {
      await this.#gather();
      const batch = this.#take();
      if (this.#queue.length && this.#leaders < this.#options.lanes) {
        this.#leaders++;
        job.lanes++;
        void this.#work(job); // another engine is free
      }
      if (batch.length) await this.#execute(batch);
    }
    if (job.lanes) {
      job.lanes--;
      this.#leaders--;
    }
    this.#next();
  }

  /** The engine kept the event loop busy: requests that arrived meanwhile are read first. */
  async #gather(): Promise<void> {
    const { window, texts, tokens } = this.#options;
    if (window && this.#waiting < texts && this.#cost < tokens) await new Promise((go) => setTimeout(go, window));
    else await platform().pause();
  }

  #take(): Taken<T, R>[] {
    const { texts, tokens } = this.#options;
    const batch: Taken<T, R>[] = [];
    const items: T[] = [];
    let cost = 0;
    while (batch.length < texts) {
      const job = this.#queue[0];
      if (!job) break;
      const item = job.items[job.next];
      if (batch.length && cost + item.cost > tokens) break;
      cost += item.cost;
      items.push(item);
      batch.push({ job, index: job.next++ });
      this.#queue.shift();
      if (job.next < job.items.length) this.#queue.push(job);
    }
    this.#wait(items, -1);
    return batch;
  }

  async #execute(batch: readonly Taken<T, R>[]): Promise<void> {
    const jobs = new Set(batch.map(({ job }) => job));
    try {
      await this.#once(batch, jobs);
    } catch (error) {
      // Whose fault it is shows when each runs alone.
      if (jobs.size === 1) for (const job of jobs) this.#fail(job, error);
      else
        for (const job of jobs) {
          if (job.over) continue;
          const own = batch.filter((t) => t.job === job);
          await this.#once(own, new Set([job])).catch((e) => this.#fail(job, e));
        }
    }
  }

  #fail(job: Job<T, R>, error: unknown): void {
    if (job.over) return;
    job.end(error);
    this.#leave(job);
  }

  async #once(batch: readonly Taken<T, R>[], jobs: Set<Job<T, R>>): Promise<void> {
    const items: T[] = [];
    const places = new Map<string, number>();
    for (const { job, index } of batch) {
      const item = job.items[index];
      if (places.has(item.key)) continue;
      places.set(item.key, items.length);
      items.push(item);
    }
    const control = new AbortController();
    const running = { jobs, control };
    this.#running.add(running);
    const start = performance.now();
    try {
      const results = await this.#run(items, control.signal);
      for (const { job, index } of batch) {
        job.results[index] = results[places.get(job.items[index].key)!];
        if (--job.left === 0) job.end();
      }
    } finally {
      this.#running.delete(running);
    }
    const took = performance.now() - start;
    const tokens = items.reduce((sum, { cost }) => sum + cost, 0);
    this.#pace += (took / tokens - this.#pace) / 8;
    this.#options.onBatch?.({ requests: jobs.size, texts: batch.length, distinct: items.length, tokens, took });
  }
}
