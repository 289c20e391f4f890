/** Long work as the user sees it: one piece after the other, with progress, a way to cancel, and errors in words. */

import { byId, count } from "./dom.ts";

export interface Step {
  label: string;
  /** 0 … 1; undefined where nobody knows. */
  done?: number;
}

const box = byId("work");
const label = byId("work-label");
const bar = byId<HTMLProgressElement>("progress");
const cancel = byId<HTMLButtonElement>("cancel");
const error = byId("error");
const retry = byId<HTMLButtonElement>("retry");

let last: Promise<unknown> = Promise.resolve();

/** Runs `task` when what was asked for before is done. Gives undefined if it was cancelled or failed: then it has said so. */
export function work<T>(
  first: string,
  task: (signal: AbortSignal, tell: (step: Step) => void) => Promise<T>,
  again?: () => void,
): Promise<T | undefined> {
  const run = async () => {
    const controller = new AbortController();
    const tell = ({ label: text, done }: Step) => {
      label.textContent = text;
      if (done === undefined) bar.removeAttribute("value");
      else bar.value = done;
    };
    const abort = () => controller.abort();
    cancel.addEventListener("click", abort);
    tell({ label: first });
    box.hidden = false;
    try {
      return await task(controller.signal, tell);
    } catch (problem) {
      if (controller.signal.aborted && !again) return undefined;
      show(controller.signal.aborted ? "Cancelled." : problem, again);
      return undefined;
    } finally {
      cancel.removeEventListener("click", abort);
      // The keyboard's place must not be lost with the button.
      if (document.activeElement === cancel) byId("main").focus();
      box.hidden = true;
    }
  };
  const result = last.then(run);
  last = result;
  return result;
}

/** Progress over passages, as the model tells it, in words. */
export const telling =
  (what: string, tell: (step: Step) => void) =>
  ({ done, total }: { done: number; total: number }) =>
    tell({ label: `${what} ${done.toLocaleString("en")} of ${count(total, "passage")}`, done: done / total });

/** Says what went wrong, and offers to try again. */
export function show(problem: unknown, again?: () => void): void {
  const text = typeof problem === "string" ? problem : problem instanceof Error ? problem.message : String(problem);
  error.querySelector("span")!.textContent = text;
  retry.hidden = !again;
  retry.onclick = () => {
    hide();
    again?.();
  };
  error.hidden = false;
}

export function hide(): void {
  error.hidden = true;
}

byId("dismiss").addEventListener("click", () => {
  hide();
  byId("main").focus();
});
